"""Where a machine's weight may lie: mean-field modes found from many starts, with their bounds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from sampler import gibbs, mean_field, seeds
from sampler.machines.machine import AnyMachine, State

NUM_STARTS = 192
SWEEPS = (0, 5, 40)
"""Gibbs sweeps before the descent, each for a third of the starts."""

_SPREAD = 3.0
_SAME = 0.3
_ITERATIONS = 200
_CLIP = 1e-4


class Modes(NamedTuple):
    """Independent units fitted to the modes of a machine without batch dimensions, best first.

    Attributes:
      fields: natural parameters of each block, NumPy float32, [M, n_k].
      means: of each block, [M, n_k].
      bounds: lower bounds of log Z (Gibbs, Bogoliubov, Feynman), float64, [M].
    """

    fields: tuple[np.ndarray, ...]
    means: tuple[np.ndarray, ...]
    bounds: np.ndarray

    def first(self, count: int) -> Modes:
        """The best `count` of them."""
        fields, means = (tuple(x[:count] for x in part) for part in (self.fields, self.means))
        return Modes(fields, means, self.bounds[:count])


def explore(machine: AnyMachine, seed: tf.Tensor, states: State | None = None) -> Modes:
    """Modes that mean field descends to from random starts, short Gibbs runs and given states.

    Args:
      machine: without batch dimensions.
      seed: int32, shape [2].
      states: further starts, of all blocks [C, n_k].
    """
    groups = [_starts(machine, seeds.fold_in(seed, 0))]
    for number, sweeps in enumerate(SWEEPS[1:], 1):
        chains = _starts(machine, seeds.fold_in(seed, number))
        groups.append(swept(machine, chains, sweeps, seeds.fold_in(seed, 10 + number)))
    if states is not None:
        groups.append(states)
    means = tuple(tf.concat(blocks, 0) for blocks in zip(*groups, strict=True))
    return descend(machine, means)


def descend(machine: AnyMachine, states: State) -> Modes:
    """The distinct modes that states [C, n_k] lead to, the highest bound of each first."""
    means = mean_field.fixed_point(machine, states, 1e-4, _ITERATIONS)
    bounds = -mean_field.free_energy(machine, means).numpy()
    order = np.argsort(-bounds, kind="stable")
    together = np.concatenate(means, -1)[order]
    labels = mean_field.group(together, lambda gaps: gaps.max(-1) < _SAME)
    chosen = order[np.unique(labels, return_index=True)[1]]
    blocks = tuple(mean.numpy()[chosen] for mean in means)
    fields = tuple(
        family.natural(mean, _CLIP).numpy()
        for family, mean in zip(machine.families, blocks, strict=True)
    )
    return Modes(fields, blocks, bounds[chosen])


def _starts(machine: AnyMachine, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """States [C, n_k] of units whose fields are a shift of the block's own, or of none."""
    count = NUM_STARTS // len(SWEEPS)

    def block(k: int) -> tf.Tensor:
        family, size = machine.families[k], machine.sizes[k]
        shift = _SPREAD * seeds.normal(seeds.fold_in(seed, 0, k), [count, family.width])
        eta = tf.tile(shift, [1, size // family.width])
        eta += tf.cast(tf.range(count) % 2, tf.float32)[:, None] * machine.fields[k]
        return family.sample(eta, seeds.fold_in(seed, 1, k))

    return tuple(block(k) for k in range(len(machine.families)))


@tf.function(autograph=False, jit_compile=True)
def swept(machine: AnyMachine, state: State, num_sweeps: Any, seed: tf.Tensor) -> State:
    """`gibbs.run`, compiled once for any number of sweeps."""
    return gibbs.run(machine, state, num_sweeps, seed)
