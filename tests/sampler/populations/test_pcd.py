"""Persistent chains: the sweeps are made at the new parameters, and weights are left alone."""

import numpy as np
import oracles
import tensorflow as tf

from sampler import seeds
from sampler.machines.rbm import RBM
from sampler.populations import pcd, population_annealing

SEED = seeds.make_seed(0)


def test_chains_reach_the_new_parameters_law():
    generator = np.random.default_rng(0)
    old, new = (oracles.parameters(generator, 3, 4, 0.7) for _ in range(2))
    eigenvalues = np.sort(abs(np.linalg.eigvals(oracles.sweep_kernel(*new))))
    assert eigenvalues[-2] ** 30 < 1e-4  # 30 sweeps forget the start
    old, rbm = (RBM(*(tf.constant(p) for p in params)) for params in (old, new))
    population = population_annealing.of_fields(old, 10_000, SEED)
    end, _ = pcd.update(old, rbm, population, seeds.fold_in(SEED, 1), 30)
    truth = oracles.moments(*new)
    stderr = np.sqrt(truth * (1 - truth) / 10_000)
    oracles.assert_within(oracles.statistics(*end.state).mean(0), truth, stderr)


def test_weights_are_untouched_and_log_z_is_unknown():
    params = oracles.parameters(np.random.default_rng(1), 3, 4, 0.7)
    old = RBM(*(tf.constant(p) for p in params))
    new = RBM(*(2 * t for t in old))
    start = population_annealing.of_fields(old, 10, SEED)
    start = start._replace(log_weights=tf.range(10, dtype=tf.float64))
    end, info = pcd.update(old, new, start, SEED, 1)
    np.testing.assert_array_equal(end.log_weights, start.log_weights)
    assert end.log_z == start.log_z
    assert (info.ess, info.resampled, info.survivors) == (10, 0, 10)
    assert np.isnan(info.log_z) and info.log_z.dtype == tf.float64
