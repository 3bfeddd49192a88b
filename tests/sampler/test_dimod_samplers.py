"""The samplers of dimod's interface: dimod's own tests, and answers against enumeration."""

import unittest
from typing import ClassVar

import dimod
import dimod.testing
import numpy as np
import pytest

from sampler.dimod import ParallelTemperingSampler, PopulationAnnealingSampler

SAMPLERS = [PopulationAnnealingSampler, ParallelTemperingSampler]


class Few(PopulationAnnealingSampler):
    """As the original, for models of three units."""

    defaults: ClassVar = {"num_chains": 20, "num_runs": 2, "num_sweeps": 1}


@dimod.testing.load_sampler_bqm_tests(Few)
class TestAnnealing(unittest.TestCase):
    """dimod's tests of a sampler."""


@pytest.mark.soak  # each model's graph is compiled anew, a minute in all
@dimod.testing.load_sampler_bqm_tests(ParallelTemperingSampler)
class TestTempering(unittest.TestCase):
    """dimod's tests of a sampler."""


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_interface(sampler):
    dimod.testing.assert_sampler_api(sampler())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_log_z_and_means(sampler):
    bqm = dimod.generators.gnp_random_bqm(8, 0.6, "BINARY", random_state=1)
    bqm.offset = 1.5
    beta = 1.3
    every = dimod.ExactSolver().sample(bqm)
    log_weights = -beta * every.record.energy
    truth = np.logaddexp.reduce(log_weights)
    found = sampler().sample(bqm, beta=beta, seed=2)
    assert found.info["warnings"] == []
    assert abs(found.info["log_z"] - truth) < 5 * found.info["log_z_stderr"]
    expected = np.exp(log_weights - truth) @ every.record.sample
    weights = found.record.weight / found.record.weight.sum()
    columns = [list(found.variables).index(v) for v in every.variables]
    means = weights @ found.record.sample[:, columns]
    # 5000 samples, some of them relatives: a few hundredths
    np.testing.assert_allclose(means, expected, atol=0.08)


def test_an_unknown_parameter_is_refused():
    bqm = dimod.BinaryQuadraticModel({0: 1.0}, {}, "SPIN")
    with pytest.raises(ValueError, match="found num_reads; accepted: beta, seed, num_chains"):
        PopulationAnnealingSampler().sample(bqm, num_reads=3)
