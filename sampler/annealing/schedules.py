"""Schedules of inverse temperatures from exactly 0 to exactly 1, float32, [T].

`adaptive` looks at a pilot run. A schedule that it returned is a constant: estimates of later runs
(with other seeds) along it are unbiased, as they are for any schedule fixed in advance.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from sampler import checks, seeds
from sampler.annealing.bridge import Bridge
from sampler.io.errors import expect
from sampler.machines.machine import State
from sampler.weights import resampling

_BISECTIONS = 20


def linear(num_temperatures: int) -> np.ndarray:
    """Equidistant inverse temperatures, [num_temperatures] (at least 2)."""
    checks.check_count(num_temperatures, "num_temperatures", 2)
    return np.linspace(0, 1, num_temperatures, dtype=np.float32)


def sigmoid(num_temperatures: int, steepness: float = 4.0) -> np.ndarray:
    """Concentrated at both ends: a logistic curve on [-steepness, steepness], scaled to [0, 1].

    Grosse, Maddison and Salakhutdinov (2013) use `steepness` 4; towards 0 it becomes linear.
    """
    checks.check_count(num_temperatures, "num_temperatures", 2)
    expect(0 < steepness < float("inf"), "steepness", repr(steepness), "positive and finite")
    curve = np.tanh(np.linspace(-steepness, steepness, num_temperatures) / 2)
    return ((curve / curve[-1] + 1) / 2).astype(np.float32)


def halved(betas: np.ndarray) -> np.ndarray:
    """The schedule [T] with each step cut into two equal ones, [2 T - 1]."""
    betas = np.asarray(betas, np.float32)
    steps = np.empty(2 * len(betas) - 1, np.float32)
    steps[::2], steps[1::2] = betas, (betas[1:] + betas[:-1]) / 2
    return steps


def _ess_fraction(log_weights: tf.Tensor) -> tf.Tensor:
    """(mean w)^2 / mean w^2: how much of an equally weighted population a step leaves."""
    count = tf.cast(tf.shape(log_weights)[-1], log_weights.dtype)
    return resampling.effective_sample_size(log_weights) / count


def _overlap(log_weights: tf.Tensor) -> tf.Tensor:
    """mean min(1, w / mean w): the area that both histograms share (Barash et al. 2017)."""
    relative = log_weights - resampling.log_mean_exp(log_weights)[..., None]
    return tf.reduce_mean(tf.exp(tf.minimum(relative, 0)), -1)


CRITERIA: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {"ess": _ess_fraction, "overlap": _overlap}
"""What a step of the schedule may cost: from log-weights [..., C] to a number in (0, 1], [...]."""


def adaptive(
    bridge: Bridge,
    target: float = 0.9,
    criterion: str = "ess",
    num_chains: int = 1000,
    num_sweeps: int = 1,
    seed: int | tf.Tensor = 0,
    max_temperatures: int = 10_000,
    progress_fn: Callable[[float], object] = lambda beta_step: None,
) -> np.ndarray:
    """A schedule whose every step costs the same, by a pilot population (resampled each step).

    The next inverse temperature is found by bisection as the one at which the criterion of the
    worst machine of the batch falls to `target`. The last block is summed out, as in AIS.

    Args:
      bridge: from the base to the target, any batch shape.
      target: of the criterion at each step, in (0, 1); near 1 makes many small steps.
      criterion: "ess", the effective fraction of the population after the step (the conditional
        ESS of Zhou, Johansen and Aston 2016), or "overlap", that of the histograms.
      num_chains, num_sweeps, seed: of the pilot run, for each machine and at each temperature.
      max_temperatures: ValueError when the schedule would need more.
      progress_fn: called with each step in beta; they add up to 1.
    """
    checks.check_machine(bridge.machine)
    checks.check_count(num_chains, "num_chains", 2)
    checks.check_count(num_sweeps, "num_sweeps")
    expect(0 < target < 1, "target", repr(target), "between 0 and 1, both excluded")
    expect(criterion in CRITERIA, "criterion", repr(criterion), ", ".join(CRITERIA))
    seed = seeds.as_seed(seed)
    state = bridge.initial(num_chains, seeds.fold_in(seed, 0))
    betas = [np.float32(0)]
    while betas[-1] < 1:
        found = f"{max_temperatures}, spent at beta = {betas[-1]:.4g}"
        more = f"more, or a lower target than {target}"
        expect(len(betas) < max_temperatures, "max_temperatures", found, more)
        step_seed = seeds.fold_in(seed, len(betas))
        now, goal = tf.constant(betas[-1]), tf.constant(target, tf.float64)
        state, beta = _pilot_step(bridge, state, now, goal, criterion, num_sweeps, step_seed)
        betas.append(beta.numpy())
        progress_fn(float(betas[-1] - betas[-2]))
    return np.array(betas, np.float32)


@tf.function(autograph=False)
def _pilot_step(
    bridge: Bridge,
    state: State,
    beta: tf.Tensor,
    target: tf.Tensor,
    criterion: str,
    num_sweeps: int,
    seed: tf.Tensor,
) -> tuple[State, tf.Tensor]:
    """One step of the pilot run: the next beta, and the population there."""

    def worst(new_beta: tf.Tensor) -> tf.Tensor:
        return tf.reduce_min(CRITERIA[criterion](bridge.log_weight(state, beta, new_beta)))

    def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        middle = (low + high) / 2
        good = worst(middle) >= target
        return tf.where(good, middle, low), tf.where(good, high, middle)

    one = tf.ones_like(beta)
    high = tf.while_loop(lambda *_: True, halve, (beta, one), maximum_iterations=_BISECTIONS)[1]
    # the upper end of the last interval: always a step forward, by 2^-20 of the rest at least
    new_beta = tf.where(worst(one) >= target, one, high)
    log_weights = bridge.log_weight(state, beta, new_beta)
    parents = resampling.systematic(log_weights, seeds.fold_in(seed, 0))
    batch_dims = parents.shape.rank - 1
    state = tuple(tf.gather(x, parents, axis=-2, batch_dims=batch_dims) for x in state)
    for i in range(num_sweeps):
        state = bridge.sweep(state, new_beta, seeds.fold_in(seed, 1, i))
    return state, new_beta
