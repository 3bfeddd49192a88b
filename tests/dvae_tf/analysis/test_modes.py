"""Modes of RBMs whose modes are known, and what is written about them."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from dvae_tf.analysis import modes_report, multimodality
from dvae_tf.analysis.multimodality import Modes, Settings
from sampler import seeds
from sampler.annealing import chains as annealing
from sampler.machines.rbm import RBM
from sampler.populations import population_annealing

SETTINGS = Settings(num_samples=200, num_temperatures=21)
BIAS = np.array([0.5, -1.0, 2.0, 0.0, -0.5], np.float32)


@pytest.fixture(scope="module", autouse=True)
def plain_graphs():
    """XLA's compilation would take most of the time; its results are the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            annealing, "_anneal_compiled", tf.function(annealing._anneal, autograph=False)
        )
        for name in ("_begin", "_step"):
            function = getattr(population_annealing, name).python_function
            patch.setattr(population_annealing, name, tf.function(function, autograph=False))
        yield


def two_modes(field):
    """A ferromagnet of 5+5 units, all off or all on; `field` tips the balance.

    An odd number of units: exactly half of them on is the border of both basins, where mean field
    would stay.
    """
    bias = np.full(5, field - 5 * 1.6 / 2, np.float32)
    return bias, bias, np.full((5, 5), 1.6, np.float32)


PARAMETERS = [
    (BIAS, BIAS[::-1], np.zeros((5, 5), np.float32)),
    two_modes(0.0),
    two_modes(0.1),
]


@pytest.fixture(scope="module")
def found():
    """Modes of independent units, of two balanced modes, and of two in a field."""
    stacked = [np.stack(field) for field in zip(*PARAMETERS, strict=True)]
    rbm = RBM(*(tf.constant(field, tf.float32) for field in stacked))
    return multimodality.find_many(rbm, SETTINGS, seeds.make_seed(0))


def test_independent_units_have_one_mode_at_no_distance(found):
    modes = found[0]
    np.testing.assert_allclose(modes.share, [1], rtol=1e-6)
    expected = 1 / (1 + np.exp(-np.concatenate([BIAS, BIAS[::-1]])))
    np.testing.assert_allclose(modes.means[0], expected, atol=1e-5)
    assert abs(modes.kl[0]) <= 5 * modes.log_z_stderr + 1e-5
    assert modes.spacing == np.inf


@pytest.mark.parametrize("i", [1, 2])
def test_a_ferromagnet_has_two_modes_with_the_shares_of_the_distribution(found, i):
    modes = found[i]
    assert len(modes.share) == 2
    on = np.argmax(modes.means.mean(1))
    assert modes.means[on].min() > 0.9 and modes.means[1 - on].max() < 0.1
    # the first side's majority decides where the iteration goes
    truth = oracles.probabilities(*PARAMETERS[i]).sum(1)[oracles.states(5).sum(1) >= 3].sum()
    stderr = np.sqrt(truth * (1 - truth) / modes.num_independent)
    oracles.assert_within(modes.share[on], truth, stderr)


@pytest.mark.parametrize("i", [0, 1, 2])
def test_distance_is_the_enumerated_one(found, i):
    modes, params = found[i], PARAMETERS[i]
    truth = oracles.log_z(*params)
    oracles.assert_within(modes.log_z, truth, modes.log_z_stderr, slack=1e-5)
    sides = np.split(modes.means, 2, axis=1)
    for kl, m1, m2 in zip(modes.kl, *sides, strict=True):
        p1, p2 = (np.prod(np.where(oracles.states(5) == 1, m, 1 - m), 1) for m in (m1, m2))
        expected = oracles.kl(np.outer(p1, p2), oracles.probabilities(*params))
        assert abs(kl - expected - (modes.log_z - truth)) < 1e-4


def test_all_rbms_of_a_batch_are_looked_at_in_order(monkeypatch):
    monkeypatch.setattr(multimodality, "POSTERIORS_AT_ONCE", 2)
    monkeypatch.setattr(multimodality, "find", lambda rbm, *_: list(rbm.b1[:, 0].numpy()))
    rbm = RBM(tf.reshape(tf.range(5.0), [5, 1]), tf.zeros([5, 1]), tf.zeros([5, 1, 1]))
    done = []
    found = multimodality.find_many(rbm, SETTINGS, seeds.make_seed(0), done.append)
    assert found == [0, 1, 2, 3, 4] and done == [2, 2, 1]


@pytest.mark.parametrize(
    "tolerance, expected", [(0.05, [0, 1, 0, 2, 1]), (0.01, range(5)), (1.0, [0] * 5)]
)
def test_points_within_the_tolerance_are_one_mode(tolerance, expected, monkeypatch):
    means = np.array([[0.1, 0.1], [0.9, 0.1], [0.12, 0.1], [0.1, 0.9], [0.9, 0.13]])
    monkeypatch.setattr(multimodality, "TOLERANCE", tolerance)
    share, _, _ = multimodality._merge(means, np.zeros(5), np.full(5, 0.2))
    np.testing.assert_allclose(share, -np.sort(-np.bincount(expected)) / 5)


def modes_of(share, kl):
    share, kl = np.array(share), np.array(kl)
    means = np.linspace(0, 1, len(share))[:, None]
    return Modes(share, kl, means, 1e-7, 3.0, 0.01, 3.01, 40.0)


SINGLE, DOUBLE = modes_of([1.0], [0.8]), modes_of([0.75, 0.25], [0.4, 1.5])
PRIOR = modes_of([0.5, 0.3, 0.15, 0.05], [2.0, 3.0, 4.0, 5.0])


def test_rows_name_every_mode():
    rows = modes_report.rows([SINGLE, DOUBLE], PRIOR)
    assert [row["rbm"] for row in rows] == ["posterior 0"] + 2 * ["posterior 1"] + 4 * ["prior"]
    assert [row["mode"] for row in rows] == [0, 0, 1, 0, 1, 2, 3]
    assert (rows[2]["share"], rows[2]["kl"]) == ("0.2500", "1.5000")


def test_reading_states_the_numbers():
    text = modes_report.reading([SINGLE, DOUBLE], PRIOR, SETTINGS, Settings(1000, 51))
    assert "single mode for 50.0% of them" in text and "at most 2" in text
    assert "50% lie between 0.5 and 2 " in text  # largest modes at 0.8 and 0.4
    assert "end in 4 modes" in text and "3 of which have 90%" in text
    assert "the closest two by 0.33" in text


def test_expected_modes_by_counting():
    share = np.array([0.5, 0.3, 0.2])
    drawn = np.random.default_rng(0).choice(3, (20_000, 4), p=share)
    numbers = [len(set(row)) for row in drawn]
    mean, stderr = oracles.mean_and_stderr(np.array(numbers))
    oracles.assert_within(mean, modes_report.expected_modes(share, 4), stderr)


@pytest.mark.parametrize("posteriors", [[SINGLE], [DOUBLE], [SINGLE, DOUBLE]])
def test_figure_counts_posteriors_and_modes(posteriors):
    numbers, distances, prior = modes_report.figure(posteriors, PRIOR).axes
    heights = [bar.get_height() for bar in numbers.patches]
    np.testing.assert_allclose(sum(heights), 1)
    assert prior.get_title() == "c) the prior's 4 modes"
    counted = sum(patch.get_height() for box in distances.containers for patch in box)
    assert counted == sum(len(modes.kl) for modes in posteriors)
