"""Updates of batches of populations: each is what it would be alone."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import seeds
from sampler.machines.rbm import RBM
from sampler.populations import pcd, population
from sampler.weights import resampling

SEED = seeds.make_seed(0)
BATCH = (2, 3)
CHAINS = 2000


def random_rbms(scale, change):
    """Two batches of 3 + 4 units and 2 x 3 members, `change` [2, 3] apart."""
    generator = np.random.default_rng(0)
    old = oracles.parameters(generator, 3, 4, scale, BATCH)
    steps = oracles.parameters(generator, 3, 4, 1.0, BATCH)
    shapes = [np.reshape(change, BATCH + (1,) * (p.ndim - 2)) for p in old]
    return old, [(o + c * s).astype(np.float32) for o, c, s in zip(old, shapes, steps, strict=True)]


def rbm_of(params):
    return RBM(*map(tf.constant, params))


def members(params):
    return [[p[i] for p in params] for i in np.ndindex(*BATCH)]


def exact_population(params):
    """Exact samples of each member, [2, 3, C, n], and their log Z."""
    generator = np.random.default_rng(1)
    z1, z2 = zip(*(oracles.samples(*m, CHAINS, generator) for m in members(params)), strict=True)
    log_z = np.reshape([oracles.log_z(*m) for m in members(params)], BATCH)
    z1, z2 = (tf.constant(np.reshape(z, (*BATCH, CHAINS, -1)), tf.float32) for z in (z1, z2))
    return population.Population(
        (z1, z2), tf.zeros([*BATCH, CHAINS], tf.float64), tf.constant(log_z)
    )


CHANGE = [[0, 0.01, 0.3], [0.6, 0, 1.0]]


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "XLA"])
def test_a_batch_is_carried_to_the_new_parameters(jit_compile):
    """log Z and moments of each member; large changes resample, small ones don't."""
    old, new = random_rbms(0.5, CHANGE)
    start = exact_population(old)
    update = tf.function(population.update, jit_compile=jit_compile, autograph=False)
    end, info = update(rbm_of(old), rbm_of(new), start, SEED, 1, 0.7)
    for i, (before, after) in enumerate(zip(members(old), members(new), strict=True)):
        at = np.unravel_index(i, BATCH)
        change = [np.float64(n) - np.float64(o) for n, o in zip(after, before, strict=True)]
        energies = oracles.energies(*change)
        rows = [oracles.index(x[at]) for x in start.state]
        weights = np.exp(-energies[tuple(rows)])
        log_z = oracles.log_z(*before) + np.log(weights.mean())
        np.testing.assert_allclose(info.log_z[at], log_z, atol=1e-5)
        ess = weights.mean() ** 2 / (weights**2).mean()
        np.testing.assert_allclose(info.ess[at], CHAINS * ess, rtol=1e-5)
        assert info.resampled[at] == (ess < 0.7)
        total = end.log_z[at] + resampling.log_mean_exp(end.log_weights[at])
        np.testing.assert_allclose(total, log_z, atol=1e-5)
        assert np.all(end.log_weights[at] == 0) == (
            info.resampled[at] == 1 or not np.any(change[0])
        )
    moments = weighted_moments(end)
    truth = np.reshape([oracles.moments(*m) for m in members(new)], moments.shape)
    stderr = np.sqrt(truth * (1 - truth) / np.asarray(info.ess)[..., None])
    # systematic resampling and weights: chains count as their effective number
    oracles.assert_within(moments, truth, stderr)
    assert np.array_equal(np.asarray(info.resampled).sum(), 2) and np.all(
        info.survivors > 0.1 * CHAINS
    )


def weighted_moments(populations):
    weights = np.asarray(populations.weights())
    return np.einsum("ijc,ijck->ijk", weights, oracles.statistics(*populations.state))


def test_a_member_s_states_come_from_its_own_parents():
    """Weights on one chain of each member: all the others become its copies, no other member's."""
    z = tf.reshape(tf.range(24), [2, 3, 4, 1])
    log_weights = np.full((2, 3, 4), -1e3)
    log_weights[0, 0, 1] = log_weights[0, 2, 3] = log_weights[1, 1, 0] = 0
    log_weights[0, 1] = log_weights[1, 0] = log_weights[1, 2] = 0
    found = population.resample((z, z[..., 0]), tf.constant(log_weights), SEED, 0.5)
    expected = np.reshape(np.arange(24), (2, 3, 4)).copy()
    expected[0, 0], expected[0, 2], expected[1, 1] = 1, 11, 16
    np.testing.assert_array_equal(found.states[0][..., 0], expected)
    np.testing.assert_array_equal(found.states[1], expected)
    np.testing.assert_array_equal(found.resampled, [[1, 0, 1], [0, 1, 0]])
    np.testing.assert_allclose(found.log_mean, -np.log(4) * np.asarray(found.resampled))
    np.testing.assert_array_equal(found.survivors, np.where(found.resampled, 1, 4))
    np.testing.assert_array_equal(found.log_weights, np.zeros((2, 3, 4)))


def test_initial_of_a_batch():
    old, _ = random_rbms(0.5, CHANGE)
    start = population.of_fields(rbm_of(old), CHAINS, SEED)
    uncoupled = [[b1, b2, 0 * w] for b1, b2, w in members(old)]
    truth = np.reshape([oracles.moments(*m) for m in uncoupled], (*BATCH, -1))
    np.testing.assert_allclose(
        start.log_z, np.reshape([oracles.log_z(*m) for m in uncoupled], BATCH), rtol=1e-12
    )
    stderr = np.sqrt(truth * (1 - truth) / CHAINS)
    oracles.assert_within(weighted_moments(start), truth, stderr)


def test_persistent_chains_of_a_batch():
    old, new = random_rbms(0.5, CHANGE)
    end, info = pcd.update(rbm_of(old), rbm_of(new), exact_population(old), SEED, 30)
    truth = np.reshape([oracles.moments(*m) for m in members(new)], (*BATCH, -1))
    oracles.assert_within(weighted_moments(end), truth, np.sqrt(truth * (1 - truth) / CHAINS))
    assert info.ess.shape == info.log_z.shape == BATCH
    assert np.all(np.isnan(info.log_z)) and np.all(info.resampled == 0)
