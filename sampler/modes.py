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

CHECKED = 32
"""Most machines of a batch that `contradictions` looks at, fewer of large ones."""

_LARGE = 2**20
_FEW = 64
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

    def joined(self, others: Modes, count: int) -> Modes:
        """These, and up to `count` of the others that are none of them."""
        mine, theirs = (np.concatenate(modes.means, -1) for modes in (self, others))
        gaps = abs(theirs[:, None] - mine).max(-1).min(-1)
        new = np.flatnonzero(gaps >= _SAME)[:count]

        def both(own: tuple, other: tuple) -> tuple:
            return tuple(np.concatenate([x, y[new]]) for x, y in zip(own, other, strict=True))

        bounds = np.concatenate([self.bounds, others.bounds[new]])
        return Modes(both(self.fields, others.fields), both(self.means, others.means), bounds)


def explore(machine: AnyMachine, seed: tf.Tensor, states: State | None = None) -> Modes:
    """Modes that mean field descends to from random starts, short Gibbs runs and given states.

    Args:
      machine: without batch dimensions.
      seed: int32, shape [2].
      states: further starts, of all blocks [C, n_k].
    """
    return descend(machine, _starts(machine, seed, states))


def bounds(machine: AnyMachine, seed: tf.Tensor, states: State | None = None) -> np.ndarray:
    """Proven lower bounds of log Z, float64 [...], for machines of any batch shape [...].

    The best of mean field's, and of those of the given states [..., C, n_k]: Z is not less than the
    weight of one state, the last block summed out.
    """
    means = mean_field.fixed_point(machine, _starts(machine, seed, states), 1e-4, _ITERATIONS)
    found = tf.reduce_max(-mean_field.free_energy(machine, means), -1)
    if states is not None and len(states) > 1:
        seen = machine.log_marginal((*states[:-1], None))
        found = tf.maximum(found, tf.cast(tf.reduce_max(seen, -1), tf.float64))
    return found.numpy()


def contradictions(machine: AnyMachine, log_z: Any, stderr: Any, states: State | None) -> list[str]:
    """Warnings where an estimate of log Z lies below what is proven; of a batch, the first ones.

    Args:
      machine: any batch shape [...].
      log_z, stderr: the estimates and their errors, [...].
      states: states that were seen, of all blocks [..., C, n_k].
    """
    batch = machine.batch_shape
    count = min(CHECKED, batch.num_elements(), max(1, _LARGE // sum(machine.sizes) ** 2))

    def first(x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(x, [-1, *x.shape[batch.rank :]])[:count] if batch.rank else x

    few = None if states is None else tuple(first(x[..., :_FEW, :]) for x in states)
    proven = np.ravel(bounds(machine.cast().map(first), seeds.make_seed(0), few))
    said, error = (np.ravel(x)[:count] for x in (log_z, stderr))
    wrong = ~(said + 5 * np.nan_to_num(error) + 1e-3 + 1e-6 * abs(proven) >= proven)
    return [
        f"{f'machine {i}: ' if batch.rank else ''}log Z is at least {proven[i]:.6g} (mean field, "
        f"or a state that was seen), more than the answer, {said[i]:.6g}: most of the weight was "
        "not reached; another base, or sampler.log_z, may reach it"
        for i in np.flatnonzero(wrong)
    ]


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


def _starts(machine: AnyMachine, seed: tf.Tensor, states: State | None) -> tuple[tf.Tensor, ...]:
    """Where the descents start, [..., C, n_k]: anywhere, short Gibbs runs, the given states."""
    groups = [_anywhere(machine, seeds.fold_in(seed, 0))]
    for number, sweeps in enumerate(SWEEPS[1:], 1):
        chains = _anywhere(machine, seeds.fold_in(seed, number))
        groups.append(swept(machine, chains, sweeps, seeds.fold_in(seed, 10 + number)))
    if states is not None:
        groups.append(states)
    return tuple(tf.concat(blocks, -2) for blocks in zip(*groups, strict=True))


def _anywhere(machine: AnyMachine, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """States [..., C, n_k] of units whose fields are a shift of the block's own, or of none."""
    count = NUM_STARTS // len(SWEEPS)

    def block(k: int) -> tf.Tensor:
        family, size = machine.families[k], machine.sizes[k]
        shift = _SPREAD * seeds.normal(seeds.fold_in(seed, 0, k), [count, family.width])
        eta = tf.tile(shift, [1, size // family.width])
        own = tf.cast(machine.fields[k], tf.float32)[..., None, :]
        eta += tf.cast(tf.range(count) % 2, tf.float32)[:, None] * own
        return family.sample(eta, seeds.fold_in(seed, 1, k))

    return tuple(block(k) for k in range(len(machine.families)))


@tf.function(autograph=False, jit_compile=True)
def swept(machine: AnyMachine, state: State, num_sweeps: Any, seed: tf.Tensor) -> State:
    """`gibbs.run`, compiled once for any number of sweeps."""
    return gibbs.run(machine, state, num_sweeps, seed)
