"""Weighted chains cut into pieces that are small enough to move at once, and joined again."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from sampler.annealing.bridge import Bridge

ELEMENTS = 2**22
"""Units of states (RBMs x chains x units of a side) in a piece."""


class Piece(NamedTuple):
    """Some RBMs of a batch, flattened to [B], with some of their chains.

    Attributes:
      bridge: of the B RBMs.
      z1: states, [B, C, n1].
      log_weights: float64, [B, C].
    """

    bridge: Bridge
    z1: tf.Tensor
    log_weights: tf.Tensor


def cut(bridge: Bridge, z1: tf.Tensor, log_weights: tf.Tensor) -> list[list[Piece]]:
    """Pieces by RBMs, and of each by chains; at most two numbers of chains, so two compilations.

    The last RBMs are repeated where that fills up the last piece.
    """
    rank = bridge.base1.shape.rank - 1
    num_rbms = bridge.base1.shape[:-1].num_elements()
    num_chains, n1 = z1.shape[-2:]
    units = num_chains * max(n1, bridge.base2.shape[-1])
    size = max(1, min(num_rbms, ELEMENTS // units))
    rows = tf.minimum(tf.range(-(-num_rbms // size) * size), num_rbms - 1)

    def flat(tensor: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tensor, [num_rbms, *tensor.shape[rank:]])

    everything = tf.nest.map_structure(flat, Piece(bridge, z1, log_weights))
    groups = -(-units // ELEMENTS) if size == 1 else 1

    def rbms(some: tf.Tensor) -> Piece:
        return tf.nest.map_structure(lambda t: tf.gather(t, some), everything)

    return [_by_chains(rbms(some), groups) for some in tf.split(rows, len(rows) // size)]


def _by_chains(piece: Piece, groups: int) -> list[Piece]:
    num_chains = piece.z1.shape[1]
    ends = [num_chains * i // groups for i in range(groups + 1)]
    spans = zip(ends, ends[1:], strict=False)
    return [Piece(piece.bridge, piece.z1[:, a:b], piece.log_weights[:, a:b]) for a, b in spans]


def join(pieces: list[list[tf.Tensor]], batch: tf.TensorShape) -> tf.Tensor:
    """Tensors [B, C, ...] of the pieces as one, [*batch, C, ...]."""
    whole = tf.concat([tf.concat(row, 1) for row in pieces], 0)[: batch.num_elements()]
    return tf.reshape(whole, [*batch, *whole.shape[1:]])
