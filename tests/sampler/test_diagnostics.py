"""Diagnostics against closed forms of AR(1), still chains, and RBMs with planted modes."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize

from sampler import diagnostics, seeds
from sampler.annealing import bridge as bridges
from sampler.machines.rbm import RBM
from sampler.tempering import parallel_tempering


def ar1(rho, steps, chains, generator):
    """Stationary AR(1) of variance 1, [steps, chains]."""
    noise = generator.normal(size=(steps, chains))
    x = noise.copy()
    for t in range(1, steps):
        x[t] = rho * x[t - 1] + np.sqrt(1 - rho**2) * noise[t]
    return x


@pytest.mark.parametrize("chains", [1, 4, 50])
@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9])
def test_autocorrelation_time_of_ar1(rho, chains):
    """The estimate's relative error is sqrt(2 (2 M + 1) / N) for a window of M (Sokal 1997).

    Geyer's window ends about where rho^M is lost in the noise: 5 times the time is taken for M.
    """
    steps = 100_000 // chains
    trace = ar1(rho, steps, chains, np.random.default_rng(0))
    truth = (1 + rho) / (1 - rho)
    error = np.sqrt(2 * (2 * 5 * max(truth, 1) + 1) / trace.size)
    time = diagnostics.autocorrelation_time(trace)
    assert time.shape == () and time.dtype == tf.float64
    np.testing.assert_allclose(time, truth, rtol=5 * error)
    size = diagnostics.effective_sample_size(trace)
    np.testing.assert_allclose(size * time, trace.size, rtol=1e-9)


def test_quantities_are_apart():
    generator = np.random.default_rng(1)
    columns = [ar1(rho, 5000, 8, generator) for rho in (0.0, 0.8)]
    trace = np.stack(columns, -1).astype(np.float32)
    times = diagnostics.autocorrelation_time(trace)
    np.testing.assert_allclose(times, [1, 9], rtol=0.2)
    for column, time in zip(columns, times, strict=True):
        alone = diagnostics.autocorrelation_time(column.astype(np.float32))
        np.testing.assert_allclose(alone, time, rtol=1e-6)


def test_effective_size_of_chains_that_disagree():
    """Each chain alone is worth 1000 samples; of the mean of all they say next to nothing."""
    offsets = np.arange(8.0) * 10
    trace = offsets + np.random.default_rng(2).normal(size=(1000, 8))
    assert diagnostics.effective_sample_size(trace) < 16
    assert diagnostics.effective_sample_size(trace - offsets) > 6000


def test_r_hat():
    generator = np.random.default_rng(3)
    mixed = generator.normal(size=(1001, 8, 2))
    assert np.all(abs(diagnostics.r_hat(mixed) - 1) < 0.005)
    # of 8 means m and variance 1 within: sqrt(1 + var m), up to the split halves' 15 of 16
    offsets = np.arange(8.0)[:, None]
    expected = np.sqrt(1 + np.repeat(offsets, 2).var(ddof=1))
    np.testing.assert_allclose(diagnostics.r_hat(mixed + offsets), expected, rtol=0.05)
    drifting = mixed + np.linspace(0, 3, 1001)[:, None, None]
    assert np.all(diagnostics.r_hat(drifting) > 1.2)


def test_chains_that_stand_still():
    """One value everywhere tells nothing; each chain at its own is as bad as can be."""
    still = np.ones((100, 4))
    for function in (
        diagnostics.r_hat,
        diagnostics.effective_sample_size,
        diagnostics.autocorrelation_time,
    ):
        assert np.isnan(function(still))
    apart = still * np.arange(4)
    assert diagnostics.r_hat(apart) == np.inf
    moving = np.random.default_rng(4).normal(size=(100, 4))
    both = np.stack([still, moving], -1)
    np.testing.assert_array_equal(np.isnan(diagnostics.r_hat(both)), [True, False])
    np.testing.assert_array_equal(np.isnan(diagnostics.effective_sample_size(both)), [True, False])


@pytest.mark.parametrize("shape", [(10,), (3, 4), (10, 0)])
def test_traces_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="trace: found shape .*; accepted: "):
        diagnostics.effective_sample_size(np.zeros(shape))


def test_r_hat_of_one_chain_is_refused():
    with pytest.raises(ValueError, match="accepted: two chains or more"):
        diagnostics.r_hat(np.zeros((10, 1)))


# Modes


def blocks(count, size, coupling, field=0.0):
    """`count` independent Curie-Weiss ferromagnets of size + size spins, in one RBM."""
    w = np.kron(np.eye(count), np.full((size, size), 4 * coupling / size))
    bias = np.full(count * size, 2 * (field - coupling))
    return RBM(*(tf.constant(p, tf.float32) for p in (bias, bias, w)))


def signs(count, size, shares, total):
    """States z2 of spins that point up or down block by block, as many as shares of the total."""
    rows = [[i >> k & 1 for k in range(count)] for i in range(2**count)]
    return np.repeat(np.repeat(rows, size, 1), np.round(total * np.array(shares)).astype(int), 0)


def both(z):
    """The same states of both sides."""
    return tf.constant(z, tf.float32), tf.constant(z, tf.float32)


def test_two_modes_of_a_ferromagnet():
    """m = tanh(2 J' m + h), solved for spins of +-1; noisy samples fall into their own mode."""
    rbm = blocks(1, 50, 1.3)
    root = optimize.brentq(lambda m: m - np.tanh(1.3 * m), 0.1, 1)
    z2 = signs(1, 50, [0.3, 0.7], 1000)
    noise = np.random.default_rng(5).random(z2.shape) < 0.15
    modes = diagnostics.count_modes(rbm, both(z2 ^ noise))
    np.testing.assert_allclose(modes.shares, [0.7, 0.3])
    for mean in modes.means:
        assert mean.shape == (2, 50)
        np.testing.assert_allclose(mean[0], (1 + root) / 2, atol=1e-4)
        np.testing.assert_allclose(mean[1], (1 - root) / 2, atol=1e-4)


def test_eight_modes_of_three_ferromagnets():
    shares = np.array([1, 2, 3, 4, 6, 9, 15, 24]) / 64
    z2 = signs(3, 10, shares, 640)
    modes = diagnostics.count_modes(
        blocks(3, 10, 2.0), both(np.random.default_rng(6).permutation(z2))
    )
    np.testing.assert_allclose(modes.shares, shares[::-1])
    states = [[int(mean[10 * k] > 0.5) << k for k in range(3)] for mean in modes.means[1]]
    np.testing.assert_array_equal(np.sum(states, -1), np.arange(8)[::-1])


def test_above_the_critical_temperature_there_is_one_mode():
    modes = diagnostics.count_modes(blocks(2, 20, 0.8), both(signs(2, 20, [0.25] * 4, 40)))
    np.testing.assert_array_equal(modes.shares, [1])
    np.testing.assert_allclose(modes.means[0], 0.5, atol=1e-3)


def test_modes_nearer_than_the_tolerance_are_one():
    rbm, state = blocks(1, 20, 1.5), both(signs(1, 20, [0.5, 0.5], 10))
    assert len(diagnostics.count_modes(rbm, state).shares) == 2
    assert len(diagnostics.count_modes(rbm, state, tolerance=0.9).shares) == 1


def test_modes_of_parallel_tempering_have_their_weights():
    """Without a field both are equal; energies of ladders that exchange have mixed."""
    path = bridges.from_uniform(blocks(1, 30, 1.5))
    betas = np.array([0, 0.6, 0.75, 0.87, 1], np.float32)
    result = parallel_tempering.run(path, betas, 200, 500, seeds.make_seed(0), thinning=50)
    modes = diagnostics.count_modes(path.machine, result.samples.state)
    assert len(modes.shares) == 2
    up = np.mean(np.mean(result.draws[1], -1) > 0.5, 0)
    assert abs(modes.shares[0] - 0.5) < 5 * up.std() / np.sqrt(200) + 0.02
    assert diagnostics.r_hat(path.machine.energy(result.draws)) < 1.1


@pytest.mark.parametrize("shape", [(5,), (3, 4), (0, 5), (2, 3, 5)])
def test_samples_of_other_shapes_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"state: found blocks .*; accepted: \[C, n\] with n of \(5, 5\)"
    ):
        diagnostics.count_modes(blocks(1, 5, 1.0), (tf.zeros(shape), tf.zeros(shape)))
