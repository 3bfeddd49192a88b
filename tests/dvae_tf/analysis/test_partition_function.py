"""Convergence of log Z on RBMs that can be enumerated, and what is written about it."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from dvae_tf.analysis import comparison, convergence, convergence_report
from dvae_tf.analysis.comparison import Case
from dvae_tf.analysis.convergence import Curve, Truth
from dvae_tf.analysis.options import ComparisonSettings as Settings
from sampler import seeds
from sampler.annealing import ais, bridge
from sampler.annealing import chains as annealing
from sampler.machines.rbm import RBM

SETTINGS = Settings(
    max_temperatures=10,
    num_chains=30,
    num_repeats=40,
    truth_temperatures=33,
    posterior_truth_temperatures=33,
    truth_chains=500,
)
PARAMETERS = oracles.parameters(np.random.default_rng(3), 4, 5, 0.8, (2,))
TRUTH = np.array([oracles.log_z(*(p[i] for p in PARAMETERS)) for i in range(2)])


def rbm_of(params):
    return RBM(*(tf.constant(p) for p in params))


@pytest.fixture(scope="module", autouse=True)
def plain_graphs():
    """XLA's compilation for each schedule would take most of the time; its results are the same."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, function in (
            (annealing, "_anneal_compiled", annealing._anneal),
            (ais, "_sweeps_compiled", ais.gibbs.run),
            (convergence, "_sweeps", convergence._sweeps.python_function),
        ):
            patch.setattr(module, name, tf.function(function, autograph=False))
        yield


@pytest.fixture(scope="module")
def cases():
    """One posterior and the prior, another RBM of the same shape: graphs serve both."""
    posterior, prior = rbm_of([p[:1] for p in PARAMETERS]), rbm_of([p[1] for p in PARAMETERS])
    seed = seeds.make_seed(0)
    return comparison.compare(posterior, prior, SETTINGS, seed)


def test_cases_are_those_of_the_paper_and_the_means(cases):
    found = [(case.rbm, case.base) for case in cases]
    assert found == [("posterior", "biases"), ("posterior", "means"), ("prior", "uniform")]


def test_truths_are_the_enumerated_ones(cases):
    for case in cases:
        expected = TRUTH[:1] if case.rbm == "posterior" else TRUTH[1:]
        oracles.assert_within(case.truth.log_z, expected, case.truth.stderr)
        oracles.assert_within(case.truth.gap, 0, 2 * case.truth.stderr)
        assert case.truth.stderr.max() < 0.02


def test_curves_end_where_they_should(cases):
    for case in cases:
        counts, low = case.curve.num_temperatures, case.curve.std < convergence.TARGET
        assert list(counts) == [2, 4, 8][: len(counts)]
        reached = low.all(1) & (case.curve.predicted < convergence.TARGET).all(1)
        assert not reached[:-1].any() and (reached[-1] or counts[-1] == 8)


def test_measured_spread_is_the_weights(cases):
    """At 8 temperatures weights are even; sd of a standard deviation: 1 / sqrt(2 (R - 1))."""
    for case in cases[:1] + cases[2:]:
        ratio = case.curve.std[-1] / case.curve.predicted[-1]
        oracles.assert_within(ratio, 1, 1 / np.sqrt(2 * (SETTINGS.num_repeats - 1)), slack=0.1)


def test_errors_fall_with_the_temperatures(cases):
    for case in cases:
        assert np.all(case.curve.error[-1] < 0.7 * case.curve.error[0])
        # of a normal variable of standard deviation s the mean absolute value is 0.8 s
        expected = np.sqrt(2 / np.pi) * case.curve.std[-1]
        stderr = case.curve.std[-1] / np.sqrt(SETTINGS.num_repeats)
        oracles.assert_within(case.curve.error[-1], expected, stderr + case.truth.stderr)


def test_estimates_are_independent_groups_of_chains():
    """Their mean Z is Z, and their spread says that of the mean."""
    route = bridge.from_uniform(rbm_of(PARAMETERS))
    found = convergence.estimates(route, 4, 25, 200, seeds.make_seed(1))
    assert found.log_z.shape == (2, 200)
    ratio = np.exp(found.log_z.numpy() - TRUTH[:, None])
    mean, stderr = oracles.mean_and_stderr(ratio, 1)
    oracles.assert_within(mean, 1, stderr)
    correlation = np.corrcoef(ratio[:, ::2].ravel(), ratio[:, 1::2].ravel())[0, 1]
    oracles.assert_within(correlation, 0, 1 / np.sqrt(200))


def test_base_of_gibbs_means_is_near_the_means():
    rbm = rbm_of(PARAMETERS)
    base = convergence.path_from_gibbs_means(rbm, seeds.make_seed(2))
    for i in range(2):
        params = [p[i] for p in PARAMETERS]
        for logits, truth in (
            (base.base1[i], oracles.mean1(*params)),
            (base.base2[i], oracles.mean2(*params)),
        ):
            stderr = np.sqrt(truth * (1 - truth) / 200)
            oracles.assert_within(tf.sigmoid(logits), truth, stderr)


COUNTS = np.array([2.0, 4.0, 8.0, 16.0])


@pytest.mark.parametrize(
    "std, expected",
    [
        ([0.8, 0.4, 0.2, 0.1], 8 * 2**0.5),  # between 0.2 and 0.1
        ([0.1, 0.09, 0.08, 0.07], 2),
        ([0.8, 0.4, 0.3, 0.2], np.nan),
        ([0.8, 0.1, 0.2, 0.1], 8 * 2**0.5),  # below, but not for good
    ],
)
def test_temperatures_for(std, expected):
    found = convergence.temperatures_for(COUNTS, np.array(std), 0.2 / 2**0.5)
    np.testing.assert_allclose(found, expected)


def case_of(rbm, base, std):
    std = np.array(std)[:, None]
    truth = Truth(np.array([3.0]), np.array([0.001]), np.array([0.002]))
    return Case(rbm, base, truth, Curve(COUNTS[: len(std)], 0.8 * std, std, std))


MADE = [
    case_of("posterior", "biases", [0.02, 0.005]),
    case_of("posterior", "means", [0.004]),
    case_of("prior", "uniform", [0.08, 0.04, 0.02, 0.005]),
]


def test_rows_and_reading_state_the_numbers():
    rows = convergence_report.rows(MADE)
    assert [row["num_temperatures"] for row in rows] == [2, 4, 2, 2, 4, 8, 16]
    assert [row["rbm"] for row in rows] == 3 * ["posterior 0"] + 4 * ["prior"]
    assert (rows[1]["mean_abs_error"], rows[1]["std"]) == ("0.004000", "0.005000")
    text = convergence_report.reading(MADE, SETTINGS)
    # halfway in the logarithm: sqrt(8) for the posterior, sqrt(128) for the prior
    assert "3 (3) temperatures for 1 posteriors, annealed from their biases" in text
    assert "of which the prior needs 4.0 (4.0) times as many" in text
    assert "11 (11) temperatures for the prior" in text


def test_reading_of_a_prior_that_never_gets_there():
    """Not in the repeats, of which there are few, though the weights say that it does."""
    prior = case_of("prior", "uniform", [0.08, 0.04, 0.02, 0.011])
    by_weights = MADE[2].curve.std
    prior = prior._replace(curve=prior.curve._replace(predicted=by_weights))
    text = convergence_report.reading([MADE[0], prior], SETTINGS)
    assert "above 16 (11) temperatures for the prior" in text
    assert "the prior needs an unknown number of (4.0) times as many" in text
    assert "nan" not in text


def test_figure_has_a_line_for_each_case():
    for axes, field in zip(convergence_report.figure(MADE).axes, ("error", "std"), strict=True):
        lines = [line for line in axes.lines if line.get_marker() == "o"]
        for line, case in zip(lines, MADE, strict=True):
            np.testing.assert_allclose(line.get_xdata(), case.curve.num_temperatures)
            np.testing.assert_allclose(line.get_ydata(), getattr(case.curve, field)[:, 0])
        assert axes.get_xscale() == axes.get_yscale() == "log"
