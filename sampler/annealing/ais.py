"""Annealed importance sampling (Neal 2001; for RBMs Salakhutdinov and Murray 2008).

The last block is summed out in the weights, log-weights accumulate in float64, and both directions
run through the same code: forward from the base estimates log Z from below on average, backward
from samples of the target from above.

  found = ais.run(bridge.from_uniform(machine), seed=1)
  found.log_z, found.stderr, found.warnings()
"""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import checks, gibbs, modes, seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import chains, schedules
from sampler.annealing.bridge import Bridge
from sampler.io.errors import expect
from sampler.machines.machine import State
from sampler.weights.estimates import HOPELESS, Estimate, Samples

NUM_TEMPERATURES = 1001
"""Temperatures of the schedule (linear) of whoever brings none."""

NUM_CHAINS = 1000

BRACKET_ERRORS = 3.0
"""Standard errors by which a bracket widens each side."""

APART = 5.0
"""Standard errors by which forward and backward estimates must differ to contradict each other."""

LEAST_SCOUTS = 50
"""Chains, at least, that go forward to check a backward run."""


class Bracket(NamedTuple):
    """log Z from both sides, of the machine's batch shape; see `log_z_bracket`.

    Attributes:
      forward: the estimate from the base, low on average.
      backward: the estimate from samples of the target, high on average.
      lower, upper: forward - 3 and backward + 3 standard errors; both estimates lie between them.
      tight: whether upper - lower is at most the tolerance.
    """

    forward: Estimate
    backward: Estimate
    lower: tf.Tensor
    upper: tf.Tensor
    tight: tf.Tensor

    @property
    def log_z(self) -> tf.Tensor:
        """The forward estimate."""
        return self.forward.log_z

    @property
    def stderr(self) -> tf.Tensor:
        """Of the forward estimate."""
        return self.forward.stderr

    @property
    def ess(self) -> tf.Tensor:
        """The smaller of both estimates' effective sample sizes."""
        return tf.minimum(self.forward.ess, self.backward.ess)

    @property
    def samples(self) -> Samples:
        """The forward run's weighted samples of the target."""
        return self.forward.samples

    def warnings(self) -> list[str]:
        """What speaks against the bracket; empty when nothing does."""
        pairs = (("forward", self.forward), ("backward", self.backward))
        found = [f"{name}: {text}" for name, side in pairs for text in side.doubts()]
        target, seen = self.forward.target, self.samples.state
        if target is not None:
            found += modes.contradictions(target, self.upper, 0 * self.upper, seen)
        apart = abs(np.ravel(self.forward.log_z - self.backward.log_z))
        wrong = np.ravel(_contradict(self.forward, self.backward))
        if wrong.any():
            found.append(
                f"forward and backward estimates differ by {apart.max():.3g}, more than their "
                f"errors explain, in {wrong.sum()} of {apart.size} machines"
            )
        return found


def run(
    bridge: Bridge,
    betas: np.ndarray | None = None,
    num_chains: int = NUM_CHAINS,
    seed: int | tf.Tensor = 0,
    progress_fn: Callable[[int], object] = lambda num_temperatures: None,
) -> Estimate:
    """AIS from the base to the target, for one machine or a batch, in pieces that fit the memory.

    E[exp(log_z)] = Z for any schedule and number of chains, if the schedule is fixed in advance.

    Args:
      bridge: from the base to the target, any batch shape.
      betas: inverse temperatures from 0 to 1, [T]; by default 1001, equidistant.
      num_chains: chains C of each machine.
      progress_fn: called with the number of temperatures just done, T - 1 in all.

    Raises:
      ValueError: malformed parameters, unsorted temperatures, no chains.
    """
    betas, seed = _checked(bridge, betas, num_chains, seed)
    start = chains.initial(bridge, num_chains, seeds.fold_in(seed, 0))
    return chains.along(bridge, start, betas, seeds.fold_in(seed, 1), progress_fn)


def reverse(
    bridge: Bridge,
    state: State,
    betas: np.ndarray | None = None,
    seed: int | tf.Tensor = 0,
    progress_fn: Callable[[int], object] = lambda num_temperatures: None,
) -> Estimate:
    """AIS from samples of the target back to the base: E[exp(-log_z)] = 1/Z, log Z from above.

    It is too high by -log of the fraction of the base that anneals to states of which no sample
    was, however few they are in the target, and its weights don't show it: a fourth as many chains
    go forward, and where these don't confirm it, it is not believable.

    Args:
      bridge: from the base to the target.
      state: independent samples of the target, of all blocks or all but the last, [..., C, n_k]; an
        upper bound, and a standard error, are had as far as they are such samples.
      betas, seed, progress_fn: as for `run`, rising.

    Raises:
      ValueError: as `run`, or the states don't fit.
    """
    found = _reverse(bridge, state, betas, seed, progress_fn)
    count = max(LEAST_SCOUTS, found.samples.log_weights.shape[-1] // 4)
    scouts = run(bridge, betas, count, seeds.fold_in(seeds.as_seed(seed), -1))
    return found._replace(unconfirmed=_contradict(scouts, found) | (scouts.stderr > HOPELESS))


def _reverse(
    bridge: Bridge,
    state: State,
    betas: np.ndarray | None,
    seed: int | tf.Tensor,
    progress_fn: Callable[[int], object],
) -> Estimate:
    """`reverse` by itself."""
    state = _kept(bridge, state)
    betas, seed = _checked(bridge, betas, state[0].shape[-2], seed)
    start = chains.Chains(state, tf.zeros(state[0].shape[:-1], tf.float64))
    found = chains.along(bridge, start, betas[::-1], seed, progress_fn)
    return found._replace(log_z=bridge.log_z_base() - found.log_z)


def _contradict(forward: Estimate, backward: Estimate) -> tf.Tensor:
    """Whether both are further apart than their errors explain, [...]."""
    apart = abs(forward.log_z - backward.log_z)
    return apart > APART * tf.sqrt(forward.stderr**2 + backward.stderr**2)


def _kept(bridge: Bridge, state: State) -> State:
    """The kept blocks' states as float32; raises ValueError if they don't fit the machine."""
    state = tuple(tf.cast(x, tf.float32) for x in state)
    if len(bridge.base) == 1:
        state = (state[0][..., :0],)
    for k, size in enumerate(bridge.kept_sizes):
        accepted = (*bridge.machine.batch_shape, "C", size)
        found = tuple(state[k].shape) if k < len(state) else ()
        fit = len(found) == len(accepted) and (*found[:-2], "C", found[-1]) == accepted
        expect(fit, f"state[{k}]", found or "none", str(accepted))
    return state[: bridge.num_kept]


def log_z_bracket(
    bridge: Bridge,
    betas: np.ndarray | None = None,
    num_chains: int = NUM_CHAINS,
    seed: int | tf.Tensor = 0,
    num_sweeps: int = 200,
    tolerance: float = 0.1,
    progress_fn: Callable[[int], object] = lambda num_temperatures: None,
    target_state: State | None = None,
) -> Bracket:
    """log Z of one machine or a batch from below (forward AIS) and from above (backward AIS).

    The backward run needs samples of the target: end states of AIS from the base and from the
    uniform distribution, resampled by their weights and swept `num_sweeps` times more, unless
    `target_state` brings better ones (of parallel tempering, say). A base of strong fields can
    hide a mode from the forward run without a trace in its weights; samples that came another way
    show it. The upper side is a bound as far as they are samples of the target: a mode that none
    saw is missing on both sides.

    Args:
      bridge: from the base to the target.
      betas, num_chains, seed: of each run, as for `run`.
      num_sweeps: sweeps of the resampled end states before they run back.
      tolerance: in nats; what `Bracket.tight` compares the gap with.
      progress_fn: called with the number of temperatures just done, 2 (T - 1) in all, or 3 (T - 1)
        where the samples need a run of their own: the base is not uniform.
      target_state: samples of the target, as for `reverse`.

    Raises:
      ValueError: as `run`, or the tolerance is not positive.
    """
    expect(tolerance > 0, "tolerance", repr(tolerance), "a positive number")
    there, moved, back = (seeds.fold_in(seeds.as_seed(seed), i) for i in range(3))
    forward = run(bridge, betas, num_chains, there, progress_fn)
    if target_state is None:
        samples = forward.samples
        if any(np.any(base) for base in bridge.base):
            uniform, scouts = bridges.from_uniform(bridge.machine), seeds.fold_in(there, -1)
            others = run(uniform, betas, num_chains, scouts, progress_fn)
            # both estimates are low on average: whichever has found more is drawn from
            more = others.log_z > forward.log_z
            samples = tf.nest.map_structure(
                lambda x, y: tf.where(_beside(more, x), y, x), samples, others.samples
            )
        target_state = swept(bridge.machine, samples, num_sweeps, moved)
    backward = _reverse(bridge, target_state, betas, back, progress_fn)
    lower = tf.minimum(forward.log_z - BRACKET_ERRORS * forward.stderr, backward.log_z)
    upper = tf.maximum(backward.log_z + BRACKET_ERRORS * backward.stderr, forward.log_z)
    return Bracket(forward, backward, lower, upper, upper - lower <= tolerance)


def _beside(condition: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """A condition of the batch shape with as many dimensions as x."""
    return tf.reshape(condition, condition.shape + [1] * (x.shape.rank - condition.shape.rank))


def swept(
    machine: bridges.AnyMachine, samples: Samples, num_sweeps: int, seed: int | tf.Tensor
) -> State:
    """Equally weighted states of all blocks: resampled by their weights, then swept."""
    checks.check_count(num_sweeps, "num_sweeps", 0)
    seed = seeds.as_seed(seed)
    state = samples.equally_weighted(seeds.fold_in(seed, 0))
    if num_sweeps == 0:
        return state
    return _sweeps_compiled(machine, state, num_sweeps, seeds.fold_in(seed, 2))


def log_z_within(
    bridge: Bridge,
    tolerance: float = 0.1,
    betas: np.ndarray | None = None,
    num_chains: int = NUM_CHAINS,
    seed: int | tf.Tensor = 0,
    num_sweeps: int = 200,
    max_temperatures: int = 64_001,
    progress_fn: Callable[[int], object] = lambda num_temperatures: None,
    max_seconds: float = math.inf,
) -> tuple[Bracket, np.ndarray]:
    """Brackets along ever finer schedules (each step halved) until all machines' gaps are tight.

    Each attempt is a whole new run with numbers of its own. Stopping when a gap is small favours
    small errors a little; three standard errors on each side leave room for that.

    Args:
      bridge, tolerance, num_chains, seed, num_sweeps: as for `log_z_bracket`.
      betas: of the first attempt, [T]; by default 251, equidistant.
      max_temperatures: no attempt has more; the last may leave `Bracket.tight` false.
      progress_fn: called with the number of temperatures just done; the sum isn't known before.
      max_seconds: no attempt is begun that would end later; the first one always is.

    Returns the last bracket, and the schedule that it took.

    Raises:
      ValueError: as `log_z_bracket`, or `max_temperatures` is below that of `betas`.
    """
    betas = schedules.linear(251) if betas is None else np.asarray(betas, np.float32)
    checks.check_betas(betas)
    checks.check_count(max_temperatures, "max_temperatures", len(betas))
    seed, began = seeds.as_seed(seed), time.perf_counter()
    while True:
        started = time.perf_counter()
        attempt = seeds.fold_in(seed, len(betas))
        bracket = log_z_bracket(
            bridge, betas, num_chains, attempt, num_sweeps, tolerance, progress_fn
        )
        now = time.perf_counter()
        late = now - began + 2 * (now - started) > max_seconds  # the next one takes twice as long
        if np.all(bracket.tight) or late or 2 * len(betas) - 1 > max_temperatures:
            return bracket, betas
        betas = schedules.halved(betas)


def _checked(
    bridge: Bridge, betas: np.ndarray | None, num_chains: int, seed: int | tf.Tensor
) -> tuple[np.ndarray, tf.Tensor]:
    checks.check_machine(bridge.machine)
    checks.check_count(num_chains, "num_chains")
    betas = schedules.linear(NUM_TEMPERATURES) if betas is None else betas
    checks.check_betas(betas)
    return np.asarray(betas, np.float32), seeds.as_seed(seed)


_sweeps_compiled = tf.function(gibbs.run, jit_compile=True, autograph=False)
