"""Schedules: their ends, their shape, what an adaptive step costs by enumeration."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import schedules
from sampler.machines.rbm import RBM

FIXED = [schedules.linear, schedules.sigmoid]


def test_linear():
    betas = schedules.linear(5)
    assert betas.dtype == np.float32
    np.testing.assert_array_equal(betas, [0, 0.25, 0.5, 0.75, 1])


def test_sigmoid():
    """By the formula of Grosse et al.: (s(x) - s(-4)) / (s(4) - s(-4)), x from -4 to 4."""
    betas = schedules.sigmoid(9)
    assert betas.dtype == np.float32
    curve = 1 / (1 + np.exp(-np.arange(-4.0, 5)))
    np.testing.assert_allclose(betas, (curve - curve[0]) / (curve[-1] - curve[0]), atol=1e-7)
    steps = np.diff(betas)
    assert np.all(np.diff(steps[:4]) > 0) and np.all(np.diff(steps[4:]) < 0)


def test_a_flat_sigmoid_is_linear():
    np.testing.assert_allclose(schedules.sigmoid(11, 1e-3), schedules.linear(11), atol=1e-6)


@pytest.mark.parametrize("schedule", FIXED)
@pytest.mark.parametrize("num_temperatures", [2, 3, 1000, 10_000])
def test_ends_and_order(schedule, num_temperatures):
    betas = schedule(num_temperatures)
    assert betas.shape == (num_temperatures,) and betas[0] == 0 and betas[-1] == 1
    assert np.all(np.diff(betas) > 0)


@pytest.mark.parametrize("schedule", FIXED)
@pytest.mark.parametrize("num_temperatures", [1, 0, -3, 2.5, True])
def test_numbers_of_temperatures_that_are_refused(schedule, num_temperatures):
    with pytest.raises(ValueError, match=f"num_temperatures: found {num_temperatures}"):
        schedule(num_temperatures)


@pytest.mark.parametrize("steepness", [0, -1, float("inf"), float("nan")])
def test_steepness_that_is_refused(steepness):
    with pytest.raises(ValueError, match="steepness: found"):
        schedules.sigmoid(10, steepness)


# Adaptive


def path_of(scale, batch=(), seed=0):
    params = oracles.parameters(np.random.default_rng(seed), 5, 4, scale, batch)
    return bridges.from_uniform(RBM(*(tf.constant(p) for p in params)))


def marginal(path, beta):
    """p(z1) at `beta` by enumeration, [2^n1]; the path has no batch dimensions."""
    b1, b2, w = (np.float64(t) for t in path.machine)
    return oracles.probabilities(beta * b1, beta * b2, beta * w).sum(1)


def cost(path, criterion, beta, new_beta):
    """The criterion of one step for an infinite population."""
    old, new = marginal(path, beta), marginal(path, new_beta)
    if criterion == "ess":
        return 1 / np.sum(new**2 / old)
    return np.minimum(old, new).sum()


@pytest.mark.parametrize("criterion", ["ess", "overlap"])
@pytest.mark.parametrize("target", [0.8, 0.95])
def test_each_adaptive_step_costs_the_target(criterion, target):
    """Up to the pilot's sampling error; the last step may cost less."""
    path = path_of(1.0)
    betas = schedules.adaptive(path, target, criterion, num_chains=4000, num_sweeps=4)
    assert betas.dtype == np.float32 and betas[0] == 0 and betas[-1] == 1
    assert np.all(np.diff(betas) > 0)
    costs = [cost(path, criterion, *pair) for pair in zip(betas, betas[1:], strict=False)]
    np.testing.assert_allclose(costs[:-1], target, atol=0.03)
    assert costs[-1] > target - 0.03 and len(costs) > 2


def test_the_worst_of_a_batch_decides():
    """A batch of a weak and a strong RBM needs the strong one's schedule."""
    weak, strong = path_of(0.1), path_of(2.0, seed=1)
    both = tf.nest.map_structure(lambda *t: tf.stack(t), weak, strong)
    sizes = [len(schedules.adaptive(path, num_chains=2000)) for path in (weak, strong, both)]
    assert sizes[0] == 2 and sizes[1] > 4 and abs(sizes[2] - sizes[1]) <= 1


def test_an_adaptive_schedule_repeats_with_its_seed():
    path = path_of(2.0)
    betas = [schedules.adaptive(path, seed=seeds.make_seed(s)) for s in (0, 0, 1)]
    np.testing.assert_array_equal(betas[0], betas[1])
    assert betas[0].shape != betas[2].shape or np.any(betas[0] != betas[2])


def test_progress_adds_up_to_one():
    steps = []
    betas = schedules.adaptive(path_of(2.0), num_chains=100, progress_fn=steps.append)
    assert len(steps) == len(betas) - 1
    np.testing.assert_allclose(sum(steps), 1, rtol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"target": 1.0}, "target: found 1.0; accepted: between 0 and 1"),
        ({"target": float("nan")}, "target: found nan"),
        ({"criterion": "esss"}, "criterion: found 'esss'; accepted: ess, overlap"),
        ({"num_chains": 1}, "num_chains: found 1"),
        ({"num_sweeps": 0}, "num_sweeps: found 0"),
        ({"target": 0.999, "max_temperatures": 3}, "max_temperatures: found 3, spent at beta"),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        schedules.adaptive(path_of(2.0), **arguments)
