"""Weighted chains cut into pieces that are small enough to move at once, and joined again."""

from typing import NamedTuple

import tensorflow as tf

from sampler.annealing.bridge import Bridge
from sampler.machines.machine import State

ELEMENTS = 2**22
"""Numbers in the states (machines x chains x the largest block) of a piece."""


class Piece(NamedTuple):
    """Some machines of a batch, flattened to [B], with some of their chains.

    Attributes:
      bridge: of the B machines.
      state: of the kept blocks, [B, C, n_k].
      log_weights: float64, [B, C].
    """

    bridge: Bridge
    state: State
    log_weights: tf.Tensor


def cut(bridge: Bridge, state: State, log_weights: tf.Tensor) -> list[list[Piece]]:
    """Pieces by machines, and of each by chains; at most two numbers of chains, two compilations.

    The last machines are repeated where that fills up the last piece.
    """
    batch = bridge.machine.batch_shape
    num_machines, num_chains = batch.num_elements(), log_weights.shape[-1]
    numbers = num_chains * max(bridge.machine.sizes)
    size = max(1, min(num_machines, ELEMENTS // numbers))
    rows = tf.minimum(tf.range(-(-num_machines // size) * size), num_machines - 1)

    def flat(tensor: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tensor, [num_machines, *tensor.shape[batch.rank :]])

    everything = tf.nest.map_structure(flat, Piece(bridge, state, log_weights))
    groups = -(-numbers // ELEMENTS) if size == 1 else 1

    def machines(some: tf.Tensor) -> Piece:
        return tf.nest.map_structure(lambda t: tf.gather(t, some), everything)

    return [_by_chains(machines(some), groups) for some in tf.split(rows, len(rows) // size)]


def _by_chains(piece: Piece, groups: int) -> list[Piece]:
    num_chains = piece.log_weights.shape[1]
    ends = [num_chains * i // groups for i in range(groups + 1)]
    return [
        Piece(piece.bridge, tuple(x[:, a:b] for x in piece.state), piece.log_weights[:, a:b])
        for a, b in zip(ends, ends[1:], strict=False)
    ]


def join(pieces: list[list[tf.Tensor]], batch: tf.TensorShape) -> tf.Tensor:
    """Tensors [B, C, ...] of the pieces as one, [*batch, C, ...]."""
    whole = tf.concat([tf.concat(row, 1) for row in pieces], 0)[: batch.num_elements()]
    return tf.reshape(whole, [*batch, *whole.shape[1:]])
