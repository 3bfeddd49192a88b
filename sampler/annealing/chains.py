"""Weighted chains moved along a bridge of RBMs: what annealed importance sampling is made of.

`start` and `anneal` are graph-level pieces; `along` runs them, compiled, for any batch and number
of chains, in pieces that fit the memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import seeds
from sampler.annealing import pieces as chunks
from sampler.annealing.bridge import Bridge
from sampler.weights.estimates import Estimate, estimate

_SEGMENT = 250
_ROUNDING = 2.0**-24
_ROUNDING_OF_SUMS = 2.0**-48


class State(NamedTuple):
    """Weighted chains on their way along a bridge.

    Attributes:
      z1: states of the first side, [..., C, n1].
      log_weights: float64, [..., C].
    """

    z1: tf.Tensor
    log_weights: tf.Tensor


class Trace(NamedTuple):
    """The weights along a bridge.

    Attributes:
      betas: the inverse temperatures, in the order that they were passed, float32 [T].
      log_mean_weight: log of the mean weight at each, float64 [..., T]: forward, the estimate of
        log Z at that temperature.
      ess: effective sample size at each, float64 [..., T].
    """

    betas: np.ndarray
    log_mean_weight: tf.Tensor
    ess: tf.Tensor


class Run(NamedTuple):
    """What annealing gives.

    Attributes:
      state: the end states with their weights: forward, weighted samples of the target.
      estimate: of the target's log Z.
      trace: the weights at each temperature.
    """

    state: State
    estimate: Estimate
    trace: Trace


def start(bridge: Bridge, num_chains: int | tf.Tensor, seed: tf.Tensor) -> State:
    """Exact samples of the base, with weights of which the mean is log Z of the base."""
    z1 = bridge.sample_base(num_chains, seed)
    return State(z1, bridge.log_z_base()[..., None] + tf.zeros(tf.shape(z1)[:-1], tf.float64))


def anneal(bridge: Bridge, state: State, betas: tf.Tensor, seed: tf.Tensor) -> State:
    """Moves chains along `betas` (float32, [T]; rising or falling): weight, then sweep."""
    return _anneal(bridge, state, betas, seed)[0]


def _anneal(
    bridge: Bridge, state: State, betas: tf.Tensor, seed: tf.Tensor
) -> tuple[State, tf.Tensor]:
    """The state at the end, and `_sums` of the weights after each step, [..., 2, T - 1]."""
    count = tf.shape(betas)[0] - 1
    shape = state.log_weights.shape[:-1] + [2]
    trace = tf.TensorArray(tf.float64, count, element_shape=shape)

    def body(i: tf.Tensor, z1: tf.Tensor, log_weights: tf.Tensor, trace: tf.TensorArray) -> tuple:
        beta, new_beta = betas[i], betas[i + 1]
        log_weights += bridge.log_weight(z1, beta, new_beta)
        z1 = bridge.sweep(z1, new_beta, seeds.fold_in(seed, i))
        return i + 1, z1, log_weights, trace.write(i, _sums(log_weights))

    _, z1, log_weights, trace = tf.while_loop(lambda i, *_: i < count, body, (0, *state, trace))
    sums = trace.stack()
    rank = sums.shape.rank
    return State(z1, log_weights), tf.transpose(sums, [*range(1, rank), 0])


def _sums(log_weights: tf.Tensor) -> tf.Tensor:
    """log sum w and log sum w^2 over chains, [..., 2]."""
    return tf.stack([tf.reduce_logsumexp(k * log_weights, -1) for k in (1, 2)], -1)


_anneal_compiled = tf.function(_anneal, jit_compile=True, autograph=False)


def along(
    bridge: Bridge, state: State, betas: np.ndarray, seed: tf.Tensor, progress_fn: Callable
) -> Run:
    """`anneal`, compiled, piece by piece and in segments (a graph is traced for each length).

    Args:
      bridge: any batch shape.
      state: chains at the first of `betas`.
      betas: inverse temperatures, rising or falling, float32 [T].
      seed: int32, shape [2].
      progress_fn: called with the number of temperatures just done, T - 1 in all.
    """
    batch, num_chains = state.log_weights.shape[:-1], state.log_weights.shape[-1]
    sums = [_sums(state.log_weights)[..., None]]
    pieces = chunks.cut(bridge, *state)
    for number, first in enumerate(range(0, len(betas) - 1, _SEGMENT)):
        segment = betas[first : first + _SEGMENT + 1]
        pieces, new = _anneal_pieces(pieces, tf.constant(segment), seeds.fold_in(seed, number))
        sums.append(chunks.join(new, batch))
        progress_fn(len(segment) - 1)
    end = State(*(chunks.join([[p[k] for p in row] for row in pieces], batch) for k in (1, 2)))
    log_sum, log_sum_squares = tf.unstack(tf.concat(sums, -1), axis=-2)
    log_mean = log_sum - tf.math.log(tf.cast(num_chains, tf.float64))
    trace = Trace(betas, log_mean, tf.exp(2 * log_sum - log_sum_squares))
    return Run(end, _with_rounding(bridge, end), trace)


def _anneal_pieces(
    pieces: list[list[chunks.Piece]], betas: tf.Tensor, seed: tf.Tensor
) -> tuple[list[list[chunks.Piece]], list[list[tf.Tensor]]]:
    """Each piece moved along `betas`, and `_sums` of each row of pieces, [B, 2, T - 1]."""
    moved, sums = [], []
    for i, row in enumerate(pieces):
        done = [
            _anneal_compiled(p.bridge, State(*p[1:]), betas, seeds.fold_in(seed, i, j))
            for j, p in enumerate(row)
        ]
        moved.append([chunks.Piece(p.bridge, *d[0]) for p, d in zip(row, done, strict=True)])
        sums.append([tf.reduce_logsumexp([d[1] for d in done], 0)])
    return moved, sums


def _with_rounding(bridge: Bridge, state: State) -> Estimate:
    """`estimate`, with the rounding of the log-weights added to the standard error."""
    statistical = estimate(state.log_weights)
    rounded = rounding(bridge, state.z1, statistical.log_z)
    return statistical._replace(stderr=tf.sqrt(statistical.stderr**2 + rounded**2))


def rounding(bridge: Bridge, z1: tf.Tensor, log_z: tf.Tensor) -> tf.Tensor:
    """The error of `log_z` [...] by rounding, from chains z1 [..., C, n1]: float64, [...].

    The float32 steps of a chain add up to an error of about 2^-24 (measured: 1 rms, 3 at most) of
    the sum of |b1 - base1| z1 and |b2 - base2 + W'z1| over units, for 2 as for 10,000 temperatures.
    """
    field1 = abs(bridge.rbm.b1 - bridge.base1)[..., None, :] * z1
    field2 = abs((bridge.rbm.b2 - bridge.base2)[..., None, :] + bridge.rbm.coupling2(z1))
    sizes = tf.reduce_sum(field1, -1) + tf.reduce_sum(field2, -1)
    of_steps = _ROUNDING * tf.cast(tf.reduce_mean(sizes, -1), tf.float64)
    return of_steps + _ROUNDING_OF_SUMS * (1 + abs(log_z))
