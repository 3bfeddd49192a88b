"""The effective inverse temperature of samples that were drawn at a known one."""

from __future__ import annotations

import dimod
import machine_oracle
import numpy as np
import pytest
import tensorflow as tf
from dwave.samplers import SimulatedAnnealingSampler

from sampler.dimod import PopulationAnnealingSampler
from sampler.families import Bernoulli, Categorical, Spin
from sampler.machines.dimod import from_bqm
from sampler.machines.general import Machine
from sampler.temperature import LARGEST, EffectiveBeta, effective_beta

KINDS = ["bernoulli", "spin", ("categorical", 3)]
FAMILIES = Bernoulli(), Spin(), Categorical(3)


def exact_samples(beta: float, count: int, seed: int) -> tuple[Machine, list[np.ndarray]]:
    """A machine of three kinds of units, and independent samples of exp(-beta E)."""
    generator = np.random.default_rng(0)
    fields, couplings = machine_oracle.random_machines(generator, KINDS, [3, 4, 2], 2)
    fields, couplings = [f[1] for f in fields], {pair: w[1] for pair, w in couplings.items()}
    fields, couplings = [f / 3 for f in fields], {k: w / 3 for k, w in couplings.items()}
    at_beta = [beta * f for f in fields], {k: beta * w for k, w in couplings.items()}
    x = machine_oracle.solve(KINDS, *at_beta).sample(count, np.random.default_rng(seed))
    return Machine(FAMILIES, fields, couplings), np.split(x, [3, 7], -1)


@pytest.mark.parametrize("beta", [0.4, 1.0, 1.7])
def test_the_temperature_is_found_within_its_errors(beta):
    found = [effective_beta(*exact_samples(beta, 400, seed)) for seed in range(40)]
    scores = np.array([(one.beta - beta) / one.stderr for one in found])
    # of 40 normal numbers: the mean's error is 0.16, that of the standard deviation 0.11
    assert abs(scores.mean()) < 0.6 and 0.65 < scores.std() < 1.4
    assert max(one.stderr for one in found) < 0.15
    assert [bool(one.warnings()) for one in found].count(beta != 1.0) >= 38


def test_weights_count_as_copies_do():
    machine, state = exact_samples(1.3, 50, 0)
    copies = np.arange(50) % 3
    weighted = effective_beta(machine, state, tf.constant(copies))
    repeated = effective_beta(machine, [np.repeat(x, copies, 0) for x in state])
    assert weighted.beta == pytest.approx(repeated.beta, abs=1e-9)
    # copies are no independent samples, and only weights say so
    assert weighted.stderr > repeated.stderr


SAMPLERS = {
    "ours, at 0.6": (PopulationAnnealingSampler(), {"beta": 0.6}, 0.6),
    "simulated annealing to 1.5": (
        SimulatedAnnealingSampler(),
        {"num_reads": 1000, "num_sweeps": 300, "beta_range": [0.1, 1.5], "seed": 3},
        1.5,
    ),
}


@pytest.mark.parametrize("case", SAMPLERS)
def test_samplers_of_dimods_interface(case):
    sampler, parameters, beta = SAMPLERS[case]
    bqm = dimod.generators.gnp_random_bqm(10, 0.5, "SPIN", random_state=1)
    bqm.scale(0.5)
    found = sampler.sample(bqm, **parameters)
    machine = from_bqm(bqm)
    rows = found.record.sample[:, [list(found.variables).index(v) for v in machine.labels]]
    weights = getattr(found.record, "weight", np.ones(len(rows)))
    answer = effective_beta(machine, machine.blocks_of(tf.constant(rows, tf.float32)), weights)
    # a population's members are relatives, so that its error is some way above the estimate
    assert abs(answer.beta - beta) < 8 * answer.stderr < 0.4


def test_what_samples_cannot_tell():
    machine, state = exact_samples(1.0, 20, 0)
    still = Machine(FAMILIES, [0 * f for f in machine.fields], {})
    assert np.isnan(effective_beta(still, state).beta)
    assert not effective_beta(still, state).warnings()
    ground = Machine([Bernoulli()], [np.ones(3)], {})
    found = effective_beta(ground, [np.ones((20, 3))])
    assert found.beta == pytest.approx(LARGEST) or found.stderr == np.inf


def test_a_warning_says_what_was_found():
    assert EffectiveBeta(0.95, 0.001).warnings() == []
    assert EffectiveBeta(0.7, 0.2).warnings() == []
    assert "beta = 0.700 ± 0.010 where 1 is" in EffectiveBeta(0.7, 0.01).warnings()[0]
