from __future__ import annotations

import numpy as np
import oracles
import pytest
import smoothing_oracles as oracle
import tensorflow as tf
from scipy import integrate, special

from dvae_tf import config, relaxations
from dvae_tf.registry import SMOOTHINGS
from dvae_tf.relaxations import overlapping
from sampler import seeds

DEFAULTS = list(config.OVERLAPPING_SHARPNESS.items())
every_smoothing = pytest.mark.parametrize(("name", "sharpness"), DEFAULTS)


# The density


@pytest.mark.parametrize("logit", [-4.0, 0.3, 9.0])
@every_smoothing
def test_density_integrates_to_one(name, sharpness, logit):
    # float64, for below 1e-7 the power function still has half of its mass; the upper half of
    # [0, 1] is the lower half with the opposite logit, which the next test holds
    def density(zeta: np.ndarray) -> np.ndarray:
        smoothing = SMOOTHINGS.load(name)(sharpness)
        logits = (tf.constant(sign * logit, tf.float64) for sign in (1, -1))
        return sum(
            np.exp(overlapping.log_prob(smoothing, x, tf.constant(zeta)).numpy()) for x in logits
        )

    assert abs(oracle.half_integral(density) - 1) < 1e-6


@every_smoothing
def test_density_is_symmetric(name, sharpness):
    log_prob = relaxations.make(name, sharpness).log_prob
    zeta = tf.constant(2.0 ** -np.arange(1.0, 24), tf.float32)  # 1 - zeta is exact
    for logit in (-20.0, -1.0, 5.0):
        values = [log_prob(tf.constant(x), y) for x, y in ((logit, zeta), (-logit, 1 - zeta))]
        np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-5)


@every_smoothing
def test_log_prob_and_its_gradients_equal_the_slow_formula(name, sharpness):
    generator = np.random.default_rng(2)
    logits = generator.normal(0, 3, 300).astype(np.float32)
    zeta = generator.uniform(0.01, 0.99, 300).astype(np.float32)
    x, y = tf.constant(logits), tf.constant(zeta)
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        values = relaxations.make(name, sharpness).log_prob(x, y)
    of_logits, of_zeta = tape.gradient(values, [x, y])

    def slow(logits: np.ndarray, zeta: np.ndarray) -> np.ndarray:
        q = special.expit(logits)
        r0, r1 = (oracle.density(name, sharpness, end) for end in (zeta, 1 - zeta))
        return np.log(q * r1 + (1 - q) * r0)

    exact = logits.astype(np.float64), zeta.astype(np.float64)
    np.testing.assert_allclose(values, slow(*exact), rtol=1e-5, atol=1e-5)
    expected = (slow(exact[0] + 1e-6, exact[1]) - slow(exact[0] - 1e-6, exact[1])) / 2e-6
    np.testing.assert_allclose(of_logits, expected, rtol=1e-4, atol=1e-5)
    expected = (slow(exact[0], exact[1] + 1e-6) - slow(exact[0], exact[1] - 1e-6)) / 2e-6
    np.testing.assert_allclose(of_zeta, expected, rtol=1e-3, atol=1e-4)


# Samples and their gradients


@pytest.mark.parametrize("logit", [-2.0, 0.0, 3.0])
@every_smoothing
def test_samples_follow_the_mixture(name, sharpness, logit):
    logits = tf.fill([200_000], logit)
    zeta = np.sort(relaxations.make(name, sharpness).relax(logits, seeds.make_seed(1)).numpy())
    assert zeta[0] >= overlapping.MARGIN and zeta[-1] <= 1 - overlapping.MARGIN
    # thresholds half-way between the floats near 1, so that rounding never crosses one
    steps = np.unique(np.logspace(np.log10(2), 22.99 * np.log10(2), 300).astype(np.int64))
    thresholds = (steps + 0.5) * 2.0**-24
    thresholds = np.concatenate([thresholds, 1 - thresholds])
    fractions = np.searchsorted(zeta.astype(np.float64), thresholds) / len(zeta)
    distance = np.abs(fractions - oracle.mixture_cdf(name, sharpness, logit, thresholds)).max()
    # Kolmogorov-Smirnov: P(sqrt(N) distance > 2.74) < 2 exp(-2 * 2.74^2) = 6e-7, 5 sigma's
    assert np.sqrt(len(zeta)) * distance < 2.74


def sample_and_gradient(name, sharpness, logits, seed, function=tf.identity):
    """Samples, and the derivatives of function(sample), elementwise, with respect to the logits."""
    logits = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        zeta = relaxations.make(name, sharpness).relax(logits, seeds.make_seed(seed))
        value = function(zeta)
    return zeta.numpy(), tape.gradient(value, logits).numpy()


@every_smoothing
def test_implicit_gradient_equals_finite_differences_of_the_quantile(name, sharpness):
    logits = np.random.default_rng(3).normal(0, 2, 4000).astype(np.float32)
    zeta, gradient = sample_and_gradient(name, sharpness, logits, seed=4)
    inside = np.flatnonzero((zeta > 1e-4) & (zeta < 1 - 1e-4))[:150]
    assert len(inside) == 150 and np.any(zeta[inside] < 0.1) and np.any(zeta[inside] > 0.9)
    for i in inside:
        logit = float(logits[i])
        level = oracle.mixture_cdf(name, sharpness, logit, np.float64(zeta[i]))
        low, high = (
            oracle.mixture_quantile(name, sharpness, logit + h, level) for h in (-1e-4, 1e-4)
        )
        # 2e-6: R(zeta | 0) - R(zeta | 1) in float32, which the density at the ends divides
        assert gradient[i] == pytest.approx((high - low) / 2e-4, rel=2e-4, abs=2e-6)


@pytest.mark.parametrize("logit", [-2.0, 0.0, 1.5])
@every_smoothing
def test_mean_gradient_of_a_cube_equals_quadrature(name, sharpness, logit):
    _, gradient = sample_and_gradient(
        name, sharpness, np.full(400_000, logit), seed=6, function=lambda zeta: zeta**3
    )

    # d E[f] / dq = E[f | z = 1] - E[f | z = 0], each f(1) minus the integral of f' R(zeta | z)
    def rise(zeta: float) -> float:
        below0 = oracle.cdf(name, sharpness, zeta)
        below1 = 1 - oracle.cdf(name, sharpness, 1 - zeta)
        return float(3 * zeta**2 * (below0 - below1))

    q = special.expit(logit)
    expected = q * (1 - q) * integrate.quad(rise, 0, 1)[0]
    mean, stderr = oracles.mean_and_stderr(gradient)
    oracles.assert_within(mean, expected, stderr)


@every_smoothing
def test_extreme_logits_give_finite_values_and_no_gradient(name, sharpness):
    zeta, gradient = sample_and_gradient(name, sharpness, np.repeat([-100.0, 100.0], 1000), seed=7)
    assert np.all(np.isfinite(gradient)) and abs(gradient).max() < 1e-20
    middle = np.median(zeta[:1000]), np.median(1 - zeta[1000:])
    assert max(middle) < 0.2


@pytest.mark.parametrize(("logit", "prior"), [(0.0, 1.0), (-2.0, 0.0), (4.0, -1.0)])
@every_smoothing
def test_the_margin_changes_neither_the_kl_nor_its_gradient(name, sharpness, logit, prior):
    # evenly spaced rho for either z in place of random ones, and float64's exact KL with no margin
    smoothing = SMOOTHINGS.load(name)(sharpness)
    rho = (tf.range(100_000, dtype=tf.float32) + 0.5) / 100_000
    zeta = tf.stack([smoothing.draw(rho), 1 - smoothing.draw(rho)])
    zeta = tf.clip_by_value(zeta, overlapping.MARGIN, 1 - overlapping.MARGIN)
    logits = tf.fill(zeta.shape, logit)
    with tf.GradientTape() as tape:
        tape.watch(zeta)
        log_q = overlapping.log_prob(smoothing, logits, zeta)
        ratio = log_q - overlapping.log_prob(smoothing, tf.fill(zeta.shape, prior), zeta)
    # through zeta alone: the derivative of log q at fixed zeta has mean 0
    gradient = tape.gradient(ratio, zeta) * overlapping.implicit_gradient(smoothing, logits, zeta)
    weights = special.expit(np.array([-logit, logit]))
    mean = weights @ ratio.numpy().astype(np.float64).mean(1)
    mean_gradient = weights @ gradient.numpy().astype(np.float64).mean(1)
    kl = [oracle.kl(name, sharpness, logit + h, prior) for h in (-1e-3, 0, 1e-3)]
    assert abs(mean - kl[1]) < 5e-6
    assert abs(mean_gradient - (kl[2] - kl[0]) / 2e-3) < 2e-5


def test_compiles_with_xla_and_gives_the_same():
    # uniform_exponential has the exponential in it
    names = ["power", "gaussian", "uniform_exponential"]

    def samples_and_gradients(logits: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        results = []
        for name in names:
            sample = relaxations.make(name, config.OVERLAPPING_SHARPNESS[name]).relax
            with tf.GradientTape() as tape:
                tape.watch(logits)
                zeta = sample(logits, seeds.make_seed(13))
            results.append((zeta, tape.gradient(zeta, logits)))
        return results

    logits = tf.constant(np.random.default_rng(15).normal(0, 2, (50, 4)).astype(np.float32))
    compiled = tf.function(samples_and_gradients, jit_compile=True)(logits)
    for of_xla, eager in zip(compiled, samples_and_gradients(logits), strict=True):
        assert np.ptp(eager[0]) > 0.5 and np.any(eager[1])
        for a, b in zip(of_xla, eager, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)
