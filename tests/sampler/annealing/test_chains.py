"""Annealed chains against enumeration: log Z, its error, unbiasedness, moments, the bracket."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import seeds
from sampler.annealing import ais, schedules
from sampler.annealing import bridge as bridges
from sampler.annealing import chains as annealing
from sampler.machines.rbm import RBM
from sampler.weights import resampling
from sampler.weights.estimates import estimate as estimate_of

SEED = seeds.make_seed(0)
STARTS = pytest.mark.parametrize(
    "start", [bridges.from_fields, bridges.from_uniform], ids=["fields", "uniform"]
)


def rbm_of(params):
    return RBM(*(tf.constant(p) for p in params))


def run(path, betas, num_chains, seed):
    start = annealing.initial(path, num_chains, seeds.fold_in(seed, 0))
    return annealing.anneal(path, start, tf.convert_to_tensor(betas), seeds.fold_in(seed, 1))


# `ais.run` compiles with XLA; here a plain graph is quicker than a compilation for each shape
run_graph = tf.function(run)


def log_z_of_each(params):
    """Enumerated log Z of each member of a batch."""
    batch = params[0].shape[:-1]
    values = [oracles.log_z(*(p[i] for p in params)) for i in np.ndindex(*batch)]
    return np.reshape(values, batch)


# The estimate and its standard error


@STARTS
@pytest.mark.parametrize("n1, n2", [(3, 5), (5, 2), (4, 4)])
@pytest.mark.parametrize("scale", [0.1, 0.5, 1.0, 2.0])
def test_log_z(start, n1, n2, scale):
    params = oracles.parameters(np.random.default_rng(n1), n1, n2, scale, (2, 3))
    state = run_graph(start(rbm_of(params)), schedules.linear(51), 500, SEED)
    estimate = estimate_of(state.log_weights)
    assert state.state[0].shape == (2, 3, 500, n1) and state.log_weights.dtype == tf.float64
    assert estimate.log_z.shape == (2, 3) and estimate.log_z.dtype == tf.float64
    assert np.all(estimate.ess > 100) and np.all(estimate.ess <= 500 + 1e-6)
    oracles.assert_within(estimate.log_z, log_z_of_each(params), estimate.stderr, 1e-5)


@STARTS
def test_log_z_without_batch_dimensions(start):
    params = oracles.parameters(np.random.default_rng(0), 6, 4, 1.0)
    estimate = estimate_of(run(start(rbm_of(params)), schedules.linear(11), 500, SEED)[1])
    assert estimate.log_z.shape == ()
    oracles.assert_within(estimate.log_z, oracles.log_z(*params), estimate.stderr)


def test_the_standard_error_is_calibrated():
    """Errors of 400 RBMs, in their own standard errors, have mean 0 and standard deviation 1.

    The standard error of a mean of 400 is 1/20, that of a standard deviation 1/sqrt(800). The
    delta method's bias, half a standard error of some hundredths, is added.
    """
    params = oracles.parameters(np.random.default_rng(1), 3, 4, 1.0, (400,))
    state = run_graph(bridges.from_uniform(rbm_of(params)), schedules.linear(21), 500, SEED)
    estimate = estimate_of(state.log_weights)
    assert np.all(estimate.ess > 150)
    z_scores = (estimate.log_z - log_z_of_each(params)) / estimate.stderr
    bias = np.mean(estimate.stderr) / 2
    assert abs(np.mean(z_scores)) < 5 / 20 + bias
    assert abs(np.std(z_scores, ddof=1) - 1) < 5 / np.sqrt(800) + bias


def test_the_standard_error_of_given_weights():
    """sqrt(1/ess - 1/C) is the sample standard deviation (divisor C) of w / mean w over sqrt(C)."""
    weights = np.random.default_rng(2).exponential(size=(3, 50))
    estimate = estimate_of(tf.constant(np.log(weights)))
    stderr = weights.std(-1) / weights.mean(-1) / np.sqrt(50)
    np.testing.assert_allclose(estimate.stderr, stderr, rtol=1e-9)
    np.testing.assert_allclose(estimate.log_z, np.log(weights.mean(-1)), rtol=1e-12)
    np.testing.assert_allclose(estimate.ess, weights.sum(-1) ** 2 / (weights**2).sum(-1))


def test_without_couplings_the_estimate_is_exact():
    b1, b2, w = oracles.parameters(np.random.default_rng(3), 5, 3, 2.0, (4,))
    params = b1, b2, 0 * w
    state = run(bridges.from_fields(rbm_of(params)), schedules.linear(11), 100, SEED)
    estimate = estimate_of(state.log_weights)
    np.testing.assert_allclose(estimate.log_z, log_z_of_each(params), rtol=1e-12)
    # 1/ess - 1/C is zero up to its rounding of 1e-16, of which this is the root
    np.testing.assert_allclose(estimate.stderr, 0, atol=1e-7)


# Short schedules: unbiased all the same, when chains are weighted


@STARTS
@pytest.mark.parametrize("betas", [(0.0, 1.0), (0.0, 0.5, 1.0), (0.0, 0.2, 0.2, 1.0)])
def test_the_mean_weight_is_z_for_a_short_schedule(start, betas):
    params = oracles.parameters(np.random.default_rng(4), 4, 3, 1.0)
    state = run(start(rbm_of(params)), tf.constant(betas), 100_000, SEED)
    weights = np.exp(state.log_weights - oracles.log_z(*params))
    mean, stderr = oracles.mean_and_stderr(weights)
    assert stderr < 0.01
    oracles.assert_within(mean, 1, stderr)


@STARTS
def test_weighted_moments_of_a_short_schedule(start):
    params = oracles.parameters(np.random.default_rng(4), 4, 3, 1.0)
    (z1,), log_weights = run(start(rbm_of(params)), [0.0, 0.5, 1.0], 100_000, SEED)
    truth = oracles.mean1(*params)
    weights = np.exp(log_weights - oracles.log_z(*params))[:, None]
    # a ratio of means: its error is the mean of w (z - truth), to first order
    mean, stderr = oracles.mean_and_stderr(weights * (z1 - truth))
    oracles.assert_within(mean / weights.mean(), 0, stderr / weights.mean())
    unweighted, error = oracles.mean_and_stderr(z1)
    assert np.max(abs(unweighted - truth) / error) > 5  # the weights are needed


@STARTS
def test_a_falling_schedule_from_exact_samples_gives_the_inverse_ratio(start):
    """Backward AIS: the mean weight of a target's samples is Z_base / Z."""
    params = oracles.parameters(np.random.default_rng(5), 4, 3, 1.0)
    z1, _ = oracles.samples(*params, 100_000, np.random.default_rng(6))
    path = start(rbm_of(params))
    state = annealing.Chains((tf.constant(z1, tf.float32),), tf.zeros([100_000], tf.float64))
    (z1,), log_weights = annealing.anneal(path, state, tf.constant([1.0, 0.5, 0.0]), SEED)
    weights = np.exp(log_weights + oracles.log_z(*params) - path.log_z_base())
    oracles.assert_within(*mean_one(weights))
    # and the weighted end states are samples of the base
    truth = 1 / (1 + np.exp(-np.float64(path.base[0])))
    mean, stderr = oracles.mean_and_stderr(weights[:, None] * (z1 - truth))
    oracles.assert_within(mean, 0, stderr)


def mean_one(weights):
    mean, stderr = oracles.mean_and_stderr(weights)
    return mean, 1, stderr


def test_anneal_adds_to_the_weights_it_is_given():
    """Two halves of a schedule make the whole; float64 offsets survive."""
    params = oracles.parameters(np.random.default_rng(7), 4, 3, 1.0)
    path = bridges.from_uniform(rbm_of(params))
    state = annealing.initial(path, 100_000, SEED)
    state = state._replace(log_weights=state.log_weights + 1e4)
    state = annealing.anneal(path, state, tf.constant([0.0, 0.3, 0.5]), seeds.fold_in(SEED, 1))
    state = annealing.anneal(path, state, tf.constant([0.5, 0.8, 1.0]), seeds.fold_in(SEED, 2))
    oracles.assert_within(*mean_one(np.exp(state.log_weights - 1e4 - oracles.log_z(*params))))


def test_initial_chains_have_the_mean_weight_of_the_base():
    params = oracles.parameters(np.random.default_rng(8), 4, 3, 1.0, (2,))
    path = bridges.from_fields(rbm_of(params))
    state = annealing.initial(path, 7, SEED)
    assert state.state[0].shape == (2, 7, 4) and state.log_weights.shape == (2, 7)
    log_z = log_z_of_each([params[0], params[1], 0 * params[2]])
    np.testing.assert_allclose(resampling.log_mean_exp(state.log_weights), log_z, rtol=1e-12)


# The bracket


def bracket_of(params, num_temperatures, num_chains, num_sweeps):
    """The bracket, and the steps that it told of; holds what every bracket must."""
    steps, path = [], bridges.from_uniform(rbm_of(params))
    betas = schedules.linear(num_temperatures)
    bracket = ais.log_z_bracket(path, betas, num_chains, SEED, num_sweeps, progress_fn=steps.append)
    truth = log_z_of_each(params)
    for estimate in bracket.forward, bracket.backward:
        assert estimate.log_z.shape == truth.shape
        assert np.all(estimate.stderr < 0.1) and np.all(estimate.stderr > 0)
        oracles.assert_within(estimate.log_z, truth, estimate.stderr)
    assert np.all(bracket.lower <= truth) and np.all(truth <= bracket.upper)
    return bracket, steps


def test_bracket_of_a_batch():
    params = oracles.parameters(np.random.default_rng(9), 5, 4, 1.0, (3,))
    bracket, steps = bracket_of(params, 501, 1000, 50)
    lower = bracket.forward.log_z - 3 * bracket.forward.stderr
    upper = bracket.backward.log_z + 3 * bracket.backward.stderr
    np.testing.assert_allclose(bracket.lower, np.minimum(lower, upper))
    np.testing.assert_allclose(bracket.upper, np.maximum(lower, upper))
    assert steps == [250] * 4


def test_segments_of_a_schedule_join(monkeypatch):
    """Segments of 2, 2, 2 and 1 steps: none skipped, none drawn with another's numbers."""
    monkeypatch.setattr(annealing, "_SEGMENT", 2)
    params = oracles.parameters(np.random.default_rng(10), 5, 5, 1.5)
    _, steps = bracket_of(params, 8, 4000, 1)
    assert steps == [2, 2, 2, 1] * 2


def test_the_backward_run_starts_from_weighted_end_states(monkeypatch):
    """A ferromagnet of two modes, in the wrong shares before the weights, that one sweep keeps."""
    monkeypatch.setattr(annealing, "_SEGMENT", 2)
    bias = np.full(5, 0.2 - 2.5 * 1.2, np.float32)
    bracket_of((bias, bias, np.full((5, 5), 1.2, np.float32)), 11, 4000, 1)
