"""Mean field against enumeration of all pairs of states."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import mean_field
from sampler.machines import ising
from sampler.machines.rbm import RBM

SHAPES = pytest.mark.parametrize("n1, n2, scale", [(1, 1, 1.0), (5, 2, 0.5), (4, 4, 2.0)])


def case(n1, n2, scale, batch=(2, 3), num_chains=4):
    """A batch of RBMs, and random means for four chains of each."""
    generator = np.random.default_rng(n1)
    params = oracles.parameters(generator, n1, n2, scale, batch)
    m1, m2 = (generator.random((*batch, num_chains, n)).astype(np.float32) for n in (n1, n2))
    return RBM(*(tf.constant(p) for p in params)), params, m1, m2


def product(m1, m2):
    """P(z1, z2) of independent units, [2^n1, 2^n2], a product over units for each state."""
    sides = [np.prod(np.where(oracles.states(len(m)) == 1, m, 1 - m), 1) for m in (m1, m2)]
    return np.outer(*sides)


def enumerated_kl(params, m1, m2):
    """KL(product || RBM) of each chain of each RBM."""
    values = np.empty(m1.shape[:-1])
    for i in np.ndindex(*values.shape):
        table = product(m1[i].astype(np.float64), m2[i].astype(np.float64))
        values[i] = oracles.kl(table, oracles.probabilities(*(p[i[:-1]] for p in params)))
    return values


def log_z_of_each(params):
    batch = params[0].shape[:-1]
    return np.reshape([oracles.log_z(*(p[i] for p in params)) for i in np.ndindex(*batch)], batch)


def logistic(x):
    return 1 / (1 + np.exp(-x))


@SHAPES
def test_kl_is_the_enumerated_one(n1, n2, scale):
    rbm, params, m1, m2 = case(n1, n2, scale)
    found = mean_field.kl(rbm, (tf.constant(m1), tf.constant(m2)), log_z_of_each(params))
    assert found.dtype == tf.float64 and found.shape == (2, 3, 4)
    np.testing.assert_allclose(found, enumerated_kl(params, m1, m2), atol=2e-5)


def test_kl_of_certain_units():
    """At a state, all means 0 or 1, it is minus the state's log-probability."""
    rbm, params, m1, m2 = case(3, 4, 1.0, batch=())
    z1, z2 = np.round(m1), np.round(m2)
    table = oracles.probabilities(*params)
    expected = -np.log(table[oracles.index(z1), oracles.index(z2)])
    found = mean_field.kl(rbm, (tf.constant(z1), tf.constant(z2)), oracles.log_z(*params))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_free_energy_of_the_other_parametrisation():
    """Spins' energy differs by a constant for each RBM, and by nothing else."""
    rbm, _, m1, m2 = case(4, 3, 1.0)
    means = tf.constant(m1), tf.constant(m2)
    spins, of_spins = ising.from_binary(rbm), tuple(2 * m - 1 for m in means)
    gap = mean_field.free_energy(rbm, means) - mean_field.free_energy(spins, of_spins)
    np.testing.assert_allclose(gap, np.broadcast_to(gap[..., :1], gap.shape), atol=2e-5)


@SHAPES
def test_each_half_of_an_update_lowers_the_kl(n1, n2, scale):
    rbm, params, m1, m2 = case(n1, n2, scale)
    values = [enumerated_kl(params, m1, m2)]
    for _ in range(5):
        # the first block's own means are never read
        _, (new1, new2) = mean_field.update(rbm, (None, tf.constant(m2)))
        new1, new2 = new1.numpy(), new2.numpy()
        values += [enumerated_kl(params, new1, m2), enumerated_kl(params, new1, new2)]
        m2 = new2
    assert np.all(np.diff(values, axis=0) <= 1e-6)
    assert np.all(values[0] - values[-1] > 1e-3)


@SHAPES
def test_fixed_point_satisfies_the_equations(n1, n2, scale):
    rbm, (b1, b2, w), m1, m2 = case(n1, n2, scale)
    found1, found2 = (t.numpy() for t in mean_field.fixed_point(rbm, (m1, m2)))
    assert found1.shape == m1.shape and found2.shape == m2.shape
    expected1 = logistic(b1[..., None, :] + np.einsum("...ij,...cj->...ci", w, found2))
    expected2 = logistic(b2[..., None, :] + np.einsum("...ij,...ci->...cj", w, found1))
    np.testing.assert_allclose(found1, expected1, atol=5e-6)
    np.testing.assert_allclose(found2, expected2, atol=5e-6)
    assert np.max(mean_field.residual(rbm, (found1, found2))) < 5e-6


def test_fixed_point_is_a_local_minimum_of_the_enumerated_kl():
    rbm, params, *means = case(3, 4, 2.0, batch=(1,))
    found = [t.numpy() for t in mean_field.fixed_point(rbm, tuple(means))]
    lowest = enumerated_kl(params, *found)
    generator = np.random.default_rng(0)
    for _ in range(20):
        moved = [
            np.clip(m + 0.02 * generator.standard_normal(m.shape), 0, 1).astype(np.float32)
            for m in found
        ]
        assert np.all(enumerated_kl(params, *moved) > lowest - 1e-6)


def test_units_without_couplings_are_their_own_mean_field():
    b1, b2 = np.array([-2.0, 0.5], np.float32), np.array([1.0, 0.0, 3.0], np.float32)
    rbm = RBM(tf.constant(b1), tf.constant(b2), tf.zeros([2, 3]))
    m1, m2 = mean_field.fixed_point(rbm, (tf.zeros([1, 2]), tf.zeros([1, 3])))
    np.testing.assert_allclose(m1[0], logistic(b1), atol=1e-6)
    np.testing.assert_allclose(m2[0], logistic(b2), atol=1e-6)
    log_z = np.logaddexp(0, b1).sum() + np.logaddexp(0, b2).sum()
    np.testing.assert_allclose(mean_field.kl(rbm, (m1, m2), log_z), [0], atol=1e-5)


def test_a_ferromagnet_has_a_solution_for_each_magnetisation():
    """m = tanh(J n m) in spins: the solution of the scalar equation, of the start's sign."""
    n, j = 6, 0.3
    rbm = ising.IsingRBM(tf.zeros([n]), tf.zeros([n]), tf.fill([n, n], j)).binary()
    magnetisation = 1.0
    for _ in range(1000):
        magnetisation = np.tanh(j * n * magnetisation)
    starts = tf.constant([[0.0] * n, [1.0] * n, [0, 0, 0, 0, 0, 1]])
    m1, m2 = mean_field.fixed_point(rbm, (starts, starts))
    for found in (m1, m2):
        signs = np.array([-1, 1, -1])[:, None]
        np.testing.assert_allclose(2 * found - 1, np.tile(signs * magnetisation, n), atol=1e-5)


def test_iterations_end_where_they_are_told_to():
    rbm, _, *start = case(4, 4, 2.0)
    _, expected = mean_field.update(rbm, mean_field.update(rbm, tuple(start))[1])
    found = mean_field.fixed_point(rbm, tuple(start), max_iterations=2)
    for value, truth in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, truth, rtol=1e-6)
    assert np.max(mean_field.residual(rbm, found)) > 1e-4
