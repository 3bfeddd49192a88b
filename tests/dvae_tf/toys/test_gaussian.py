"""Fig. 1: the Gaussian, its KL and its estimators, against plain NumPy."""

import csv
from functools import partial

import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy.stats import multivariate_normal

from dvae_tf.toys import gaussian_report, gaussian_runs
from dvae_tf.toys.estimators import ESTIMATORS, gibbs, reparameterised
from dvae_tf.toys.gaussian_runs import PROBE, START, TARGET
from dvae_tf.toys.normal import Gaussian
from dvae_tf.toys.settings import GaussianSettings

MEAN, PRECISION = np.array([0.0, 0.5]), np.array([[1.3, 0.8], [0.8, 0.9]])
TARGET_MEAN, TARGET_PRECISION = np.ones(2), np.array([[1.1, 0.9], [0.9, 1.1]])
SAMPLES = 50_000


def textbook_kl(mean, covariance):
    """KL(N(mean, covariance) || the target), by the formula with traces and determinants."""
    shift = mean - TARGET_MEAN
    product = TARGET_PRECISION @ covariance
    trace = np.trace(product) + shift @ TARGET_PRECISION @ shift
    return 0.5 * (trace - 2 - np.log(np.linalg.det(product)))


def unpack(vector):
    """Mean and precision of (m_1, m_2, a_1, a_2, c)."""
    factor = np.array([[np.exp(vector[2]), 0], [vector[4], np.exp(vector[3])]])
    return vector[:2], factor @ factor.T


def pack(q):
    return np.concatenate([q.mean, q.log_diagonal, q.below[..., None]], -1)


def differences(function, at, step=1e-5):
    """The gradient of a function of a vector by central differences."""
    return np.array([(function(at + e) - function(at - e)) / (2 * step) for e in step * np.eye(5)])


def expected_loss(vector, num_sweeps):
    """E of -log p + log q_fixed after sweeps of the Gaussian `vector` from z_2 of the fixed one.

    The chain is linear: z_1 = m_1 - r_1 (z_2 - m_2) + noise, z_2 likewise, so that means and
    variances follow by hand; f is a quadratic form.
    """
    mean, precision = unpack(vector)
    mean2, variance2 = MEAN[1], np.linalg.inv(PRECISION)[1, 1]
    for _ in range(num_sweeps):
        ratio1 = precision[0, 1] / precision[0, 0]
        ratio2 = precision[0, 1] / precision[1, 1]
        mean1 = mean[0] - ratio1 * (mean2 - mean[1])
        variance1 = ratio1**2 * variance2 + 1 / precision[0, 0]
        mean2 = mean[1] - ratio2 * (mean1 - mean[0])
        variance2 = ratio2**2 * variance1 + 1 / precision[1, 1]
        covariance = -ratio2 * variance1
    second = np.array([[variance1, covariance], [covariance, variance2]])
    total = 0.0
    for sign, centre, form in ((-1, MEAN, PRECISION), (1, TARGET_MEAN, TARGET_PRECISION)):
        shift = np.array([mean1, mean2]) - centre
        total += sign * 0.5 * (np.trace(form @ second) + shift @ form @ shift)
    return total


@pytest.fixture(scope="module")
def measured():
    return {name: gaussian_runs.measure(loss, SAMPLES, 3) for name, loss in ESTIMATORS.items()}


def test_constants_are_the_papers():
    for q, mean, precision in (
        (TARGET, TARGET_MEAN, TARGET_PRECISION),
        (PROBE, MEAN, PRECISION),
        (START, np.zeros(2), np.eye(2)),
    ):
        np.testing.assert_allclose(q.mean, mean)
        np.testing.assert_allclose(q.precision(), precision, atol=1e-12)


def test_density_is_scipys():
    z = np.random.default_rng(0).normal(size=(7, 2))
    truth = multivariate_normal(MEAN, np.linalg.inv(PRECISION)).logpdf(z)
    np.testing.assert_allclose(PROBE.log_prob(tf.constant(z)), truth, rtol=1e-10)


def test_kl_is_the_integral():
    # 400 x 400 midpoints over 9 standard deviations: the sum of a smooth function that vanishes at
    # the borders is exact to rounding
    axis = np.linspace(-9, 9, 401)[:-1] + 9 / 400
    deviation = np.sqrt(np.diag(np.linalg.inv(PRECISION)))
    grid = np.stack(np.meshgrid(axis, axis), -1) * deviation + MEAN
    log_q = multivariate_normal(MEAN, np.linalg.inv(PRECISION)).logpdf(grid)
    log_p = multivariate_normal(TARGET_MEAN, np.linalg.inv(TARGET_PRECISION)).logpdf(grid)
    integral = np.sum(np.exp(log_q) * (log_q - log_p)) * np.prod((axis[1] - axis[0]) * deviation)
    assert float(PROBE.kl(TARGET)) == pytest.approx(integral, rel=1e-8)
    assert float(START.kl(TARGET)) == pytest.approx(textbook_kl(np.zeros(2), np.eye(2)), rel=1e-12)


def test_kl_is_accurate_near_zero():
    near = Gaussian(TARGET.mean + 1e-9, TARGET.log_diagonal, TARGET.below)
    assert float(TARGET.kl(TARGET)) == 0
    assert float(near.kl(TARGET)) == pytest.approx(2e-18, rel=1e-5)  # 1'L 1 / 2 = 2


@pytest.mark.parametrize("num_sweeps", [0, 1, 3])
def test_samples_and_sweeps_leave_q_invariant(num_sweeps):
    noise = np.random.default_rng(1).normal(size=(SAMPLES, num_sweeps + 1, 2))
    z = PROBE.sample(noise[:, 0])
    for i in range(num_sweeps):
        z = PROBE.sweep(z[:, 1], noise[:, 1 + i])
    centred = z.numpy() - MEAN
    products = centred[:, :, None] * centred[:, None]
    mean, error = oracles.mean_and_stderr(centred)
    oracles.assert_within(mean, 0, error)
    mean, error = oracles.mean_and_stderr(products.reshape(-1, 4))
    oracles.assert_within(mean, np.linalg.inv(PRECISION).ravel(), error)


def test_exact_gradient_is_the_difference_quotient(measured):
    def kl(vector):
        mean, precision = unpack(vector)
        return textbook_kl(mean, np.linalg.inv(precision))

    truth = differences(kl, pack(PROBE))
    np.testing.assert_allclose(measured["reparameterised"].exact, truth, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["REINFORCE", "reparameterised"])
def test_unbiased_estimators(measured, name):
    found = measured[name]
    oracles.assert_within(found.exact + found.bias, found.exact, found.standard_error)
    np.testing.assert_allclose(found.standard_error, found.deviation / np.sqrt(SAMPLES))


@pytest.mark.parametrize("num_sweeps", [1, 2, 4, 8])
def test_gibbs_gradient_is_term_ii(measured, num_sweeps):
    # the paper's equation 8 without I: the derivative of the expectation over the sweeps alone
    found = measured[f"Gibbs, t = {num_sweeps}"]
    truth = differences(partial(expected_loss, num_sweeps=num_sweeps), pack(PROBE))
    oracles.assert_within(found.exact + found.bias, truth, found.standard_error, 1e-8)


def test_bias_falls_with_the_sweeps(measured):
    exact = measured["REINFORCE"].exact
    biases = [
        np.linalg.norm(differences(partial(expected_loss, num_sweeps=t), pack(PROBE)) - exact)
        for t in (1, 2, 4, 8)
    ]
    assert all(later < 0.5 * earlier for earlier, later in zip(biases, biases[1:], strict=False))
    estimates = [np.linalg.norm(measured[f"Gibbs, t = {t}"].bias) for t in (1, 2, 4)]
    errors = [np.linalg.norm(measured[f"Gibbs, t = {t}"].standard_error) for t in (1, 2, 4)]
    oracles.assert_within(np.array(estimates), np.array(biases[:3]), np.array(errors))


def test_gradients_have_no_noise_at_the_target(monkeypatch):
    monkeypatch.setattr(gaussian_runs, "PROBE", TARGET)
    for loss in (reparameterised, partial(gibbs, num_sweeps=2)):
        found = gaussian_runs.measure(loss, 100, 0)
        np.testing.assert_allclose([found.bias, found.deviation], 0, atol=1e-12)


def test_the_command_writes_what_it_found(tmp_path, capsys, monkeypatch):
    for name in [f"Gibbs, t = {t}" for t in (2, 4, 8)]:
        monkeypatch.delitem(ESTIMATORS, name)  # three are enough, and quicker to compile
    settings = GaussianSettings(num_steps=400, num_runs=8, record_every=100, bias_samples=1000)
    gaussian_report.write(tmp_path, settings)
    with (tmp_path / "gaussian.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    kl = {(r["estimator"], int(r["step"])): float(r["kl_median"]) for r in rows}
    assert len(rows) == 3 * 5
    for name in ESTIMATORS:
        assert kl[name, 0] == pytest.approx(textbook_kl(np.zeros(2), np.eye(2)))
        limit = 1 if name == "REINFORCE" else kl["REINFORCE", 400] / 10
        assert kl[name, 400] < limit
    with (tmp_path / "gaussian_gradients.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3 * 5
    reading = (tmp_path / "gaussian.md").read_text()
    assert f"REINFORCE has {kl['REINFORCE', 400]:.2g}" in reading
    assert reading in capsys.readouterr().out


def test_comparison_finds_the_step():
    median = {"REINFORCE": [4, 1, 0.5, 0.1], "Gibbs, t = 1": [4, 0.05, 1e-3, 1e-4], "x": [4] * 4}
    curves = {name: np.stack([np.array(v, float)] * 3, 1) for name, v in median.items()}
    found = gaussian_report.compare(curves, record_every=10)
    expected = (20, pytest.approx(500), [10, 30], 1e-4, pytest.approx(1000))
    assert tuple(found["Gibbs, t = 1"]) == expected
    assert found["x"].reached == -1 and found["x"].ahead == []
