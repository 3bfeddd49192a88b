"""Parallel tempering (Hukushima and Nemoto 1996; also known as replica exchange).

`run` gives samples that visit the target's modes in proportion to their probability, where Gibbs
sweeps alone stay in the mode that they began in. How well its ladders exchange is measured, and
`tune_schedule` chooses their temperatures. What is exchanged, and with which probability:
`tempering/ladder.py`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy import special

from sampler import checks, modes, seeds
from sampler.annealing import chains
from sampler.annealing.bridge import Bridge
from sampler.io.errors import expect
from sampler.machines.machine import AnyMachine, State
from sampler.tempering import bennett, ladder
from sampler.weights.estimates import Samples

CUT = 0.02
"""Swap rate under which `Result.warnings` calls a ladder cut in two."""

LEAST_LADDERS = 20
"""Ladders under which `Result.warnings` doubts the error of log Z, their spread.

With 10 z-scores had a standard deviation of up to 1.7.
"""

_PILOT = 12
_EVEN = 0.1


class Result(NamedTuple):
    """Samples of the target, log Z, and how well the ladders exchanged; [...] the batch shape.

    Attributes:
      log_z: by Bennett's acceptance ratio between neighbours, float64, [...].
      stderr: its standard error, from the spread of the C ladders, and not below float32's
        rounding; float64, [...].
      ess: independent samples that those of the target are worth for the mean energy, from its
        spread over the C ladders (1 for C = 1), float64, [...].
      draws: of the target, S of each of C ladders, each block [..., S, C, n_k].
      ladders: where they stand at the end; `run` goes on from there.
      betas: inverse temperatures, NumPy float32, [T].
      swap_rates: mean acceptance probability of each pair's exchanges, float64, [..., T - 1]; NaN
        for a pair that was never offered one (a run of one sweep).
      round_trips: from the target to the base and back, of all replicas together, int32, [...].
      energies: E of the target at each temperature's states, mean over kept samples and chains,
        float64, [..., T].
      num_sweeps: in which these were measured.
      target: the machine, against which `warnings` holds log Z.
    """

    log_z: tf.Tensor
    stderr: tf.Tensor
    ess: tf.Tensor
    draws: State
    ladders: ladder.Ladders
    betas: np.ndarray
    swap_rates: tf.Tensor
    round_trips: tf.Tensor
    energies: tf.Tensor
    num_sweeps: int
    target: AnyMachine

    @property
    def samples(self) -> Samples:
        """The draws as S C samples of equal weight: all ladders' first, then the second, ..."""
        state = tuple(tf.reshape(x, [*x.shape[:-3], -1, x.shape[-1]]) for x in self.draws)
        return Samples(state, tf.zeros(state[0].shape[:-1], tf.float64))

    def warnings(self) -> list[str]:
        """What speaks against samples and log Z; empty when nothing does. Takes a second or so."""
        found = [
            f"the ladder is cut between beta {low:.4g} and {high:.4g}: swap rate {rate:.2g}"
            for low, high, rate in zip(self.betas[:-1], self.betas[1:], self.lowest(), strict=True)
            if rate < CUT
        ]
        if np.min(self.round_trips) == 0:
            found.append(f"no replica made a round trip in {self.num_sweeps} sweeps")
        ladders = self.draws[0].shape[-2]
        if ladders < LEAST_LADDERS:
            found.append(
                f"log Z's error is the spread of {ladders} ladders, and itself uncertain; it is "
                f"believed from {LEAST_LADDERS} on"
            )
        seen = self.samples.state
        return found + modes.contradictions(self.target, self.log_z, self.stderr, seen)

    def lowest(self) -> np.ndarray:
        """Each pair's swap rate in the machine of the batch where it is lowest, [T - 1]."""
        return np.reshape(self.swap_rates, [-1, len(self.betas) - 1]).min(0)


def run(
    bridge: Bridge,
    betas: np.ndarray,
    num_chains: int,
    num_sweeps: int,
    seed: int | tf.Tensor,
    burn_in: int | None = None,
    thinning: int = 10,
    ladders: ladder.Ladders | None = None,
    progress_fn: Callable[[int], object] = lambda num_sweeps: None,
) -> Result:
    """Samples of the target from C independent ladders.

    Args:
      bridge: from the base to the target, any batch shape [...].
      betas: inverse temperatures, rising from 0 to 1, [T]; see `tune_schedule`.
      num_chains: ladders C.
      num_sweeps: sweeps of each replica after the burn-in, at least `thinning`.
      burn_in: sweeps before samples are kept and exchanges counted; `num_sweeps` // 5 unless told,
        and none when `ladders` are given.
      thinning: sweeps from one kept sample to the next; S = `num_sweeps` // `thinning`.
      ladders: to go on from. With the seed of the run that left them, they move as they would
        have in one longer run.
      progress_fn: called with the number of sweeps just done.

    Raises:
      ValueError: malformed parameters, temperatures, counts or ladders.
    """
    seed = seeds.as_seed(seed)
    if burn_in is None:
        burn_in = 0 if ladders else num_sweeps // 5
    checks.check_machine(bridge.machine, "bridge.machine")
    checks.check_betas(betas)
    checks.check_count(num_chains, "num_chains")
    checks.check_count(thinning, "thinning")
    checks.check_count(num_sweeps, "num_sweeps", thinning)
    checks.check_count(burn_in, "burn_in", 0)
    ladders = ladders or ladder.initial(bridge, len(betas), num_chains, seeds.fold_in(seed, 0))
    shape = (*bridge.machine.batch_shape, len(betas), num_chains)
    expected = [(*shape, size) for size in bridge.kept_sizes]
    found = [tuple(x.shape) for x in ladders.state]
    expect(found == expected, "ladders", f"states {found}", str(expected))
    at, kept = tf.constant(betas, tf.float32), []
    for sweeps in [burn_in, *[thinning] * (num_sweeps // thinning)]:
        ladders, *observed = _walk(bridge, at, ladders, tf.constant(sweeps), seeds.fold_in(seed, 1))
        kept.append(observed)
        progress_fn(sweeps)
    counts, states, energies, *weights = zip(*kept[1:], strict=True)
    accepted, offered, round_trips = (sum(each) for each in zip(*counts, strict=True))
    log_ratio, stderr = bennett.log_ratio(*(tf.stack(each) for each in weights))
    all_energies = tf.stack(energies)
    log_z = bridge.log_z_base() + log_ratio
    rounding = chains.rounding(bridge, tuple(x[..., -1, :, :] for x in ladders.state), log_z)
    return Result(
        log_z=log_z,
        stderr=tf.sqrt(stderr**2 + rounding**2),
        ess=_effective_size(all_energies[..., -1, :]),
        draws=tuple(tf.stack(block, -3) for block in zip(*states, strict=True)),
        ladders=ladders,
        betas=np.asarray(betas, np.float32),
        swap_rates=accepted / offered,
        round_trips=round_trips,
        energies=tf.reduce_mean(all_energies, [0, -1]),
        num_sweeps=len(states) * thinning,
        target=bridge.machine,
    )


def _effective_size(energies: tf.Tensor) -> tf.Tensor:
    """Variance / variance of the mean of [S, ..., C], the latter by the C ladders' spread."""
    size, num_chains = energies.shape[0] * energies.shape[-1], energies.shape[-1]
    if num_chains == 1:
        return tf.ones(energies.shape[1:-1], tf.float64)
    of_ladders = tf.math.reduce_variance(tf.reduce_mean(energies, 0), -1) / (num_chains - 1)
    of_all = tf.math.reduce_variance(energies, [0, -1])
    # at most all samples are independent; energies that never change say nothing
    return tf.math.divide_no_nan(of_all, tf.maximum(of_ladders, of_all / size))


@tf.function(jit_compile=True, autograph=False)
def _walk(
    bridge: Bridge,
    betas: tf.Tensor,
    ladders: ladder.Ladders,
    num_sweeps: tf.Tensor,
    seed: tf.Tensor,
) -> tuple:
    """Some sweeps, then what `run` keeps: the ladders, counts, the target's states, the energies
    [..., T, C], log-weights forward and backward."""
    ladders, counts = ladder.advance(bridge, betas, ladders, num_sweeps, seeds.fold_in(seed, 0))
    observe_seed = seeds.fold_in(seed, 1, ladders.step)
    state, energies = ladder.observe(bridge, betas, ladders, observe_seed)
    target = tuple(x[..., -1, :, :] for x in state)
    weights = ladder.neighbour_weights(bridge, betas, ladders)
    return ladders, counts, target, energies, *weights


def tune_schedule(
    bridge: Bridge,
    seed: int | tf.Tensor = 0,
    swap_rate: float = 0.5,
    num_chains: int = 50,
    num_sweeps: int = 200,
    max_rounds: int = 12,
    progress_fn: Callable[[int], object] = lambda num_rounds: None,
) -> np.ndarray:
    """Temperatures, and how many, that give every pair nearly the same swap rate.

    Where energies are normally distributed, a swap rate is erfc(d / 2) with distances d that
    add along the bridge (Kofke 2002; Predescu et al. 2004). Each round measures the distances of a
    ladder and lays out the next one at equal distances, until rates differ by at most 0.1. The
    ladder is frozen then: measure its rates, as `run` does, in a run of its own.

    For a batch, one ladder suits the worst of each pair. Raises ValueError as `run` does.

    Args:
      swap_rate: in [0.05, 0.95]. Near 0.5 replicas travel fastest (Syed et al. 2022).
      num_chains, num_sweeps: of each round.
      max_rounds: after which the last ladder is returned, even or not.
      progress_fn: called with 1 after each round.

    Returns:
      NumPy float32, [T], from 0 to 1, T at least 2.
    """
    expect(0.05 <= swap_rate <= 0.95, "swap_rate", repr(swap_rate), "between 0.05 and 0.95")
    checks.check_count(max_rounds, "max_rounds")
    betas, ladders, seed = np.linspace(0, 1, _PILOT, dtype=np.float32), None, seeds.as_seed(seed)
    for number in range(max_rounds):
        how = num_chains, num_sweeps, seeds.fold_in(seed, number), num_sweeps // 5, num_sweeps
        found = run(bridge, betas, *how, ladders=ladders)
        progress_fn(1)
        rates, old = found.lowest(), betas
        betas = _space_out(betas, rates, swap_rate)
        if np.ptp(rates) <= _EVEN and abs(len(betas) - len(old)) <= 1:
            return old
        nearest = abs(betas[:, None] - old).argmin(1)
        state = tuple(tf.gather(x, nearest, axis=-3) for x in found.ladders.state)
        legs = tf.zeros(state[0].shape[:-1], tf.int32)
        ladders = ladder.Ladders(state, legs, found.ladders.step)
    return betas


def _space_out(betas: np.ndarray, rates: np.ndarray, swap_rate: float) -> np.ndarray:
    """Temperatures at equal distances along the bridge, near those of `swap_rate`."""
    # rates outside this range are as good as 0 or 1, and would make distances infinite or 0
    distances = special.erfcinv(np.clip(rates, 1e-3, 1 - 1e-6))
    along = np.concatenate([[0], np.cumsum(distances)])
    num_pairs = max(1, int(np.ceil(along[-1] / special.erfcinv(swap_rate))))
    betas = np.interp(np.linspace(0, along[-1], num_pairs + 1), along, betas)
    betas[0], betas[-1] = 0, 1
    return betas.astype(np.float32)
