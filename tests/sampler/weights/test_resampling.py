"""Effective sample size, mean weights and systematic resampling against closed forms."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import seeds
from sampler.weights import resampling

SEED = seeds.make_seed(0)


def log(weights):
    with np.errstate(divide="ignore"):
        return tf.constant(np.log(weights), tf.float64)


def copies(parents, count):
    """How often each of `count` chains is a parent, [..., count]."""
    return (np.asarray(parents)[..., None] == np.arange(count)).sum(-2)


@tf.function(jit_compile=True)
def parents_of_each(log_weights, seed, count):
    """[count, C]: row i is drawn with fold_in(seed, i)."""

    def draw(i):
        return resampling.systematic(log_weights, seeds.fold_in(seed, i))

    return tf.map_fn(draw, tf.range(count))


# Effective sample size and mean weight


@pytest.mark.parametrize(
    "weights, ess",
    [
        ([1, 1, 1, 1], 4),
        ([0, 0, 7, 0], 1),
        ([1, 1, 0, 0, 0], 2),
        ([3, 1], 16 / 10),
        ([1, 2, 3, 4], 100 / 30),
        ([5], 1),
    ],
)
@pytest.mark.parametrize("shift", [-1e4, 0, 1e4])
def test_effective_sample_size(weights, ess, shift):
    # float64 carries log-weights of 1e4 to 2e-12
    result = resampling.effective_sample_size(log(weights) + shift)
    np.testing.assert_allclose(result, ess, rtol=1e-10)


def test_effective_sample_size_of_a_batch():
    weights = np.random.default_rng(0).uniform(size=(2, 3, 5))
    expected = weights.sum(-1) ** 2 / (weights**2).sum(-1)
    np.testing.assert_allclose(resampling.effective_sample_size(log(weights)), expected, 1e-12)


@pytest.mark.parametrize("shift", [-1e4, 0, 1e4])
def test_log_mean_exp(shift):
    weights = np.random.default_rng(1).uniform(size=(2, 3, 5))
    result = resampling.log_mean_exp(log(weights) + shift)
    assert result.dtype == tf.float64
    np.testing.assert_allclose(result - shift, np.log(weights.mean(-1)), atol=1e-11)


# Systematic resampling


@pytest.mark.parametrize("shift", [-1e4, 0, 1e4])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
def test_copies_are_the_expected_number_rounded_down_or_up(batch, shift):
    weights = np.random.default_rng(2).exponential(size=(*batch, 50)) ** 2
    expected = 50 * weights / weights.sum(-1, keepdims=True)
    for number in range(8):
        parents = resampling.systematic(log(weights) + shift, seeds.fold_in(SEED, number))
        assert parents.shape == (*batch, 50) and parents.dtype == tf.int32
        np.testing.assert_array_equal(np.diff(parents, axis=-1) >= 0, True)
        assert np.all(abs(copies(parents, 50) - expected) < 1)


@pytest.mark.parametrize(
    "weights", [[1, 1, 1, 1, 1], [1, 2, 3, 4, 10], [0.02, 0.9, 0.03, 0.04, 0.01]]
)
def test_mean_copies_are_the_expected_number(weights):
    """Over seeds: a number of copies is floor or ceil, so its variance is f (1 - f)."""
    expected = len(weights) * np.array(weights) / np.sum(weights)
    parents = parents_of_each(log(weights), SEED, 4000)
    fraction = expected % 1
    stderr = np.sqrt(fraction * (1 - fraction) / 4000)
    oracles.assert_within(copies(parents, len(weights)).mean(0), expected, stderr, 1e-12)


def test_rows_of_a_batch_are_resampled_with_numbers_of_their_own():
    weights = np.array([1, 2, 3, 4, 10])
    parents = resampling.systematic(log(np.tile(weights, (4000, 1))), SEED)
    fraction = weights / 4 % 1
    stderr = np.sqrt(fraction * (1 - fraction) / 4000)
    oracles.assert_within(copies(parents, 5).mean(0), weights / 4, stderr)


def test_equal_weights_leave_the_population_as_it_is():
    parents = resampling.systematic(tf.zeros([1000], tf.float64), SEED)
    np.testing.assert_array_equal(parents, np.arange(1000))


def test_chains_without_weight_have_no_descendants():
    weights = np.array([0, 0, 2, 0, 1, 0, 0, 1, 0])
    for number in range(20):
        parents = resampling.systematic(log(weights), seeds.fold_in(SEED, number)).numpy()
        assert set(parents) == {2, 4, 7}


def test_log_weights_that_would_overflow():
    log_weights = tf.constant([1e4, 1e4 + np.log(3), -1e4, 0], tf.float64)
    assert copies(resampling.systematic(log_weights, SEED), 4).tolist() == [1, 3, 0, 0]


# Every scheme

SCHEMES = pytest.mark.parametrize("scheme", sorted(resampling.SCHEMES))
WEIGHTS = [0.02, 0.9, 0.03, 0.04, 0.01, 0.5, 0]


def draws(scheme, count, jit_compile=False):
    """[count, C] parents, from rows of one batch."""
    batch = log(np.tile(WEIGHTS, (count, 1)))
    return tf.function(resampling.SCHEMES[scheme], jit_compile=jit_compile)(batch, SEED).numpy()


@SCHEMES
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "XLA"])
def test_mean_copies_of_every_scheme(scheme, jit_compile):
    expected = 7 * np.array(WEIGHTS) / np.sum(WEIGHTS)
    found = copies(draws(scheme, 20_000, jit_compile), 7)
    mean, stderr = oracles.mean_and_stderr(found)
    oracles.assert_within(mean, expected, stderr, 1e-12)
    assert np.all(found[:, -1] == 0)
    if scheme != "multinomial":
        assert np.all(found >= np.floor(expected))
    if scheme == "systematic":
        assert np.all(found <= np.ceil(expected))


@SCHEMES
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
def test_parents_are_sorted_and_of_the_batch_s_shape(scheme, batch):
    weights = np.random.default_rng(3).exponential(size=(*batch, 40)) ** 2
    parents = resampling.SCHEMES[scheme](log(weights), SEED)
    assert parents.shape == (*batch, 40) and parents.dtype == tf.int32
    assert np.all(np.diff(parents, axis=-1) >= 0) and np.min(parents) >= 0
    assert np.max(parents) < 40


def test_multinomial_copies_are_binomial():
    """chi^2 of the second chain's copies; 7 draws with probability 0.9 / 1.5."""
    found = np.bincount(copies(draws("multinomial", 20_000), 7)[:, 1], minlength=8)
    k, p = np.arange(8), 0.9 / 1.5
    choose = np.array([1, 7, 21, 35, 35, 21, 7, 1])
    assert abs(oracles.chi_square(found, 20_000 * choose * p**k * (1 - p) ** (7 - k))) < 5


def test_residual_copies_beyond_the_whole_ones_are_binomial():
    """7 w has whole parts 4 and 2, so one place is left, for chain 1 by its fraction 0.2."""
    found = copies(draws("residual", 20_000), 7)
    fractions = (7 * np.array(WEIGHTS) / np.sum(WEIGHTS)) % 1
    extra = np.sum(found - np.floor(7 * np.array(WEIGHTS) / np.sum(WEIGHTS)), 0)[:-1]
    assert abs(oracles.chi_square(extra, 20_000 * fractions[:-1])) < 5


@SCHEMES
def test_equal_weights_and_whole_copies(scheme):
    """Residual resampling has nothing left to draw, in spite of rounding."""
    weights = np.array([3, 1, 1, 1, 2, 0, 0, 0]) / 3
    found = copies(resampling.SCHEMES[scheme](log(weights), SEED), 8)
    if scheme == "residual":
        np.testing.assert_array_equal(found, [3, 1, 1, 1, 2, 0, 0, 0])
    assert np.sum(found) == 8 and not np.any(found[5:])


def test_systematic_of_many_chains_is_the_comb():
    """Under XLA, against NumPy's search of the same teeth, with weights over many magnitudes."""
    log_weights = 3 * np.random.default_rng(4).normal(size=30_000)
    parents = tf.function(resampling.systematic, jit_compile=True)(tf.constant(log_weights), SEED)
    weights = np.exp(log_weights - log_weights.max())
    offset = float(seeds.uniform(SEED, [1])[0])
    teeth = (np.arange(30_000) + offset) / 30_000
    expected = np.searchsorted(np.cumsum(weights) / np.sum(weights), teeth, side="right")
    # a tooth on the rounded end of a part may go to either side
    assert np.mean(parents.numpy() == expected) > 0.999
    assert np.max(abs(copies_sparse(parents) - 30_000 * weights / np.sum(weights))) < 1 + 1e-6


def copies_sparse(parents):
    return np.bincount(parents, minlength=30_000)
