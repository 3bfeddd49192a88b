"""The bases of one machine, runs from them, and what they teach."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from sampler import modes as exploring
from sampler import seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import chains, schedules
from sampler.annealing.bridge import Bridge
from sampler.evidence import strata
from sampler.evidence.assignment import Table, apportioned, assign
from sampler.machines.machine import AnyMachine, State
from sampler.weights.estimates import CONTRADICTION, Samples, estimate

ROWS = 16
"""Runs of a round, each from a base; many runs may share one."""

CHAINS = 128
"""Chains of a run."""

_CHECKS = 4
_SETTLED = 0.2
_ENDS = 64


class Round(NamedTuple):
    """What a round of forward runs found.

    Attributes:
      parts: each mode's part of Z, and the whole.
      table: what each base says of each part.
      samples: all runs' chains, [R, C].
      base: the number of each run's base, [R].
      said: each base's own estimate of the whole log Z, and its error, of its last round.
    """

    parts: strata.Parts
    table: Table
    samples: Samples
    base: np.ndarray
    said: dict[str, tuple[float, float]]


class Search:
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
        self.tables: list[Table] = []
        self.said: dict[str, tuple[float, float]] = {}

    def widen(self, found: Round, seed: tf.Tensor) -> None:
        """Adds the modes that chains have come to and exploring had not found, as room is left."""
        known, room = len(self.names()), ROWS - len(self.names())
        if room > 0:
            new = exploring.descend(self.machine, self.pooled(found, seed, _ENDS))
            self.modes = self.modes.joined(new, room)
            if len(self.names()) > known:  # the parts are others
                self.tables.clear()

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

    def forward(self, base: np.ndarray, num_temperatures: int, number: int) -> Round:
        """Runs from the bases of these numbers, [R], and the parts that they give."""
        bridge, seed = self.bridge(base), seeds.fold_in(self.seed, 1, number)
        start = chains.initial(bridge, CHAINS, seeds.fold_in(seed, 0))
        betas = schedules.linear(num_temperatures)
        run = chains.along(bridge, start, betas, seeds.fold_in(seed, 1), lambda _: None)
        label = strata.labels(self.machine, self.modes, run.samples.state)
        log_weights = run.samples.log_weights.numpy()
        self.learn(run.samples.state)
        shape = len(self.names()), len(self.modes.bounds)
        parts = strata.choose(log_weights, label, base, shape, self.tables)
        found = strata.table(log_weights, label, base, shape)
        self.tables.append(found)
        rounded = chains.rounding(bridge, run.samples.state[: bridge.num_kept], parts.log_z)
        parts = parts._replace(stderr=float(np.hypot(parts.stderr, np.max(rounded))))
        self.said = self.said | self._said(log_weights, base)
        return Round(parts, found, run.samples, base, self.said)

    def learn(self, state: State) -> None:
        """Raises the rigorous bound by the states seen: log Z >= log of each one's marginal."""
        rest = state[:-1] or (None,)
        if rest[0] is not None:
            self.bound = max(self.bound, float(tf.reduce_max(self.machine.log_marginal(rest))))

    def settled(self, found: Round) -> bool:
        """Whether the bases that no mode ties down agree with the answer, or are proven wrong."""
        log_z, stderr = found.parts.log_z, found.parts.stderr
        return all(
            abs(value - log_z) < CONTRADICTION * np.hypot(error, stderr) + 1e-3
            and error < _SETTLED
            or value + CONTRADICTION * error < log_z - CONTRADICTION * stderr
            for value, error in (found.said[name] for name in self.fixed)
        )

    def _said(self, log_weights: np.ndarray, base: np.ndarray) -> dict[str, tuple[float, float]]:
        """Each base's own estimate of the whole log Z and its standard error."""
        answers = {}
        for b, name in enumerate(self.names()):
            here = log_weights[base == b].ravel()
            if len(here):
                own = estimate(tf.constant(here))
                answers[name] = float(own.log_z), float(own.stderr)
        return answers

    def next_bases(self, found: Round, number: int) -> np.ndarray:
        """Bases of the next round's runs, [R]: of those that count parts, as their errors ask for.

        A few runs are for the others, in turn: new modes, bases that no mode ties down, modes.
        """
        chosen = assign(found.table, self.tables, to_come=True)
        counting = np.unique(chosen.base[chosen.base >= 0])
        known, fixed = len(found.table.num_chains), len(self.fixed)
        idle = np.setdiff1d(np.arange(len(self.names())), counting)
        first = idle[(idle >= known) | (idle < fixed)]
        modes = np.roll(np.setdiff1d(idle, first), -_CHECKS * number)
        room = min(max(_CHECKS, len(first)), ROWS - len(counting))
        checks = np.concatenate([first, modes])[:room]
        runs = apportioned(chosen.errors[counting], ROWS - len(checks))
        return np.sort(np.concatenate([np.repeat(counting, runs), checks]))

    def pooled(self, found: Round, seed: tf.Tensor, count: int) -> State:
        """Equally weighted states of the target, [count, n_k]: each part's from its bases."""
        weights = np.exp(found.parts.contributions - found.parts.log_z).ravel()
        draws = (np.arange(count) + seeds.uniform(seed, [1]).numpy()) / count
        chosen = np.minimum(np.searchsorted(np.cumsum(weights), draws), len(weights) - 1)
        return tuple(
            tf.gather(tf.reshape(x, [-1, x.shape[-1]]), chosen) for x in found.samples.state
        )
