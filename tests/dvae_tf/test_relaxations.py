from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import config, registry, relaxations
from dvae_tf.relaxations.concrete import concrete
from dvae_tf.relaxations.piecewise_linear import piecewise_linear
from sampler import seeds

SHAPE = (3, 10, 10)


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, SHAPE).astype(np.float32)


@pytest.fixture
def rho() -> np.ndarray:
    return np.random.default_rng(1).random(SHAPE).astype(np.float32)


def slow_piecewise_linear(logit: float, rho: float, sharpness: float) -> float:
    q = 1 / (1 + np.exp(-logit))
    slope = sharpness / (4 * (q * (1 - q) + 0.01))
    return min(max(0.5 + slope * (rho - (1 - q)), 0.0), 1.0)


def slow_concrete(logit: float, rho: float, sharpness: float) -> float:
    rho = min(max(rho, 1e-5), 1 - 1e-5)
    return 1 / (1 + np.exp(-sharpness * (logit + np.log(rho / (1 - rho)))))


SLOW = {"pwl": slow_piecewise_linear, "pwl_stop_slope": slow_piecewise_linear}
SLOW["concrete"] = slow_concrete


def test_every_relaxation_has_a_sharpness():
    for dataset in ("digits", "omniglot"):
        for name in registry.RELAXATIONS:
            resolved = config.resolve(dataset, relaxation=name, posterior="directed")
            relaxations.make(name, resolved.sharpness)


@pytest.mark.parametrize("sharpness", [2.0, 4.0, 10.0])
@pytest.mark.parametrize("name", sorted(registry.PLUGGED_IN))
def test_equals_a_slow_loop(name, sharpness, logits, rho):
    zeta = registry.PLUGGED_IN.load(name)(tf.constant(logits), tf.constant(rho), sharpness)
    expected = np.zeros(SHAPE)
    for i in np.ndindex(SHAPE):
        expected[i] = SLOW[name](float(logits[i]), float(rho[i]), sharpness)
    # float32 against float64: the argument of clip or sigmoid, up to about 50, is off by 1e-6 of it
    np.testing.assert_allclose(zeta, expected, atol=2e-5)
    assert 0 < np.mean((expected > 0.01) & (expected < 0.99)) < 1


def test_concrete_survives_the_ends_of_rho():
    zeta = concrete(tf.constant([0.0, 0.0]), tf.constant([0.0, 1.0]), 1.0)
    np.testing.assert_allclose(zeta, [1e-5, 1 - 1e-5], rtol=1e-3, atol=1e-8)


# The interval of rho in which zeta rises lies within [0, 1], which makes E[zeta] = q, if
# q (1 - q) + .01 <= sharpness min(q, 1 - q) / 2: from q = .1 for sharpness 2, from .0099 for 4.
@pytest.mark.parametrize(
    ("sharpness", "q"), [(2.0, q) for q in (0.1, 0.3, 0.5, 0.9)] + [(4.0, q) for q in (0.02, 0.98)]
)
@pytest.mark.parametrize("name", ["pwl", "pwl_stop_slope"])
def test_mean_of_piecewise_linear_is_q(name, sharpness, q):
    logits = tf.fill([400_000], float(np.log(q / (1 - q))))
    sample_fn = relaxations.make(name, sharpness).relax
    zeta = sample_fn(logits, seeds.make_seed(3)).numpy().astype(np.float64)
    assert abs(zeta.mean() - q) < 5 * zeta.std() / np.sqrt(len(zeta))


@pytest.mark.parametrize("sharpness", [2.0, 4.0])
@pytest.mark.parametrize("relax", [piecewise_linear, concrete])
def test_gradient_equals_finite_differences(relax, sharpness, logits, rho):
    zeta, gradient = value_and_gradient(lambda x: relax(x, tf.constant(rho), sharpness), logits)
    expected = np.zeros(SHAPE)
    for i in np.ndindex(SHAPE):
        slow = slow_piecewise_linear if relax is piecewise_linear else slow_concrete
        low, high = (slow(float(logits[i]) + h, float(rho[i]), sharpness) for h in (-1e-6, 1e-6))
        expected[i] = (high - low) / 2e-6
    # at a corner of clip the two sides differ, so only units clearly off the corners count
    inside = (zeta > 1e-3) & (zeta < 1 - 1e-3)
    assert inside.sum() > 30
    # float32: alpha, and the difference that it multiplies, are good to 1e-6 of values up to 25
    np.testing.assert_allclose(gradient[inside], expected[inside], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["pwl", "pwl_stop_slope"])
def test_no_gradient_where_clipped(name):
    logits, rho = np.zeros(2, np.float32), tf.constant([0.01, 0.99])
    relax = registry.PLUGGED_IN.load(name)
    zeta, gradient = value_and_gradient(lambda x: relax(x, rho, 4.0), logits)
    np.testing.assert_array_equal(zeta, [0, 1])
    np.testing.assert_array_equal(gradient, [0, 0])


@pytest.mark.parametrize("q", [0.1, 0.2, 0.5, 0.85])
def test_gradient_with_stopped_slope_is_that_of_the_binary_unit(q):
    # With alpha held, d zeta = alpha dq while zeta rises from 0 to 1, so that the integral of
    # f'(zeta) d zeta over rho is (f(1) - f(0)) dq: the binary unit's gradient, for any f.
    gradients = gradients_of_cube("pwl_stop_slope", q, sharpness=4.0)
    assert_mean(gradients, q * (1 - q))


@pytest.mark.parametrize("q", [0.1, 0.2, 0.85])
def test_gradient_through_the_slope_is_that_of_the_relaxed_unit(q):
    # E f(zeta) = (1/alpha) int f + (q - 1/(2 alpha)) f(1) + ... f(0), with int f = 1/4 for a cube
    # and d(1/alpha)/dq = 4 (1 - 2q) / sharpness: not the binary unit's gradient.
    gradients = gradients_of_cube("pwl", q, sharpness=4.0)
    relaxed = 1 + (1 / 4 - 1 / 2) * 4 * (1 - 2 * q) / 4.0
    assert_mean(gradients, relaxed * q * (1 - q))
    assert abs(relaxed - 1) > 0.1


@pytest.mark.parametrize("name", sorted(registry.PLUGGED_IN))
def test_becomes_hard(name, logits):
    logits = np.repeat(logits.reshape(1, -1), 4000, 0)
    zeta = relaxations.make(name, 1e6).relax(tf.constant(logits), seeds.make_seed(0)).numpy()
    # about 1e-6 of the units lie between: 0.4 of them
    assert np.mean((zeta > 0) & (zeta < 1)) < 1e-4
    q = 1 / (1 + np.exp(-logits[0].astype(np.float64)))
    z_scores = (zeta.mean(0) - q) / np.sqrt(q * (1 - q) / len(zeta))
    assert abs(z_scores).max() < 5


@pytest.mark.parametrize("name", sorted(registry.PLUGGED_IN))
def test_sample_fn_is_a_function_of_the_seed(name, logits):
    sample_fn = relaxations.make(name, 4.0).relax
    draws = [sample_fn(tf.constant(logits), seeds.make_seed(s)).numpy() for s in (0, 0, 1)]
    assert draws[0].shape == SHAPE and draws[0].dtype == np.float32
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.mean(draws[0] != draws[2]) > 0.3


def value_and_gradient(function, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a function that treats elements apart."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return y.numpy(), tape.gradient(y, x).numpy()


def gradients_of_cube(name: str, q: float, sharpness: float) -> np.ndarray:
    """d zeta^3 / d logit of independent draws."""
    logits = np.full(1_000_000, np.log(q / (1 - q)), np.float32)
    sample_fn = relaxations.make(name, sharpness).relax
    seed = seeds.make_seed(5)
    return value_and_gradient(lambda x: sample_fn(x, seed) ** 3, logits)[1].astype(np.float64)


def assert_mean(draws: np.ndarray, expected: float) -> None:
    assert abs(draws.mean() - expected) < 5 * draws.std() / np.sqrt(len(draws))
