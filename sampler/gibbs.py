"""Block-Gibbs sweeps; the same sweep samples hard states and, given a relaxation, relaxed ones."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from sampler import seeds
from sampler.families import Family
from sampler.io.errors import expect
from sampler.machines.machine import AnyMachine, State, turned

DrawFn = Callable[[Family, tf.Tensor, tf.Tensor], tf.Tensor]
"""(family, natural parameters, seed) -> a state of each unit, hard or relaxed, of their shape."""


class Clamp(NamedTuple):
    """Units that keep given values, so that sweeps sample the others from p(free | clamped).

    Attributes:
      masks: for each block None (free), or bool, true where a unit (of a categorical one, each of
        its numbers) is clamped; broadcasts with the block's states [..., C, n].
      values: for each block the values, alike; those of free units don't matter.
    """

    masks: tuple[Any, ...]
    values: tuple[Any, ...]

    def hold(self, k: int, x: tf.Tensor) -> tf.Tensor:
        """States of block k with the clamped units at their values."""
        if self.masks[k] is None:
            return x
        return tf.where(self.masks[k], tf.cast(self.values[k], x.dtype), x)


_GROUP = 500
_MANY = 1000


def hard(family: Family, eta: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A sample of each unit."""
    return family.sample(eta, seed)


def sweep(
    machine: AnyMachine,
    state: State,
    seed: tf.Tensor,
    draw: DrawFn = hard,
    clamp: Clamp | None = None,
) -> tuple[tf.Tensor, ...]:
    """All blocks after each in turn is drawn given the others (for an RBM, the paper's equation 5).

    Args:
      machine: batch dimensions [...].
      state: of all blocks, [..., C, n_k]. The first block is redrawn before it is read, so that it
        may be None where there are others.
      draw: how a block is drawn from its natural parameters.
      clamp: units that keep their values (the given state takes them too, before it is used).
    """
    blocks: list[Any] = list(state)
    if clamp is not None:
        blocks = [x if x is None else clamp.hold(k, x) for k, x in enumerate(blocks)]
    for k, family in enumerate(machine.families):
        eta = machine.natural(k, tuple(blocks))
        blocks[k] = draw(family, eta, seeds.fold_in(seed, k + 1))
        if clamp is not None:
            blocks[k] = clamp.hold(k, blocks[k])
    return tuple(blocks)


def run(
    machine: AnyMachine,
    state: State,
    num_sweeps: int | tf.Tensor,
    seed: int | tf.Tensor,
    clamp: Clamp | None = None,
) -> tuple[tf.Tensor, ...]:
    """`num_sweeps` (at least 1) hard sweeps; shapes as in `sweep`.

    Many chains of one machine are swept in groups: smaller products share the cores better (1000
    chains of 100+100 units take 0.6 of the time). Chains are independent, so groups change nothing.
    A graph's units are swept with the chains last (`AnyMachine.columns`).
    """
    machine, seed = machine.cast(), seeds.as_seed(seed)
    expect(not isinstance(num_sweeps, int) or num_sweeps > 0, "num_sweeps", num_sweeps, "1 or more")
    columns = machine.columns(None) if clamp is None else None
    if columns is not None:
        return turned(_run(columns, turned(state), num_sweeps, seed))
    like = next(x for x in state if x is not None)
    num_chains = like.shape[-2] or 0
    if like.shape.rank > 2 or num_chains < _MANY or num_chains % _GROUP or clamp is not None:
        return _run(machine, state, num_sweeps, seed, clamp)
    groups = num_chains // _GROUP
    chains = tuple(x if x is None else tf.reshape(x, [groups, _GROUP, x.shape[-1]]) for x in state)
    swept = _run(machine.copies(groups), chains, num_sweeps, seed)
    return tuple(tf.reshape(x, [num_chains, x.shape[-1]]) for x in swept)


def _run(
    machine: AnyMachine,
    state: State,
    num_sweeps: int | tf.Tensor,
    seed: tf.Tensor,
    clamp: Clamp | None = None,
) -> tuple[tf.Tensor, ...]:
    # the first block is redrawn before it is read: it need not be carried from sweep to sweep
    head, rest = (None,) * (len(state) > 1), state[len(state) > 1 :]

    def body(i: tf.Tensor, rest: State) -> tuple[tf.Tensor, State]:
        swept = sweep(machine, (*head, *rest), seeds.fold_in(seed, i), clamp=clamp)
        return i + 1, swept[len(head) :]

    last = num_sweeps - 1
    _, rest = tf.while_loop(lambda i, _: i < last, body, (0, rest), maximum_iterations=last)
    return sweep(machine, (*head, *rest), seeds.fold_in(seed, last), clamp=clamp)


def merged(state: State) -> State:
    """Groups of chains [..., G, C, n_k] as chains [..., G C, n_k], each block; static shapes."""
    return tuple(
        tf.reshape(x, [*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1]]) for x in state
    )


def apart(state: State, groups: Sequence[int]) -> State:
    """Chains [..., G C, n_k] as `groups` = G, C of them, [..., G, C, n_k], each block."""
    return tuple(tf.reshape(x, [*x.shape[:-2], *groups, x.shape[-1]]) for x in state)


def initial(
    machine: AnyMachine, num_chains: int | tf.Tensor, seed: int | tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """States [..., num_chains, n_k] of all blocks, drawn from the fields alone."""
    machine = machine.cast()
    return independent(machine.families, machine.fields, num_chains, seeds.as_seed(seed))


def independent(
    families: tuple[Family, ...],
    fields: tuple[tf.Tensor, ...],
    num_chains: int | tf.Tensor,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """States [..., num_chains, n_k] of units with natural parameters `fields`, [..., n_k] each."""

    def draw(k: int) -> tf.Tensor:
        eta = fields[k][..., None, :]
        shape = tf.concat([tf.shape(eta)[:-2], [num_chains], tf.shape(eta)[-1:]], 0)
        return families[k].sample(tf.broadcast_to(eta, shape), seeds.fold_in(seed, k + 1))

    return tuple(draw(k) for k in range(len(fields)))
