"""Annealed importance sampling (Neal 2001; for RBMs Salakhutdinov and Murray 2008).

One side is summed out in the weights (the second; the first along `bridge.transposed()`),
log-weights accumulate in float64, and both directions run through the same code: forward from the
base estimates log Z from below on average, backward from samples of the target from above.

  run = ais.run(bridge.from_uniform(rbm), seed=seeds.make_seed(1))
  run.estimate.log_z, run.estimate.stderr, run.estimate.warnings()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import checks, gibbs, seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import schedules
from sampler.annealing.bridge import Bridge
from sampler.annealing.chains import Run, State, Trace, along, anneal, start
from sampler.weights import resampling
from sampler.weights.estimates import Estimate, estimate

__all__ = [
    "Bracket",
    "Estimate",
    "Run",
    "State",
    "Trace",
    "anneal",
    "estimate",
    "log_z_bracket",
    "log_z_within",
    "reverse",
    "run",
    "sample",
    "start",
]

NUM_TEMPERATURES = 1001
"""Temperatures of the schedule (linear) of whoever brings none."""

NUM_CHAINS = 1000

BRACKET_ERRORS = 3.0
"""Standard errors by which a bracket widens each side."""


class Bracket(NamedTuple):
    """log Z from both sides; see `log_z_bracket`.

    Attributes:
      forward: the estimate from the base, low on average.
      backward: the estimate from samples of the target, high on average.
      lower, upper: forward - 3 and backward + 3 standard errors, ordered.
      tight: whether upper - lower is at most the tolerance.
    """

    forward: Estimate
    backward: Estimate
    lower: tf.Tensor
    upper: tf.Tensor
    tight: tf.Tensor

    def warnings(self) -> list[str]:
        """What speaks against the bracket; empty when nothing does."""
        pairs = (("forward", self.forward), ("backward", self.backward))
        found = [f"{name}: {text}" for name, side in pairs for text in side.warnings()]
        apart = np.ravel(self.forward.log_z - self.backward.log_z)
        allowed = 5 * np.hypot(*(np.ravel(side.stderr) for _, side in pairs))
        if np.any(abs(apart) > allowed):
            found.append(
                f"forward and backward estimates differ by {abs(apart).max():.3g}, more than their "
                f"errors explain, in {np.sum(abs(apart) > allowed)} of {apart.size} RBMs"
            )
        return found


def run(
    bridge: Bridge,
    betas: np.ndarray | None = None,
    num_chains: int = NUM_CHAINS,
    seed: tf.Tensor | None = None,
    progress_fn: Callable[[int], object] = lambda num_temperatures: None,
) -> Run:
    """AIS from the base to the target, for one RBM or a batch, in pieces that fit the memory.

    E[exp(log_z)] = Z for any schedule and number of chains, if the schedule is fixed in advance.

    Args:
      bridge: from the base to the target, any batch shape.
      betas: inverse temperatures from 0 to 1, [T]; by default 1001, equidistant.
      num_chains: chains C of each RBM.
      seed: int32, shape [2]; by default that of 0.
      progress_fn: called with the number of temperatures just done, T - 1 in all.

    Raises:
      ValueError: malformed parameters, unsorted temperatures, no chains.
    """
    betas, seed = _checked(bridge, betas, num_chains, seed)
    state = start(bridge, num_chains, seeds.fold_in(seed, 0))
    return along(bridge, state, betas, seeds.fold_in(seed, 1), progress_fn)


def reverse(
    bridge: Bridge,
    z1: tf.Tensor,
    betas: np.ndarray | None = None,
    seed: tf.Tensor | None = None,
    progress_fn: Callable[[int], object] = lambda num_temperatures: None,
) -> Run:
    """AIS from samples of the target back to the base: E[exp(-log_z)] = 1/Z, log Z from above.

    Args:
      bridge: from the base to the target.
      z1: independent samples of the target's first side, [..., C, n1]; an upper bound, and a
        standard error, are had as far as they are such samples.
      betas: inverse temperatures from 0 to 1 (rising, as for `run`), [T].
      seed, progress_fn: as for `run`.

    Raises:
      ValueError: as `run`, or `z1` does not fit.
    """
    z1 = tf.cast(z1, tf.float32)
    checks.check_rbm(bridge.rbm)
    accepted = (*bridge.base1.shape[:-1], "C", bridge.base1.shape[-1])
    if z1.shape.rank != len(accepted) or z1.shape[:-2] + z1.shape[-1:] != bridge.base1.shape:
        raise ValueError(f"z1: found {tuple(z1.shape)}; accepted: {accepted}")
    betas, seed = _checked(bridge, betas, z1.shape[-2], seed)
    state = State(z1, tf.zeros(z1.shape[:-1], tf.float64))
    result = along(bridge, state, betas[::-1], seed, progress_fn)
    log_z = bridge.log_z_base() - result.estimate.log_z
    return result._replace(estimate=result.estimate._replace(log_z=log_z))


def sample(
    bridge: Bridge, state: State, seed: tf.Tensor, num_sweeps: int = 0
) -> tuple[tf.Tensor, tf.Tensor]:
    """Equally weighted samples of the target, z1 [..., C, n1] and z2 [..., C, n2].

    The weighted end states of `run`, resampled (systematically, so that copies of one chain lie
    side by side), with the second side drawn, and swept `num_sweeps` times more.
    """
    checks.check_count(num_sweeps, "num_sweeps", 0)
    parents = resampling.systematic(state.log_weights, seeds.fold_in(seed, 0))
    z1 = tf.gather(state.z1, parents, axis=-2, batch_dims=parents.shape.rank - 1)
    z2 = gibbs.bernoulli(bridge.rbm.logits2(z1), seeds.fold_in(seed, 1))
    if num_sweeps == 0:
        return z1, z2
    return _sweeps_compiled(bridge.rbm, z2, num_sweeps, seeds.fold_in(seed, 2))


def log_z_bracket(
    bridge: Bridge,
    betas: np.ndarray | None = None,
    num_chains: int = NUM_CHAINS,
    seed: tf.Tensor | None = None,
    num_sweeps: int = 200,
    tolerance: float = 0.1,
    progress_fn: Callable[[int], object] = lambda num_temperatures: None,
    target_z1: tf.Tensor | None = None,
) -> Bracket:
    """log Z of one RBM or a batch from below (forward AIS) and from above (backward AIS).

    The backward run needs samples of the target: end states of AIS from the uniform distribution,
    resampled by their weights and swept `num_sweeps` times more, unless `target_z1` brings better
    ones (of parallel tempering, say). A base of strong biases can hide a mode from the forward run
    without a trace in its weights; samples that came another way show it. The upper side is a bound
    as far as they are samples of the target: a mode that none saw is missing on both sides.

    Args:
      bridge: from the base to the target.
      betas: inverse temperatures from 0 to 1, [T]; by default 1001, equidistant.
      num_chains: chains C of each run.
      seed: int32, shape [2]; by default that of 0.
      num_sweeps: sweeps of the resampled end states before they run back.
      tolerance: in nats; what `Bracket.tight` compares the gap with.
      progress_fn: called with the number of temperatures just done, 2 (T - 1) in all, or 3 (T - 1)
        where the samples need a run of their own: the base is not uniform.
      target_z1: samples of the target's first side, [..., C, n1].

    Returns:
      A `Bracket`, its fields of the RBM's batch shape.

    Raises:
      ValueError: as `run`, or the tolerance is not positive.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance: found {tolerance!r}; accepted: a positive number")
    seed = seeds.make_seed(0) if seed is None else seed
    there, samples, back = (seeds.fold_in(seed, i) for i in range(3))
    forward = run(bridge, betas, num_chains, there, progress_fn)
    if target_z1 is None:
        state = forward.state
        if np.any(bridge.base1) or np.any(bridge.base2):
            scouts = seeds.fold_in(there, -1)
            state = run(
                bridges.from_uniform(bridge.rbm), betas, num_chains, scouts, progress_fn
            ).state
        target_z1 = sample(bridge, state, samples, num_sweeps)[0]
    backward = reverse(bridge, target_z1, betas, back, progress_fn)
    return _bracket(forward.estimate, backward.estimate, tolerance)


def _bracket(forward: Estimate, backward: Estimate, tolerance: float) -> Bracket:
    ends = (
        forward.log_z - BRACKET_ERRORS * forward.stderr,
        backward.log_z + BRACKET_ERRORS * backward.stderr,
    )
    lower, upper = tf.minimum(*ends), tf.maximum(*ends)
    return Bracket(forward, backward, lower, upper, upper - lower <= tolerance)


def log_z_within(
    bridge: Bridge,
    tolerance: float = 0.1,
    betas: np.ndarray | None = None,
    num_chains: int = NUM_CHAINS,
    seed: tf.Tensor | None = None,
    num_sweeps: int = 200,
    max_temperatures: int = 64_001,
    progress_fn: Callable[[int], object] = lambda num_temperatures: None,
) -> tuple[Bracket, np.ndarray]:
    """Brackets along ever finer schedules (each step halved) until all RBMs' gaps are tight.

    Each attempt is a whole new run with numbers of its own. Stopping when a gap is small favours
    small errors a little; three standard errors on each side leave room for that.

    Args:
      bridge, tolerance, num_chains, seed, num_sweeps: as for `log_z_bracket`.
      betas: of the first attempt, [T]; by default 251, equidistant.
      max_temperatures: no attempt has more; the last may leave `Bracket.tight` false.
      progress_fn: called with the number of temperatures just done; the sum isn't known before.

    Returns:
      The last bracket, and the schedule that it took.

    Raises:
      ValueError: as `log_z_bracket`, or `max_temperatures` is below that of `betas`.
    """
    betas = schedules.linear(251) if betas is None else np.asarray(betas, np.float32)
    checks.check_betas(betas)
    checks.check_count(max_temperatures, "max_temperatures", len(betas))
    seed = seeds.make_seed(0) if seed is None else seed
    while True:
        attempt = seeds.fold_in(seed, len(betas))
        bracket = log_z_bracket(
            bridge, betas, num_chains, attempt, num_sweeps, tolerance, progress_fn
        )
        if np.all(bracket.tight) or 2 * len(betas) - 1 > max_temperatures:
            return bracket, betas
        betas = schedules.halved(betas)


def _checked(
    bridge: Bridge, betas: np.ndarray | None, num_chains: int, seed: tf.Tensor | None
) -> tuple[np.ndarray, tf.Tensor]:
    checks.check_rbm(bridge.rbm)
    checks.check_count(num_chains, "num_chains")
    betas = schedules.linear(NUM_TEMPERATURES) if betas is None else betas
    checks.check_betas(betas)
    return np.asarray(betas, np.float32), seeds.make_seed(0) if seed is None else seed


_sweeps_compiled = tf.function(gibbs.run, jit_compile=True, autograph=False)
