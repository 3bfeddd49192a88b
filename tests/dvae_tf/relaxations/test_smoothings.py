from __future__ import annotations

import numpy as np
import pytest
import smoothing_oracles as oracle
import tensorflow as tf
from scipy import integrate

from dvae_tf import config
from dvae_tf.registry import SMOOTHINGS

# soft and hard; the second are the defaults
SETTINGS = [("power", 4.0), ("exponential", 3.0), ("gaussian", 2.0), ("uniform_exponential", 4.0)]
SETTINGS += list(config.OVERLAPPING_SHARPNESS.items())

ZETA = np.concatenate([np.logspace(-7, -1, 25), np.linspace(0.15, 0.999, 25)])


@pytest.mark.parametrize(("name", "sharpness"), SETTINGS)
def test_the_oracle_s_density_is_its_cdf_s_derivative_and_integrates_to_one(name, sharpness):
    def weighted(s: float) -> float:  # zeta = exp(-s), so that the end at 0 is not singular
        return float(oracle.density(name, sharpness, np.exp(-s)) * np.exp(-s))

    total, error = integrate.quad(weighted, 0, min(50 * sharpness, 700), limit=200)
    # the power function with 30 has exp(-700 / 30) = 7e-11 below the least exp(-s) of float64
    assert abs(total - 1) < 1e-9 + 5 * error
    h = 1e-4 * ZETA
    low, high = (oracle.cdf(name, sharpness, ZETA + x) for x in (-h, h))
    density = oracle.density(name, sharpness, ZETA)
    # float64's rounding of R, 1e-16, over 2 h >= 2e-11
    np.testing.assert_allclose((high - low) / (2 * h), density, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-9), (np.float32, 2e-5)])
@pytest.mark.parametrize(("name", "sharpness"), SETTINGS)
def test_density_and_cdf_equal_the_oracle_s(name, sharpness, dtype, rtol):
    smoothing = SMOOTHINGS.load(name)(sharpness)
    zeta = ZETA.astype(dtype)
    exact = zeta.astype(np.float64)
    log_density = smoothing.log_density(tf.constant(zeta)).numpy()
    assert log_density.dtype == dtype
    np.testing.assert_allclose(
        np.exp(log_density), oracle.density(name, sharpness, exact), rtol=rtol
    )
    cdf = smoothing.cdf(tf.constant(zeta))
    np.testing.assert_allclose(cdf, oracle.cdf(name, sharpness, exact), rtol=rtol)
    ends = smoothing.cdf(tf.constant([0, 1], dtype))
    np.testing.assert_allclose(ends, [0, 1], atol=1e-6)


@pytest.mark.parametrize(("name", "sharpness"), SETTINGS)
def test_draws_follow_the_cdf(name, sharpness):
    # evenly spaced rho: the fraction below a threshold is the CDF up to the spacing, once for each
    # branch, and to float32
    rho = (np.arange(100_000) + 0.5) / 100_000
    draws = SMOOTHINGS.load(name)(sharpness).draw(tf.constant(rho, tf.float32)).numpy()
    assert draws.min() >= 0 and draws.max() <= 1
    fractions = np.searchsorted(np.sort(draws), ZETA) / len(draws)
    np.testing.assert_allclose(fractions, oracle.cdf(name, sharpness, ZETA), atol=3e-5)


def test_draws_are_finite_at_the_ends_of_rho():
    rho = tf.constant([2.0**-24, 1 - 2.0**-24])
    for name, sharpness in SETTINGS:
        draws = SMOOTHINGS.load(name)(sharpness).draw(rho).numpy()
        assert np.all((draws >= 0) & (draws <= 1)), (name, draws)


def test_default_sharpnesses_overlap_as_the_power_function_s():
    # the integral of min(r(zeta | 0), r(zeta | 1)), twice the mass of r(. | 0) above 1/2
    overlaps = {
        name: 2 * (1 - oracle.cdf(name, sharpness, np.float64(0.5)))
        for name, sharpness in config.OVERLAPPING_SHARPNESS.items()
    }
    assert overlaps["power"] == pytest.approx(0.0457, abs=1e-4)
    for name, overlap in overlaps.items():
        assert abs(overlap / overlaps["power"] - 1) < 0.15, (name, overlap)
