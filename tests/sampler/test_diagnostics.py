"""Diagnostics against closed forms of AR(1), still chains, and RBMs with planted modes."""

import numpy as np
import pytest
import tensorflow as tf

from sampler import diagnostics


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
