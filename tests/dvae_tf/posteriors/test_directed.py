"""Directed posteriors of 3+3 units against the enumeration of their 64 states."""

from __future__ import annotations

import itertools

import directed_oracle
import numpy as np
import oracles
import pytest
import tensorflow as tf

from dvae_tf import relaxations
from dvae_tf.posteriors.directed import DirectedPosterior
from dvae_tf.posteriors.posterior import Sample
from dvae_tf.posteriors.undirected import RBMPosterior
from sampler import seeds

SIDE = 3
FEATURES = 5
STATES = oracles.states(2 * SIDE)
BETAS = tf.constant([0.0, 1.0])


def make(num_layers: int, hidden: tuple[int, ...] = (), name: str = "pwl") -> DirectedPosterior:
    """A posterior with biases and dependences of order one."""
    posterior = DirectedPosterior(num_layers, hidden)
    posterior.relaxation = relaxations.make(name, 4.0)
    posterior.attach((SIDE, SIDE), FEATURES, seed=0)
    generator = np.random.default_rng(1)
    for network in posterior.networks:
        bias = network.layers[-1].bias
        bias.assign(0.3 * generator.standard_normal(bias.shape))
    return posterior


@pytest.fixture(scope="module")
def context() -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).normal(size=(4, FEATURES)), tf.float32)


CASES = list(itertools.product([1, 2, 3], [(), (7, 4)]))


@pytest.mark.parametrize(("num_layers", "hidden"), CASES)
def test_draws_follow_the_enumerated_distribution(num_layers, hidden, context):
    posterior, count = make(num_layers, hidden), 20_000
    draws = posterior.draw(posterior(context), count, BETAS, seeds.make_seed(0))
    assert draws.z.shape == (4, count, 2 * SIDE)
    exact = directed_oracle.log_prob(posterior.networks, context.numpy())
    np.testing.assert_allclose(np.exp(exact).sum(1), 1)
    rows = oracles.index(draws.z)
    np.testing.assert_allclose(draws.log_prob, np.take_along_axis(exact, rows, 1), atol=1e-4)
    np.testing.assert_array_equal(draws.log_weights, 0)
    for row, log_q in zip(rows, exact, strict=True):
        counts, expected = np.bincount(row, minlength=64), count * np.exp(log_q)
        rare = expected < 5
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], max(expected[rare].sum(), 5))
        assert abs(oracles.chi_square(counts, expected)) < 5
    # the states depend on one another where there are groups, and on the context
    assert np.ptp(exact, 0).max() > 0.1


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_log_prob_in_training_is_the_enumerated_one_at_hard_states(num_layers, context):
    posterior = make(num_layers)
    z = tf.constant(np.tile(STATES[None], (4, 1, 1)), tf.float32)
    log_prob = posterior.log_q(posterior(context), Sample(z, None))
    np.testing.assert_allclose(
        log_prob, directed_oracle.log_prob(posterior.networks, context.numpy()), atol=1e-5
    )


def test_one_group_is_an_rbm_without_couplings(context):
    directed = make(1)
    undirected = RBMPosterior(coupling_scale=0.0)
    undirected.attach((SIDE, SIDE), FEATURES, seed=0)
    phi = undirected(context)
    undirected.fields.bias.assign(directed.networks[0].layers[-1].bias)
    np.testing.assert_array_equal(
        undirected.fields.kernel.numpy(), directed.networks[0].layers[-1].kernel.numpy()
    )
    phi = undirected(context)
    zeta = tf.constant(np.random.default_rng(2).random((4, 10, 2 * SIDE)), tf.float32)
    sample = Sample(zeta, tf.zeros([4, 10, SIDE], tf.uint8))
    ours = directed.log_q(directed(context), sample).numpy()
    theirs = undirected.log_q(phi, sample).numpy()
    # normalised, and not: alike but for a constant of each image
    np.testing.assert_allclose(ours - ours[:, :1], theirs - theirs[:, :1], atol=1e-5)


def test_stopped_phi_lets_a_gradient_pass_to_zeta_alone(context):
    posterior = make(2, (4,))
    with tf.GradientTape() as tape:
        phi = posterior(context)
        sample = posterior.sample(phi, tf.zeros([4, 3, 0]), seeds.make_seed(0))
        leaf = tf.stop_gradient(sample.zeta)
        tape.watch(leaf)
        fixed = tf.nest.map_structure(tf.stop_gradient, phi)
        log_q = posterior.log_q(fixed, sample._replace(zeta=leaf))
    weights = [v.value for v in posterior.trainable_variables]
    gradients = tape.gradient(log_q, [leaf, *weights])
    assert np.any(gradients[0] != 0)
    assert all(g is None for g in gradients[1:])


@pytest.mark.parametrize("hidden", [(), (4,)])
def test_gradient_reaches_every_weight_through_the_samples(hidden, context):
    posterior = make(3, hidden, "concrete")
    with tf.GradientTape() as tape:
        zeta, chains = posterior.sample(posterior(context), tf.zeros([4, 2, 0]), seeds.make_seed(0))
        loss = tf.reduce_sum(zeta**3)
    assert chains.shape == (4, 2, 0)
    for gradient in tape.gradient(loss, [v.value for v in posterior.trainable_variables]):
        assert np.any(gradient != 0)


def test_moving_statistics_follow_the_samples_and_not_the_densities(context):
    posterior = make(2, (4,))
    statistics = posterior.networks[1].non_trainable_variables
    before = [v.numpy() for v in statistics]
    phi = posterior(context)
    sample = posterior.sample(phi, tf.zeros([4, 2, 0]), seeds.make_seed(0))
    after = [v.numpy() for v in statistics]
    assert all(np.any(a != b) for a, b in zip(after, before, strict=True))
    posterior.log_q(phi, sample)
    posterior.draw(phi, 2, BETAS, seeds.make_seed(0))
    for variable, value in zip(statistics, after, strict=True):
        np.testing.assert_array_equal(variable, value)
