"""The transition kernel under tfp.mcmc.sample_chain, against enumeration."""

import numpy as np
import oracles
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from sampler import gibbs, gibbs_kernel, seeds
from sampler.machines.rbm import RBM

SEED = seeds.make_seed(0)
PARAMS = oracles.parameters(np.random.default_rng(0), 4, 3, 1.0)
CHAINS = 2000


def rbm_of(params):
    return RBM(*(tf.constant(p) for p in params))


def sample(rbm, state, seed, num_results=3, clamp=None):
    return tfp.mcmc.sample_chain(
        num_results,
        state,
        kernel=gibbs_kernel.BlockGibbs(rbm, clamp),
        num_burnin_steps=30,
        num_steps_between_results=9,
        trace_fn=lambda state, results: results.energy,
        seed=seed,
    )


sample_graph = tf.function(sample)


def zeros(*batch):
    return tf.zeros([*batch, CHAINS, 4]), tf.zeros([*batch, CHAINS, 3])


def test_it_says_that_it_is_calibrated():
    assert gibbs_kernel.BlockGibbs(rbm_of(PARAMS)).is_calibrated


@pytest.mark.parametrize("drive", [sample, sample_graph], ids=["eager", "graph"])
def test_moments_and_energies(drive):
    (z1, z2), energy = drive(rbm_of(PARAMS), zeros(), SEED)
    assert z1.shape == (3, CHAINS, 4) and z2.shape == (3, CHAINS, 3) and energy.shape == (3, CHAINS)
    truth = oracles.moments(*PARAMS)
    stderr = np.sqrt(truth * (1 - truth) / CHAINS)
    for i in range(3):
        oracles.assert_within(oracles.statistics(z1[i], z2[i]).mean(0), truth, stderr)
    for i in range(5):
        mine = oracles.energy(*PARAMS, z1[2, i], z2[2, i])
        np.testing.assert_allclose(energy[2, i], mine, rtol=1e-5, atol=1e-5)


def test_a_batch_in_a_list():
    params = oracles.parameters(np.random.default_rng(1), 4, 3, 1.0, (2,))
    state, _ = sample_graph(rbm_of(params), list(zeros(2)), SEED, num_results=1)
    assert isinstance(state, list)
    for i in range(2):
        truth = oracles.moments(*(p[i] for p in params))
        statistics = oracles.statistics(state[0][0, i], state[1][0, i])
        oracles.assert_within(statistics.mean(0), truth, np.sqrt(truth * (1 - truth) / CHAINS))


def test_the_chain_is_a_function_of_its_seed():
    (first, _), _ = sample_graph(rbm_of(PARAMS), zeros(), SEED)
    (again, _), _ = sample(rbm_of(PARAMS), zeros(), SEED)
    (other, _), _ = sample_graph(rbm_of(PARAMS), zeros(), seeds.make_seed(1))
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.1


def test_clamped_units_hold():
    clamp = gibbs.Clamp((tf.constant([True, False, False, False]), None), (tf.ones([4]), None))
    (z1, _), _ = sample(rbm_of(PARAMS), zeros(), SEED, 1, clamp)
    assert np.all(z1[..., 0] == 1)
    table = oracles.probabilities(*PARAMS)
    given = oracles.states(4)[:, 0] == 1
    truth = (table.sum(1) * given) @ oracles.states(4) / table[given].sum()
    oracles.assert_within(np.mean(z1[0], 0), truth, np.sqrt(truth * (1 - truth) / CHAINS))
