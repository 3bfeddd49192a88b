"""log Z by annealing from many bases at once, each part of Z from the base that sees it best."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from sampler import modes as exploring
from sampler import seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import chains, schedules
from sampler.annealing.bridge import Bridge
from sampler.evidence import strata
from sampler.evidence.answer import LogZ
from sampler.machines.machine import AnyMachine, State
from sampler.weights.estimates import LEAST_ESS, Samples, estimate

ROWS = 16
"""Runs of a round, each from a base; many runs may share one."""

CHAINS = 128
"""Chains of a run."""

FIRST = 251
"""Temperatures of the first round; each next one doubles the steps."""

_SWEEPS = 100
_ERRORS = 3.0
_IMPORTANT = 1e-3
_SETTLED = 0.2


class _Round(NamedTuple):
    """What a round of forward runs found."""

    parts: strata.Parts
    table: strata.Table
    samples: Samples
    base: np.ndarray


class _Search:
    """The bases of one machine and what has been learned of them.

    Args:
      machine: float32, without batch dimensions.
      seed: int32, shape [2].
      given: further bases by name, natural parameters of each block [n_k].
    """

    def __init__(self, machine: AnyMachine, seed: tf.Tensor, given: dict[str, Sequence[Any]]):
        self.machine, self.seed = machine, seed
        self.modes = exploring.explore(machine, seeds.fold_in(seed, 0)).first(ROWS - 2 - len(given))
        self.fixed = {
            "uniform": bridges.from_uniform(machine).base,
            "fields": bridges.from_fields(machine).base,
            **{name: tuple(map(tf.convert_to_tensor, base)) for name, base in given.items()},
        }
        self.bound = float(self.modes.bounds.max())

    def names(self) -> list[str]:
        """Of the bases, in their order."""
        return [*self.fixed, *(f"mean_field_{m}" for m in range(len(self.modes.bounds)))]

    def bridge(self, base: np.ndarray) -> Bridge:
        """Bridges [R] from the bases of these numbers."""
        fields = []
        for k in range(len(self.machine.families)):
            fixed = [tf.cast(b[k], tf.float32) for b in self.fixed.values()]
            every = tf.concat([tf.stack(fixed), self.modes.fields[k]], 0)
            fields.append(tf.gather(every, base))
        return Bridge(self.machine.copies(len(base)), tuple(fields))

    def forward(self, base: np.ndarray, num_temperatures: int, number: int) -> _Round:
        """Runs from the bases of these numbers, [R], and the parts that they give."""
        bridge, seed = self.bridge(base), seeds.fold_in(self.seed, 1, number)
        start = chains.initial(bridge, CHAINS, seeds.fold_in(seed, 0))
        betas = schedules.linear(num_temperatures)
        run = chains.along(bridge, start, betas, seeds.fold_in(seed, 1), lambda _: None)
        label = strata.labels(self.machine, self.modes, run.samples.state)
        log_weights = run.samples.log_weights.numpy()
        self._learn(run.samples.state)
        counts = len(self.modes.bounds)
        found = strata.table(log_weights, label, base, counts)
        parts = strata.choose(log_weights, label, base, counts)
        rounded = chains.rounding(bridge, run.samples.state[: bridge.num_kept], parts.log_z)
        parts = parts._replace(stderr=float(np.hypot(parts.stderr, np.max(rounded))))
        return _Round(parts, found, run.samples, base)

    def _learn(self, state: State) -> None:
        """Raises the rigorous bound by the states seen: log Z >= log of each one's marginal."""
        rest = state[:-1] or (None,)
        if rest[0] is not None:
            self.bound = max(self.bound, float(tf.reduce_max(self.machine.log_marginal(rest))))

    def settled(self, found: _Round) -> bool:
        """Whether the bases that no mode ties down agree with the answer, or are proven wrong."""
        log_z, stderr = found.parts.log_z, found.parts.stderr
        said = self.said(found)
        return all(
            abs(value - log_z) < strata.CONTRADICTION * np.hypot(error, stderr) + 1e-3
            and error < _SETTLED
            or value + strata.CONTRADICTION * error < log_z - strata.CONTRADICTION * stderr
            for value, error in (said[name] for name in self.fixed)
        )

    def said(self, found: _Round) -> dict[str, tuple[float, float]]:
        """Each base's own estimate of the whole log Z and its standard error."""
        answers = {}
        for b, name in enumerate(self.names()):
            here = found.samples.log_weights.numpy()[found.base == b].ravel()
            if len(here):
                own = estimate(tf.constant(here))
                answers[name] = float(own.log_z), float(own.stderr)
        return answers

    def next_bases(self, found: _Round) -> np.ndarray:
        """Bases of the next round's runs: each once, and more where the error comes from."""
        names = len(self.names())
        base = np.arange(names)[:ROWS]
        values = np.exp(found.parts.contributions - found.parts.log_z)
        wanted = np.array([values[found.base == b].std() if b in found.base else 0 for b in base])
        extra = ROWS - len(base)
        if extra > 0 and wanted.sum() > 0:
            ideal = wanted / wanted.sum() * extra
            counts = np.floor(ideal).astype(int)
            counts[np.argsort(counts - ideal)[: extra - counts.sum()]] += 1
            base = np.concatenate([base, np.repeat(np.arange(names), counts)])
        return np.sort(base)

    def pooled(self, found: _Round, seed: tf.Tensor, count: int) -> State:
        """Equally weighted states of the target, [count, n_k]: each part's from its bases."""
        weights = np.exp(found.parts.contributions - found.parts.log_z).ravel()
        draws = (np.arange(count) + seeds.uniform(seed, [1]).numpy()) / count
        chosen = np.minimum(np.searchsorted(np.cumsum(weights), draws), len(weights) - 1)
        return tuple(
            tf.gather(tf.reshape(x, [-1, x.shape[-1]]), chosen) for x in found.samples.state
        )

    def backward(self, found: _Round, num_temperatures: int, number: int) -> tuple[float, float]:
        """log Z from above, with its error: samples, swept on, each run back to its part's base.

        For states of a region R alone, Z_R = Z_0 P(a forward run ends in R) / E[1 / w].
        """
        seed = seeds.fold_in(self.seed, 2, number)
        pool = self.pooled(found, seeds.fold_in(seed, 0), ROWS * CHAINS)
        pool = exploring.swept(self.machine, pool, tf.constant(_SWEEPS), seeds.fold_in(seed, 1))
        self._learn(pool)
        region = found.parts.base[strata.labels(self.machine, self.modes, pool)]
        rows = _apportioned(region)
        noise = np.random.default_rng(seeds.fold_in(seed, 2).numpy().view(np.uint32))
        picks = np.stack([_spread(np.flatnonzero(region == b), noise) for b in rows])
        bridge = self.bridge(rows)
        state = tuple(tf.gather(x, picks) for x in pool)
        kept = state[:-1] or (state[0][..., :0],)
        start = chains.Chains(kept, tf.zeros([ROWS, CHAINS], tf.float64))
        betas = schedules.linear(num_temperatures)[::-1]
        run = chains.along(bridge, start, betas, seeds.fold_in(seed, 3), lambda _: None)
        log_base, inverse = bridge.log_z_base().numpy(), run.samples.log_weights.numpy()
        values, errors = [], []
        for b in np.unique(rows):
            weights = inverse[rows == b].ravel()
            total, squares = np.logaddexp.reduce(weights), np.logaddexp.reduce(2 * weights)
            reached = found.table.reached[b, found.parts.base == b].sum()
            values.append(log_base[rows == b][0] + np.log(reached * len(weights)) - total)
            # chains that began as copies of one state count as one
            distinct = min(len(weights), int(np.sum(region == b)))
            errors.append(max(np.exp(squares - 2 * total) * len(weights) - 1, 0) / distinct)
        log_z = np.logaddexp.reduce(values)
        shares = np.exp(np.array(values) - log_z)
        return float(log_z), float(np.sqrt(np.sum(shares**2 * errors)))


def _apportioned(region: np.ndarray) -> np.ndarray:
    """ROWS numbers of bases, each base that states lie at as often as there are such states."""
    bases, counts = np.unique(region, return_counts=True)
    keep = counts > _IMPORTANT * len(region)
    bases, counts = bases[keep], counts[keep]
    ideal = np.maximum(counts / counts.sum() * ROWS, 1)
    wanted = np.floor(ideal * ROWS / ideal.sum()).astype(int).clip(1)
    order = np.argsort(wanted - ideal)
    for i in np.resize(order, max(ROWS - wanted.sum(), 0)):
        wanted[i] += 1
    return np.sort(np.repeat(bases, wanted)[:ROWS])


def _spread(members: np.ndarray, noise: np.random.Generator) -> np.ndarray:
    """CHAINS of the members, each as often as any other, give or take one."""
    return noise.permutation(np.resize(noise.permutation(members), CHAINS))


def log_z(
    machine: AnyMachine,
    seed: tf.Tensor,
    tolerance: float,
    target_stderr: float,
    max_seconds: float,
    bases: dict[str, Sequence[Any]],
    progress_fn: Callable[[int], object],
) -> LogZ:
    """The answer by annealing; arguments as for `auto.log_z`."""
    started = time.perf_counter()
    search = _Search(machine, seed, bases)
    base = np.sort(np.resize(np.arange(len(search.names())), ROWS))
    num_temperatures, number = FIRST, 0
    while True:
        round_started = time.perf_counter()
        found = search.forward(base, num_temperatures, number)
        progress_fn(num_temperatures - 1)
        back, back_stderr = search.backward(found, num_temperatures, number)
        progress_fn(num_temperatures - 1)
        total, stderr = found.parts.log_z, found.parts.stderr
        interval = min(total - _ERRORS * stderr, back), max(back + _ERRORS * back_stderr, total)
        narrow = stderr <= target_stderr and interval[1] - interval[0] <= tolerance
        now = time.perf_counter()
        # the next round takes twice as long
        if (
            narrow
            and search.settled(found)
            or now - started + 2 * (now - round_started) > max_seconds
        ):
            return _answer(search, found, interval, tolerance)
        base, number = search.next_bases(found), number + 1
        num_temperatures = 2 * num_temperatures - 1


def _answer(
    search: _Search, found: _Round, interval: tuple[float, float], tolerance: float
) -> LogZ:
    log_z, stderr, ess = found.parts[2:]
    state = search.pooled(found, seeds.fold_in(search.seed, 3), ROWS * CHAINS)
    samples = Samples(state, tf.fill([ROWS * CHAINS], tf.constant(log_z, tf.float64)))
    doubts = _doubts(search, found, interval, tolerance)
    said = search.said(found)
    return LogZ(log_z, stderr, *interval, ess, samples, said, search.bound, "annealing", doubts)


def _doubts(
    search: _Search, found: _Round, interval: tuple[float, float], tolerance: float
) -> list[str]:
    log_z, stderr, ess = found.parts[2:]
    width, doubts = interval[1] - interval[0], []
    if ess < LEAST_ESS:
        doubts.append(f"effective sample size {ess:.3g}, below {LEAST_ESS:g}")
    if width > tolerance:
        doubts.append(f"the interval is {width:.3g} nats wide, more than {tolerance:g}")
    if log_z + _ERRORS * stderr < search.bound:
        doubts.append(
            f"the estimate is below {search.bound:.6g}, which log Z cannot be: part of the states "
            "was not reached"
        )
    for name, (value, error) in search.said(found).items():
        apart = value - log_z - strata.CONTRADICTION * (error + stderr)
        if apart > 1e-3:
            doubts.append(f"base {name} says {value:.6g} +- {error:.2g}, more than the answer")
    return doubts
