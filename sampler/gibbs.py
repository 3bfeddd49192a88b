"""Block-Gibbs sweeps; the same sweep samples hard states and, given a relaxation, relaxed ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import tensorflow as tf

from sampler import seeds
from sampler.machines.rbm import AnyRBM, replicate

SampleFn = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""(logits, seed) -> a sample of each unit, hard or relaxed, of the logits' shape."""


class Conditionals(Protocol):
    """What a sweep asks of a Boltzmann machine: an `AnyRBM`, an `AnyIsingRBM`."""

    def logits1(self, z2: tf.Tensor) -> tf.Tensor:
        """Logits of p(z1 = 1 | z2), [..., C, n1]."""

    def logits2(self, z1: tf.Tensor) -> tf.Tensor:
        """Logits of p(z2 = 1 | z1), [..., C, n2]."""


class Clamp(NamedTuple):
    """Units that keep given values, so that sweeps sample the others from p(free | clamped).

    Each field broadcasts with states [..., C, n]: [n] for all chains alike, [..., C, n] for each
    its own. None, for both fields of a side, leaves the side free.

    Attributes:
      mask1, mask2: bool, true where a unit of the first or second side is clamped.
      z1, z2: the values; those of free units don't matter.
    """

    mask1: tf.Tensor | None = None
    z1: tf.Tensor | None = None
    mask2: tf.Tensor | None = None
    z2: tf.Tensor | None = None


FREE = Clamp()
"""No unit is clamped."""

_GROUP = 500
_MANY = 1000


def bernoulli(logits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Binary units (float32 0 or 1) with the given logits; P(z = 1) is exact to 2^-24."""
    draws = seeds.uniform(seed, _shape(logits))
    return tf.cast(draws < tf.sigmoid(logits), tf.float32)


def sweep(
    rbm: Conditionals,
    z2: tf.Tensor,
    seed: tf.Tensor,
    sample_fn: SampleFn = bernoulli,
    clamp: Clamp = FREE,
) -> tuple[tf.Tensor, tf.Tensor]:
    """One sweep z1 ~ p(z1 | z2), z2 ~ p(z2 | z1) (the paper's equation 5).

    Args:
      rbm: RBMs with batch dimensions [...].
      z2: states of the second side, [..., C, n2]; the first side is redrawn, so it is not needed.
      seed: int32, shape [2].
      sample_fn: how a unit is drawn from its logits.
      clamp: units that keep their values (the given `z2` takes them too, before it is used).

    Returns:
      z1 [..., C, n1] and z2 [..., C, n2].
    """
    z2 = _hold(z2, clamp.mask2, clamp.z2)
    z1 = _hold(sample_fn(rbm.logits1(z2), seeds.fold_in(seed, 1)), clamp.mask1, clamp.z1)
    z2 = sample_fn(rbm.logits2(z1), seeds.fold_in(seed, 2))
    return z1, _hold(z2, clamp.mask2, clamp.z2)


def _hold(z: tf.Tensor, mask: tf.Tensor | None, values: tf.Tensor | None) -> tf.Tensor:
    return z if mask is None else tf.where(mask, values, z)


def run(
    rbm: Conditionals, z2: tf.Tensor, num_sweeps: int, seed: tf.Tensor, clamp: Clamp = FREE
) -> tuple[tf.Tensor, tf.Tensor]:
    """`num_sweeps` (at least 1) hard sweeps; shapes as in `sweep`.

    Many chains of one RBM are swept in groups: smaller products share the cores better (1000
    chains of 100+100 units take 0.6 of the time). Chains are independent, so groups change nothing.
    """
    if num_sweeps < 1:
        raise ValueError(f"num_sweeps must be at least 1, got {num_sweeps}")
    if any(field is not None for field in clamp):
        return _run(rbm, z2, num_sweeps, seed, clamp)
    num_chains, n2 = z2.shape[-2:]
    if z2.shape.rank > 2 or (num_chains or 0) < _MANY or num_chains % _GROUP:
        return _run(rbm, z2, num_sweeps, seed)
    groups = num_chains // _GROUP
    chains = tf.reshape(z2, [groups, _GROUP, n2])
    z1, z2 = _run(replicate(rbm, groups), chains, num_sweeps, seed)
    return tf.reshape(z1, [num_chains, -1]), tf.reshape(z2, [num_chains, n2])


def _run(
    rbm: Conditionals, z2: tf.Tensor, num_sweeps: int, seed: tf.Tensor, clamp: Clamp = FREE
) -> tuple[tf.Tensor, tf.Tensor]:
    def body(i: tf.Tensor, z2: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, sweep(rbm, z2, seeds.fold_in(seed, i), clamp=clamp)[1]

    last = num_sweeps - 1
    _, z2 = tf.while_loop(lambda i, _: i < last, body, (0, z2), maximum_iterations=last)
    return sweep(rbm, z2, seeds.fold_in(seed, last), clamp=clamp)


def initial(rbm: AnyRBM, num_chains: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """States z2 [..., num_chains, n2] drawn from the second side's biases alone."""
    logits = rbm.b2[..., None, :]
    shape = tf.concat([tf.shape(logits)[:-2], [num_chains], tf.shape(logits)[-1:]], 0)
    return bernoulli(tf.broadcast_to(logits, shape), seed)


def _shape(x: tf.Tensor) -> tf.Tensor | list[int]:
    return x.shape.as_list() if x.shape.is_fully_defined() else tf.shape(x)
