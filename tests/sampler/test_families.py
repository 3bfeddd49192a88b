"""The families' formulas against NumPy in float64, and their samples against their laws."""

import dataclasses

import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy import stats

from sampler import families, seeds

SEED = seeds.make_seed(0)
FAMILIES = [
    families.Bernoulli(),
    families.Spin(),
    families.Gaussian(),
    families.Gaussian(2.5),
    families.Gaussian((0.5, 1.0, 4.0, 2.0)),
    families.Categorical(2),
    families.Categorical(4),
]
DISCRETE = [family for family in FAMILIES if family.discrete]
EVERY = pytest.mark.parametrize("family", FAMILIES, ids=str)
UNITS = 4
SCALES = pytest.mark.parametrize("scale", [0.1, 1.0, 8.0, 100.0])


def etas(family, scale, batch=(3, 5), seed=0):
    shape = (*batch, UNITS * family.width)
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def log_sum(family, eta):
    """log sum_x exp(eta x) over a unit's values, float64 [..., units]; Gaussians' by quadrature."""
    eta = eta.astype(np.float64)
    if family.discrete:
        values = np.array(family.values, np.float64).reshape(-1, family.width)
        exponents = eta.reshape(*eta.shape[:-1], UNITS, family.width) @ values.T
    else:
        # E[exp(eta x)] under the base, by Gauss and Hermite about the shifted mean
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        precision = np.broadcast_to(family.precision, UNITS)
        mean = eta / precision
        x = mean[..., None] + nodes / np.sqrt(precision)[:, None]
        base = nodes**2 / 2 - precision[:, None] * x**2 / 2
        exponents = eta[..., None] * x + base + np.log(weights / np.sqrt(2 * np.pi))
    largest = exponents.max(-1)
    return largest + np.log(np.exp(exponents - largest[..., None]).sum(-1))


@EVERY
@SCALES
def test_log_partition_is_the_logarithm_of_the_sum(family, scale):
    eta = etas(family, scale)
    found = family.log_partition(tf.constant(eta))
    assert found.shape == (3, 5, UNITS) and found.dtype == tf.float32
    truth = log_sum(family, eta)
    np.testing.assert_allclose(found, truth, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        family.log_partition(tf.constant(eta, tf.float64)), truth, 1e-9, 1e-15
    )


@EVERY
@pytest.mark.parametrize("size", [1e-12, 1e-7, 1e-3, 1.0, 10.0, 50.0])
@pytest.mark.parametrize("scale", [0.3, 5.0])
def test_a_change_of_log_partition_keeps_its_digits(family, size, scale):
    """In float32, with an error relative to the change.

    The truth is a float64 difference, of small changes one of its first order about the middle.
    """
    eta, change = etas(family, scale), etas(family, size, seed=1)
    found = tf.function(family.log_partition_change)(tf.constant(eta), tf.constant(change))
    eta, change = eta.astype(np.float64), change.astype(np.float64)
    if size < 1e-3:
        slope = change * family.mean(tf.constant(eta + change / 2)).numpy()
        truth = slope.reshape(3, 5, UNITS, family.width).sum(-1)
    else:
        truth = log_sum(family, eta + change) - log_sum(family, eta)
    largest = abs(change).reshape(3, 5, UNITS, family.width).max(-1)
    error = abs(found - truth) / largest
    # Gaussians' grow with eta: so does what their error is relative to
    slack = 1 if family.discrete else 1 + abs(eta).max() + size * 5
    assert found.dtype == tf.float32 and np.max(error) < 3e-6 * slack


@EVERY
@SCALES
def test_the_mean_is_the_gradient_of_log_partition(family, scale):
    eta = tf.constant(etas(family, scale), tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(eta)
        total = tf.reduce_sum(family.log_partition(eta))
    np.testing.assert_allclose(family.mean(eta), tape.gradient(total, eta), rtol=1e-9, atol=1e-12)


@EVERY
def test_gradients_of_a_change_are_differences_of_means(family):
    eta, change = (tf.constant(etas(family, 1.0, seed=s), tf.float64) for s in (0, 1))
    with tf.GradientTape() as tape:
        tape.watch([eta, change])
        total = tf.reduce_sum(family.log_partition_change(eta, change))
    of_eta, of_change = tape.gradient(total, [eta, change])
    after = family.mean(eta + change)
    np.testing.assert_allclose(of_change, after, rtol=1e-9)
    np.testing.assert_allclose(of_eta, after - family.mean(eta), rtol=1e-9, atol=1e-12)


@EVERY
def test_entropy_is_log_partition_less_eta_times_the_mean(family):
    eta = tf.constant(etas(family, 1.5), tf.float64)
    mean = family.mean(eta)
    products = tf.reduce_sum(tf.reshape(eta * mean, [3, 5, UNITS, family.width]), -1)
    truth = family.log_partition(eta) - products
    np.testing.assert_allclose(family.entropy(mean), truth, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", DISCRETE, ids=str)
def test_entropy_of_certain_units_is_zero(family):
    values = np.array(family.values, np.float32).reshape(-1, family.width)
    np.testing.assert_array_equal(family.entropy(tf.constant(values)), np.zeros([len(values), 1]))


@EVERY
def test_natural_is_the_inverse_of_the_mean(family):
    mean = family.mean(tf.constant(etas(family, 0.5), tf.float64))
    back = family.mean(family.natural(mean, 1e-3))
    np.testing.assert_allclose(back, mean, rtol=1e-6, atol=1e-6)
    assert family.valid(mean.numpy()) and not family.valid(np.full([UNITS * family.width], np.nan))


@pytest.mark.parametrize("family", DISCRETE, ids=str)
def test_means_out_of_range_are_not_valid(family):
    assert not family.valid(np.full([UNITS * family.width], 1.5))
    assert not family.valid(np.full([UNITS * family.width], -1.5))


@pytest.mark.parametrize("family", DISCRETE, ids=str)
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "XLA"])
def test_sample_frequencies(family, jit_compile):
    count, eta = 100_000, etas(family, 1.0, ())
    sample = tf.function(family.sample, jit_compile=jit_compile)
    x = sample(tf.tile(tf.constant(eta)[None], [count, 1]), SEED)
    assert x.dtype == tf.float32 and x.shape == (count, eta.size)
    values = np.array(family.values, np.float64).reshape(-1, family.width)
    logits = eta.reshape(UNITS, family.width).astype(np.float64) @ values.T
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    drawn = x.numpy().reshape(count, UNITS, 1, family.width)
    counts = np.all(drawn == values, -1).sum(0)
    np.testing.assert_array_equal(counts.sum(-1), count)
    statistic = np.sum((counts - count * p) ** 2 / (count * p))
    assert stats.chi2.sf(statistic, UNITS * (len(values) - 1)) > 1e-6
    # units are independent of one another
    first = np.all(drawn[:, 0] == values[-1], -1) & np.all(drawn[:, 1] == values[-1], -1)
    both = p[0, -1] * p[1, -1]
    oracles.assert_within(first.mean(), both, np.sqrt(both * (1 - both) / count))


@pytest.mark.parametrize("family", [f for f in FAMILIES if not f.discrete], ids=str)
def test_samples_of_a_gaussian(family):
    eta, precision = etas(family, 1.0, ()), np.broadcast_to(family.precision, UNITS)
    x = family.sample(tf.tile(tf.constant(eta)[None], [200_000, 1]), SEED).numpy()
    z = (x - eta / precision) * np.sqrt(precision)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        oracles.assert_within((z**power).mean(0), moment, np.sqrt(variance / 200_000))


def test_a_gaussian_sample_has_the_gradient_of_its_mean():
    family, eta = families.Gaussian(2.5), tf.constant([[0.3, -2.0]])
    with tf.GradientTape() as tape:
        tape.watch(eta)
        total = tf.reduce_sum(family.sample(eta, SEED))
    np.testing.assert_allclose(tape.gradient(total, eta), np.full([1, 2], 0.4), rtol=1e-6)


def test_the_base_of_a_gaussian_is_the_normal_density():
    family = families.Gaussian((0.5, 4.0))
    x = np.linspace(-12, 12, 20_001)
    density = np.exp(family.log_base(tf.constant(np.stack([x, x], -1))))
    np.testing.assert_allclose(density.sum(0) * (x[1] - x[0]), 1, rtol=1e-6)
    np.testing.assert_allclose((x[:, None] ** 2 * density).sum(0) * (x[1] - x[0]), [2, 0.25], 1e-6)


@EVERY
def test_families_are_static_values(family):
    again = type(family)(*(getattr(family, f.name) for f in dataclasses.fields(family)))
    assert family == again and hash(family) == hash(again)
    assert sum(family == other for other in FAMILIES) == 1


@pytest.mark.parametrize("precision", [0, -1.0, float("nan"), float("inf"), (1.0, 0.0), [[1.0]]])
def test_precisions_that_are_refused(precision):
    with pytest.raises(ValueError, match="precision: found .*; accepted: a positive finite number"):
        families.Gaussian(precision)


@pytest.mark.parametrize("num_states", [1, 0, -2, 2.5, True])
def test_numbers_of_states_that_are_refused(num_states):
    with pytest.raises(ValueError, match=f"num_states: found {num_states}; accepted: 2 or more"):
        families.Categorical(num_states)
