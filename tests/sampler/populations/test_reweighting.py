"""Multi-histogram reweighting against enumeration, at the schedule's temperatures and between."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import schedules
from sampler.machines.rbm import RBM
from sampler.populations import population_annealing, reweighting

PARAMS = oracles.parameters(np.random.default_rng(1), 5, 4, 1.5, (3,))
SCHEDULE = schedules.linear(15)
BETAS = np.linspace(0, 1, 29)
"""Every temperature of the schedule, and one between each pair."""


def rbm_of(params):
    return RBM(*(tf.constant(p) for p in params))


def annealed(path, **kwargs):
    how = {"num_chains": 200, "num_runs": 20, "seed": seeds.make_seed(3), "keep_energies": True}
    return population_annealing.run(path, SCHEDULE, **(how | kwargs))


@pytest.fixture(scope="module")
def result():
    return annealed(bridges.from_uniform(rbm_of(PARAMS)))


def truth_of(params, base, beta):
    """log Z at beta, and the mean of E_target - E_base there."""
    params, base = ([np.asarray(x, np.float64) for x in side] for side in (params, base))
    at_beta = [b + beta * (p - b) for p, b in zip(params, base, strict=True)]
    change = oracles.energies(*params) - oracles.energies(*base)
    return oracles.log_z(*at_beta), np.sum(oracles.probabilities(*at_beta) * change)


def assert_answers(answer, truth):
    """20 runs: the errors have Student's t with 19 degrees of freedom, still 5 of them at most."""
    oracles.assert_within(answer.log_z, truth[..., 0], answer.log_z_stderr)
    oracles.assert_within(answer.mean_energy, truth[..., 1], answer.mean_energy_stderr)
    assert np.all(answer.log_z_stderr < 0.02) and np.all(answer.mean_energy_stderr < 0.05)


def test_free_and_mean_energy_from_the_uniform_base(result):
    answer = reweighting.reweight(result, BETAS)
    members = [[p[i] for p in PARAMS] for i in range(3)]
    truth = [[truth_of(m, [0 * p for p in m], beta) for m in members] for beta in BETAS]
    assert answer.log_z.shape == (29, 3)
    assert_answers(answer, np.array(truth))


def test_the_energy_is_the_difference_from_the_base():
    """From the RBM's own biases only the couplings' energy is multiplied by beta; no batch."""
    b1, b2, w = (p[0] for p in PARAMS)
    answer = reweighting.reweight(annealed(bridges.from_fields(rbm_of((b1, b2, w)))), BETAS)
    truth = [truth_of((b1, b2, w), (b1, b2, 0 * w), beta) for beta in BETAS]
    assert answer.log_z.shape == (29,)
    assert_answers(answer, np.array(truth))


def test_joined_histograms_know_as_much_as_a_temperature_s_own(result):
    """Neighbours' states lend their energies: the mean's error is below that of one temperature."""
    joined = reweighting.reweight(result, SCHEDULE).mean_energy_stderr
    alone = result.trace.mean_energy.std(-1, ddof=1) / np.sqrt(20)
    assert np.mean(joined) < 0.8 * np.mean(alone)


def test_a_run_without_energies_is_refused():
    result = annealed(bridges.from_uniform(rbm_of(PARAMS)), keep_energies=False)
    with pytest.raises(ValueError, match=r"result: .*keep_energies=True"):
        reweighting.reweight(result, BETAS)


@pytest.mark.parametrize("betas", [0.5, [-0.1, 0.5], [0.5, 1.1], [np.nan]])
def test_other_temperatures_are_refused(result, betas):
    with pytest.raises(ValueError, match=r"betas: found shape .*\[0, 1\]"):
        reweighting.reweight(result, betas)
