"""Every method on 200 random machines of 1 to 5 blocks of all families, against enumeration.

Six structures of 34 machines each, of scales 0.1 to 3 (`benchmarks/sampler_calibration.py` takes
20 structures). Errors are told in the methods' own standard errors; those of machines that a method
warns of don't count.
"""

import itertools

import calibration
import machine_oracle
import numpy as np
import pytest
import tensorflow as tf

from sampler.annealing import ais, chains
from sampler.populations import population_annealing
from sampler.tempering import parallel_tempering

NUM_BLOCKS = (1, 2, 2, 3, 4, 5)
EACH = 34


@pytest.fixture(scope="module")
def cases():
    return [calibration.case(i, blocks, EACH) for i, blocks in enumerate(NUM_BLOCKS)]


@pytest.fixture(autouse=True)
def plain_graphs(monkeypatch):
    """XLA's compilations would take most of the time; their results are the same."""
    for module, names in (
        (ais, ["_sweeps_compiled"]),
        (chains, ["_anneal_compiled"]),
        (population_annealing, ["_begin", "_step"]),
        (parallel_tempering, ["_walk"]),
    ):
        for name in names:
            function = getattr(module, name).python_function
            monkeypatch.setattr(module, name, tf.function(function, autograph=False))


def measured(cases, method):
    """Each structure's columns."""
    return [calibration.METHODS[method](case, 100 + i) for i, case in enumerate(cases)]


def joined(found, name):
    return np.concatenate([columns[name] for columns in found])


def test_exact_answers(cases):
    assert joined(measured(cases, "exact"), "error").max() < 1e-10


def test_mean_field_is_a_bound_and_a_solution(cases):
    """log Z is above it by more than float32's rounding, and equal without couplings."""
    found = measured(cases, "mean field")
    assert joined(found, "gap").min() > -1e-4 and joined(found[1:], "gap").max() > 0.1
    assert joined(found, "error").max() < 1e-4
    assert abs(found[0]["gap"]).max() < 1e-4


def test_gibbs_moments(cases):
    """Thousands of moments: scores have a standard deviation of 1, and none passes 5 by much."""
    found = measured(cases, "gibbs")
    scores = joined(found, "z")
    assert 0.8 < scores.std() < 1.25 and np.max(abs(scores)) < 6
    assert joined(found, "moments").max() < 5.5


@pytest.mark.parametrize("method", ["ais", "reverse", "bracket", "pa", "pt"])
def test_log_z_and_its_error(cases, method):
    found = measured(cases, method)
    quiet = ~joined(found, "warned")
    assert np.mean(quiet) > (0.6 if method == "pa" else 0.8)  # 300 chains are few for the strong
    assert np.max(abs(joined(found, "z")[quiet])) < 5
    if method == "bracket":
        assert np.mean(joined(found, "covered")[quiet]) >= 0.95
    else:
        # of one block log Z is exact, and the error rounding's
        scores = joined(found[1:], "z")[~joined(found[1:], "warned")]
        assert 0.8 < scores.std() < 1.25
    if "moments" in found[0]:
        assert np.max(joined(found, "moments")[quiet]) < 5.5


# The oracle


def test_the_oracle_integrates_gaussians_as_quadrature_does():
    """Two Gaussian units and two bits: Gauss and Hermite's nodes in both, every state of bits."""
    kinds = ["bernoulli", ("gaussian", 2.0), ("gaussian", 0.5)]
    rng = np.random.default_rng(0)
    fields = [rng.normal(size=n) for n in (2, 1, 1)]
    couplings = {
        (k, l): 0.5 * rng.normal(size=(len(fields[k]), len(fields[l])))
        for k, l in itertools.combinations(range(3), 2)
    }
    found = machine_oracle.solve(kinds, fields, couplings)
    x = np.linspace(-25, 25, 2001)
    a, b = np.meshgrid(x, x, indexing="ij")
    total, mean = 0.0, np.zeros(4)
    for bits in itertools.product([0, 1], repeat=2):
        z = np.array(bits, float)
        exponent = z @ fields[0] + (fields[1][0] + z @ couplings[0, 1][:, 0]) * a
        exponent += (fields[2][0] + z @ couplings[0, 2][:, 0]) * b + couplings[1, 2][0, 0] * a * b
        exponent += np.log(np.sqrt(2.0 * 0.5) / (2 * np.pi)) - (2.0 * a**2 + 0.5 * b**2) / 2
        weights = np.exp(exponent) * (x[1] - x[0]) ** 2
        total += weights.sum()
        mean += [*(z * weights.sum()), np.sum(a * weights), np.sum(b * weights)]
    np.testing.assert_allclose(found.log_z, np.log(total), rtol=1e-8)
    np.testing.assert_allclose(found.means, mean / total, rtol=1e-7)
