"""The RBM's methods against loops in NumPy, for every number of batch dimensions."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import exact
from sampler.annealing import ais, bridge
from sampler.machines.rbm import RBM

N1, N2, CHAINS = 3, 5, 4
BATCHES = [(), (2,), (2, 3)]
RTOL = 2e-6  # float32 rounds to 6e-8; sums here have some ten terms of order 1
ATOL = 2e-6


@pytest.fixture(params=BATCHES, ids=str)
def case(request):
    """Parameters and states (relaxed ones, in [0, 1]) of one batch shape."""
    generator = np.random.default_rng(0)
    batch = request.param
    params = oracles.parameters(generator, N1, N2, 1.0, batch)
    z1, z2 = (generator.uniform(size=(*batch, CHAINS, n)).astype(np.float32) for n in (N1, N2))
    return batch, params, z1, z2


def rbm_of(params):
    return RBM(*(tf.constant(p) for p in params))


def members(batch, *arrays):
    """The arrays of each member of the batch, float64."""
    for i in np.ndindex(*batch):
        yield i, [a[i].astype(np.float64) for a in arrays]


def test_energy(case):
    batch, params, z1, z2 = case
    energies = rbm_of(params).energy((z1, z2))
    assert energies.shape == (*batch, CHAINS)
    for i, (b1, b2, w, s1, s2) in members(batch, *params, z1, z2):
        expected = [oracles.energy(b1, b2, w, s1[c], s2[c]) for c in range(CHAINS)]
        np.testing.assert_allclose(energies[i], expected, RTOL, ATOL)


def test_log_marginal(case):
    """Of the second side, and of the first."""
    batch, params, z1, z2 = case
    z1, z2 = np.round(z1), np.round(z2)
    second = rbm_of(params).log_marginal((z1,))
    first = rbm_of(params).log_marginal((None, z2), 0)
    assert first.shape == second.shape == (*batch, CHAINS)
    for i, (b1, b2, w, s1, s2) in members(batch, *params, z1, z2):
        for c in range(CHAINS):
            rows = [oracles.energy(b1, b2, w, s1[c], s) for s in oracles.states(N2)]
            columns = [oracles.energy(b1, b2, w, s, s2[c]) for s in oracles.states(N1)]
            for value, energies in (second, rows), (first, columns):
                truth = np.log(np.exp(-np.array(energies)).sum())
                np.testing.assert_allclose(value[i][c], truth, RTOL, ATOL)


def test_energy_by_hand():
    """Sign and orientation: b1 = (1, 2), b2 = (10), W = (100; 1000), z = ((0, 1), (1))."""
    rbm = RBM(tf.constant([1.0, 2]), tf.constant([10.0]), tf.constant([[100.0], [1000.0]]))
    energies = rbm.energy((tf.constant([[0.0, 1], [1, 0]]), tf.constant([[1.0], [0]])))
    np.testing.assert_array_equal(energies, [-1012, -1])


def test_natural_parameters_and_couplings(case):
    batch, params, z1, z2 = case
    rbm = rbm_of(params)
    methods = [
        method(k, state)
        for method in (rbm.natural, rbm.coupling)
        for k, state in enumerate([(None, z2), (z1,)])
    ]
    assert [m.shape for m in methods] == [(*batch, CHAINS, n) for n in (N1, N2, N1, N2)]
    for i, (b1, b2, w, s1, s2) in members(batch, *params, z1, z2):
        expected = s2 @ w.T + b1, s1 @ w + b2, s2 @ w.T, s1 @ w
        for method, value in zip(methods, expected, strict=True):
            np.testing.assert_allclose(method[i], value, RTOL, ATOL)


def test_natural_parameters_are_the_conditionals_of_the_energy():
    """logit p(z_i = 1 | the other side) = E(z_i = 0) - E(z_i = 1)."""
    generator = np.random.default_rng(1)
    params = oracles.parameters(generator, N1, N2, 1.0)
    s1, s2 = oracles.states(N1)[5], oracles.states(N2)[19]
    logits1 = rbm_of(params).natural(0, (None, tf.constant(s2[None], tf.float32)))[0]
    for i in range(N1):
        off, on = s1.copy(), s1.copy()
        off[i], on[i] = 0, 1
        gap = oracles.energy(*params, off, s2) - oracles.energy(*params, on, s2)
        np.testing.assert_allclose(logits1[i], gap, RTOL, ATOL)


def test_energy_change(case):
    batch, params, z1, z2 = case
    new = oracles.parameters(np.random.default_rng(2), N1, N2, 1.0, batch)
    change = rbm_of(params).energy_change(rbm_of(new), (z1, z2))
    assert change.shape == (*batch, CHAINS)
    for i, (*old_i, s1, s2) in members(batch, *params, z1, z2):
        new_i = [p[i] for p in new]
        for c in range(CHAINS):
            pair = s1[c], s2[c]
            expected = oracles.energy(*new_i, *pair) - oracles.energy(*old_i, *pair)
            np.testing.assert_allclose(change[i][c], expected, RTOL, 2 * ATOL)


def test_energy_change_keeps_a_small_change_of_large_energies():
    generator = np.random.default_rng(3)
    old = oracles.parameters(generator, 100, 100, 3.0)
    new = [(p + 1e-5 * generator.normal(size=p.shape)).astype(np.float32) for p in old]
    z1, z2 = (generator.integers(0, 2, (CHAINS, 100)).astype(np.float32) for _ in range(2))
    change = rbm_of(old).energy_change(rbm_of(new), (z1, z2))
    difference = [np.float64(n) - np.float64(o) for n, o in zip(new, old, strict=True)]
    expected = [oracles.energy(*difference, z1[c], z2[c]) for c in range(CHAINS)]
    # energies of order 100 are rounded to 1e-5 and worse, ten times what is allowed here
    np.testing.assert_allclose(change, expected, rtol=0, atol=1e-6)


def test_copies(case):
    batch, params, z1, z2 = case
    rbm = rbm_of(params)
    copies = rbm.copies(6)
    for copy, original in zip(copies, params, strict=True):
        np.testing.assert_array_equal(copy, np.stack([original] * 6))
    states = [np.stack([z] * 6) for z in (z1, z2)]
    np.testing.assert_allclose(copies.energy(tuple(states))[5], rbm.energy((z1, z2)), RTOL, ATOL)


def test_rms_coupling(case):
    _, params, _, _ = case
    truth = np.sqrt(np.mean(params[2].astype(np.float64) ** 2))
    np.testing.assert_allclose(rbm_of(params).rms_coupling(), truth, RTOL)


def test_mean_energy_is_the_weighted_mean_of_energies():
    generator = np.random.default_rng(5)
    params = oracles.parameters(generator, 4, 3, 1.0, (2,))
    z1, z2 = (generator.integers(0, 2, (2, 6, n)).astype(np.float32) for n in (4, 3))
    weights = generator.random((2, 6)).astype(np.float32)
    z1, z2, weights = map(tf.constant, (z1, z2, weights))
    mean = RBM(*map(tf.constant, params)).mean_energy((z1, z2), weights)
    for k in range(2):
        one = [p[k] for p in params]
        energies = [oracles.energy(*one, z1[k, c], z2[k, c]) for c in range(6)]
        np.testing.assert_allclose(mean[k], weights[k].numpy() @ energies, rtol=1e-5)


@pytest.mark.parametrize("kind", [np.float64, np.float32, list], ids=str)
def test_arrays_of_any_kind_are_taken(kind):
    """Exact answers and paths convert what they are given: here one half and whole numbers."""
    values = [[0, 1], [1, 0, -1], [[0.5, 1, 0], [0, 1, 1]]]
    arrays = values if kind is list else [np.array(v, kind) for v in values]
    rbm = RBM(*arrays)
    assert float(exact.log_z(rbm)) == pytest.approx(oracles.log_z(*values), rel=1e-12)
    z1, z2 = exact.sample(rbm, 4, 0)
    assert z1.shape == (4, 2) and z2.shape == (4, 3) and z1.dtype == z2.dtype == tf.float32
    estimate = ais.run(bridge.from_uniform(rbm), [0, 0.5, 1], 1000)
    oracles.assert_within(estimate.log_z, oracles.log_z(*values), estimate.stderr)
