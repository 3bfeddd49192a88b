"""A directed model of RBMs against enumeration: its draws, and the gradient of log Z_i."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from dvae_tf import relaxations
from dvae_tf.posteriors.posterior import Sample
from dvae_tf.posteriors.rbm_groups import RBMGroupsPosterior
from sampler import seeds
from sampler.annealing import schedules

STATES = oracles.states(3).astype(np.float32)
BOTH = oracles.states(6).astype(np.float32)


@pytest.fixture(scope="module")
def posterior() -> RBMGroupsPosterior:
    posterior = RBMGroupsPosterior(2, sweeps=5, relaxed_sweeps=1)
    posterior.relaxation = relaxations.make("pwl", 4.0)
    posterior.attach((3, 3), 2, seed=0)
    noise = np.random.default_rng(0)
    for network in posterior.networks:
        for variable in network.trainable_variables:
            variable.assign(0.4 * noise.normal(size=variable.shape))
        for variable in network.non_trainable_variables:
            # the statistics that a batch of ones would not have
            variable.assign(np.ones(variable.shape) * ("variance" in variable.path))
    return posterior


CONTEXT = tf.constant([[0.4, -1.0]])


def log_table(posterior: RBMGroupsPosterior, before: list, training: bool = False) -> np.ndarray:
    """-E of one group's 8 states given those before, [..., 8], in NumPy."""
    phi = posterior.call(CONTEXT)
    values = posterior.outputs(len(before), phi, before, training)[0].numpy().astype(np.float64)
    f1, f2, j = np.split(values.reshape(-1, values.shape[-1]), [1, 3], -1)
    s = 2 * STATES.astype(np.float64) - 1
    pairs = np.einsum("sa,bac,sc->bs", s[:, :1], j.reshape(-1, 1, 2), s[:, 1:])
    return f1 @ s[:, :1].T + f2 @ s[:, 1:].T + pairs


def exact_log_q(posterior: RBMGroupsPosterior) -> np.ndarray:
    """log q(z1, z2 | x) of all states, [8, 8]."""
    first = log_table(posterior, [])[0]
    second = log_table(posterior, [tf.constant(STATES[None])])
    first = first - logsumexp(first)
    return first[:, None] + second - logsumexp(second, -1, keepdims=True)


def test_draws_estimate_without_bias(posterior):
    log_q, generator = exact_log_q(posterior).ravel(), np.random.default_rng(1)
    # near q, so that the weights are even, but of no factor of its own
    log_p = log_q + 0.5 * generator.normal(size=64)
    draws = posterior.draw(
        posterior.call(CONTEXT), 40_000, tf.constant(schedules.linear(3)), seeds.make_seed(2)
    )
    rows = oracles.index(draws.z[0].numpy())
    ratios = np.exp(draws.log_weights[0].numpy() + log_p[rows] - draws.log_prob[0].numpy())
    stderr = ratios.std() / np.sqrt(len(ratios))
    assert abs(ratios.mean() - np.exp(log_p).sum()) < 5 * stderr < 0.1 * np.exp(log_p).sum()
    # and as samples: of the first factor by their weights, of the second nearly exact
    weights = np.exp(draws.log_weights[0].numpy())
    found = np.bincount(rows, weights, minlength=64) / weights.sum()
    assert abs(found - np.exp(log_q)).max() < 0.03


def test_the_gradient_of_log_z_reaches_the_samples_before(posterior):
    # d/dz1 of log q(z2 | z1) at one z1, against that of the enumerated log Z_2
    count = 40_000
    z1 = np.array([1, 0, 1], np.float32)
    groups = np.tile(z1, (count, 1))[None]
    table = log_table(posterior, [tf.constant(z1[None, None])])[0]
    p = np.exp(table - logsumexp(table))
    rows = np.random.default_rng(3).choice(8, count, p=p)
    chains = tf.constant(np.concatenate([0 * groups[0][:, 1:], STATES[rows][:, 1:]], -1)[None])
    phi = posterior.call(CONTEXT)
    posterior_outputs = posterior.outputs
    posterior.outputs = lambda i, phi, before, training: posterior_outputs(i, phi, before, False)
    try:
        z = tf.constant(
            np.concatenate([groups, np.tile([0.0, 1, 1], (1, count, 1))], -1), tf.float32
        )
        with tf.GradientTape() as tape:
            tape.watch(z)
            total = tf.reduce_sum(posterior.log_q(phi, Sample(z, chains))) / count
        found = tf.reduce_sum(tape.gradient(total, z)[0, :, :3], 0).numpy() * 1.0
        first = tf.constant(z1[None, None])
        with tf.GradientTape() as tape:
            tape.watch(first)
            both = tf.concat([first, tf.constant([[[0.0, 1, 1]]])], -1)
            own = posterior._rbm(posterior.outputs(0, phi, [], False)[0])
            term = -own.energy(own.split(2 * first - 1))[0, 0]
            rbm = posterior._rbm(posterior.outputs(1, phi, [first], False)[0])
            s = 2 * tf.constant(STATES)[None] - 1
            log_p = -rbm.energy(rbm.split(s))
            log_z2 = tf.reduce_logsumexp(log_p)
            term += -rbm.energy(rbm.split(2 * both[:, :, 3:] - 1))[0, 0] - log_z2
        expected = tape.gradient(term, first)[0, 0].numpy()
        with tf.GradientTape() as tape:
            tape.watch(first)
            rbm = posterior._rbm(posterior.outputs(1, phi, [first], False)[0])
            log_z2 = tf.reduce_logsumexp(-rbm.energy(rbm.split(s)))
        part = tape.gradient(log_z2, first)[0, 0].numpy()
    finally:
        posterior.outputs = posterior_outputs
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert abs(part).max() > 0.1  # what would be missing without it


def test_samples_follow_the_model(posterior):
    # in a batch of one, batch norm in training sees no spread: the couplings are beta's
    phi = posterior.call(tf.tile(CONTEXT, [2000, 1]))
    chains = posterior.initial_chains([2000, 2], seeds.make_seed(4))
    sample = posterior.sample(phi, chains, seeds.make_seed(5))
    assert sample.zeta.shape == (2000, 2, 6) and sample.chains.dtype == tf.uint8
    assert set(np.unique(sample.chains)) == {0, 1}
    table = log_table(posterior, [], training=True)[0]
    p = np.exp(table - logsumexp(table))
    mean = p @ STATES[:, 1:]
    # hard states of the first group's second side, after 5 sweeps each
    np.testing.assert_allclose(sample.chains.numpy()[..., :2].mean((0, 1)), mean, atol=0.06)


def test_what_groups_cannot_be():
    with pytest.raises(ValueError, match="layers=3: two or more in each"):
        RBMGroupsPosterior(3).attach((2, 1), 2, seed=0)
