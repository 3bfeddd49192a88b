"""The mean-field bound of the relaxed Boltzmann prior."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
import smoothing_oracles as oracle
import tensorflow as tf

from dvae_tf import config, relaxations
from sampler.machines.rbm import RBM

every_smoothing = pytest.mark.parametrize(
    ("name", "sharpness"), list(config.OVERLAPPING_SHARPNESS.items())
)


@pytest.fixture
def states():
    """zeta of 20 chains, 4+4 units, most near 0 or 1 and some between."""
    generator = np.random.default_rng(8)
    zeta = generator.beta(0.3, 0.3, (2, 20, 4)).clip(1e-5, 1 - 1e-5)
    return zeta.astype(np.float32)


def log_prior(name, sharpness, rbm, states):
    """The bound of each chain, and its gradients with respect to the RBM and the states."""
    theta, (zeta1, zeta2) = RBM(*map(tf.constant, rbm)), map(tf.constant, states)
    watched = [*theta, zeta1, zeta2]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        values = relaxations.make(name, sharpness).log_prior(theta, tf.concat([zeta1, zeta2], -1))
        total = tf.reduce_sum(values)
    return values.numpy(), [g.numpy() for g in tape.gradient(total, watched)]


@every_smoothing
def test_prior_is_bounded_by_the_enumerated_sum(name, sharpness, states):
    rbm = oracles.parameters(np.random.default_rng(9), 4, 4, 1.5)
    values, _ = log_prior(name, sharpness, rbm, states)
    for value, zeta1, zeta2 in zip(values, *states, strict=True):
        a1, a2 = (oracle.terms(name, sharpness, zeta)[0] for zeta in (zeta1, zeta2))
        expected = oracle.bound(name, sharpness, rbm, zeta1, zeta2, oracle.mean_field(rbm, a1, a2))
        assert value == pytest.approx(expected, rel=1e-5, abs=1e-4)
        assert value <= oracle.log_sum(name, sharpness, rbm, zeta1, zeta2) + 1e-4


@every_smoothing
def test_without_couplings_the_bound_is_the_sum(name, sharpness, states):
    b1, b2, w = oracles.parameters(np.random.default_rng(10), 4, 4, 2.0)
    rbm = b1, b2, np.zeros_like(w)
    values, _ = log_prior(name, sharpness, rbm, states)
    expected = [oracle.log_sum(name, sharpness, rbm, *pair) for pair in zip(*states, strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-4)
    # and then, log Z taken off, it is the mixtures' density
    log_prob = relaxations.make(name, sharpness).log_prob
    sides = (tf.reduce_sum(log_prob(b, zeta), -1) for b, zeta in zip((b1, b2), states, strict=True))
    np.testing.assert_allclose(values - oracles.log_z(*rbm), sum(sides), rtol=1e-5, atol=1e-4)


@every_smoothing
def test_gradient_of_the_bound_is_that_with_the_means_held(name, sharpness, states):
    states = states[:, :4].clip(0.01, 0.99)
    rbm = oracles.parameters(np.random.default_rng(11), 4, 4, 1.5)
    _, gradients = log_prior(name, sharpness, rbm, states)
    exact = [np.asarray(x, np.float64) for x in (*rbm, *states)]
    means = []
    for pair in zip(*exact[3:], strict=True):
        a1, a2 = (oracle.terms(name, sharpness, zeta)[0] for zeta in pair)
        means.append(oracle.mean_field(rbm, a1, a2))

    def total() -> float:
        chains = zip(*exact[3:], means, strict=True)
        return sum(oracle.bound(name, sharpness, tuple(exact[:3]), *chain) for chain in chains)

    for array, gradient in zip(exact, gradients, strict=True):
        for i in list(np.ndindex(array.shape))[:40]:
            values, kept = [], array[i]
            for h in (-1e-5, 1e-5):
                array[i] = kept + h
                values.append(total())
            array[i] = kept
            assert gradient[i] == pytest.approx((values[1] - values[0]) / 2e-5, rel=2e-4, abs=2e-4)


def test_compiles_with_xla_and_gives_the_same(states):
    rbm = oracles.parameters(np.random.default_rng(12), 4, 4, 1.0)
    theta, (zeta1, zeta2) = RBM(*map(tf.constant, rbm)), map(tf.constant, states)
    log_prior = relaxations.make("power", 30.0).log_prior

    def value_and_gradients(zeta1: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([*theta, zeta1])
            value = tf.reduce_mean(log_prior(theta, tf.concat([zeta1, zeta2], -1)))
        return [value, *tape.gradient(value, [*theta, zeta1])]

    compiled = tf.function(value_and_gradients, jit_compile=True)(zeta1)
    for a, b in zip(compiled, value_and_gradients(zeta1), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
