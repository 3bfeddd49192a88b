"""Weighted chains moved along a bridge: what annealed importance sampling is made of.

`initial` and `anneal` are graph-level pieces; `along` runs them, compiled, for any batch and number
of chains, in pieces that fit the memory.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import seeds
from sampler.annealing import pieces as chunks
from sampler.annealing.bridge import Bridge
from sampler.machines.machine import State, turned
from sampler.weights.estimates import Estimate, Samples, Trace, estimate

_SEGMENT = 250
_ROUNDING = 2.0**-24
_ROUNDING_OF_SUMS = 2.0**-48


class Chains(NamedTuple):
    """Weighted chains on their way along a bridge.

    Attributes:
      state: of the kept blocks, [..., C, n_k].
      log_weights: float64, [..., C].
    """

    state: State
    log_weights: tf.Tensor


def initial(bridge: Bridge, num_chains: int | tf.Tensor, seed: tf.Tensor) -> Chains:
    """Exact samples of the base, with weights of which the mean is log Z of the base."""
    state = bridge.initial(num_chains, seed)
    zeros = tf.zeros(tf.shape(state[0])[:-1], tf.float64)
    return Chains(state, bridge.log_z_base()[..., None] + zeros)


def anneal(bridge: Bridge, chains: Chains, betas: tf.Tensor, seed: tf.Tensor) -> Chains:
    """Moves chains along `betas` (float32, [T]): weight, then sweep.

    Where the last number is repeated, it counts once: one graph serves schedules of any length.
    """
    count = tf.reduce_sum(tf.cast(betas != betas[-1], tf.int32))
    return _anneal(bridge, chains, betas, seed, count=count)[0]


def _anneal(
    bridge: Bridge,
    chains: Chains,
    betas: tf.Tensor,
    seed: tf.Tensor,
    reverse: bool = False,
    gentle: bool = False,
    count: tf.Tensor | None = None,
) -> tuple[Chains, tf.Tensor]:
    """The chains at the end, and `_sums` of the weights after each step, [..., 2, T - 1].

    Backwards every step is the time reversal of a forward one: the sweep comes before the weight.
    `gentle` as for `Bridge.log_weight`; of T - 1 steps the first `count` are taken.
    """
    columns = bridge.columns(chains.log_weights.shape[-1])
    if columns is not None:
        start = Chains(turned(chains.state), chains.log_weights)
        moved, sums = _anneal(columns, start, betas, seed, reverse, gentle, count)
        return Chains(turned(moved.state), moved.log_weights), sums
    steps = tf.shape(betas)[0] - 1
    count = steps if count is None else count
    shape = chains.log_weights.shape[:-1] + [2]
    trace = tf.TensorArray(tf.float64, steps, element_shape=shape)

    def body(i: tf.Tensor, state: State, log_weights: tf.Tensor, trace: tf.TensorArray) -> tuple:
        beta, new_beta, step_seed = betas[i], betas[i + 1], seeds.fold_in(seed, i)
        if reverse:
            state = bridge.sweep(state, beta, step_seed, reverse=True)
        log_weights += bridge.log_weight(state, beta, new_beta, gentle)
        if not reverse:
            state = bridge.sweep(state, new_beta, step_seed)
        return i + 1, state, log_weights, trace.write(i, _sums(log_weights))

    _, state, log_weights, trace = tf.while_loop(lambda i, *_: i < count, body, (0, *chains, trace))
    sums = trace.stack()
    rank = sums.shape.rank
    return Chains(state, log_weights), tf.transpose(sums, [*range(1, rank), 0])


def _sums(log_weights: tf.Tensor) -> tf.Tensor:
    """log sum w and log sum w^2 over chains, [..., 2]."""
    largest = tf.reduce_max(log_weights, -1)
    weights = tf.exp(log_weights - largest[..., None])
    sums = [tf.reduce_sum(weights, -1), tf.reduce_sum(weights**2, -1)]
    return tf.stack([k * largest + tf.math.log(s) for k, s in enumerate(sums, 1)], -1)


_anneal_compiled = tf.function(_anneal, jit_compile=True, autograph=False)


def along(
    bridge: Bridge,
    chains: Chains,
    betas: np.ndarray,
    seed: tf.Tensor,
    progress_fn: Callable[[int], object],
) -> Estimate:
    """`anneal`, compiled, piece by piece and in segments (a graph is traced for each length).

    Args:
      bridge: any batch shape.
      chains: at the first of `betas`.
      betas: inverse temperatures, rising or falling, float32 [T].
      progress_fn: called with the number of temperatures just done, T - 1 in all.

    Returns an estimate of the log of the ratio of normalisers, with weighted samples of all blocks
    at the last of `betas`.
    """
    batch, num_chains = bridge.machine.batch_shape, chains.log_weights.shape[-1]
    sums = [_sums(chains.log_weights)[..., None]]
    pieces = chunks.cut(bridge, *chains)
    how = bool(betas[-1] < betas[0]), bridge.gentle(betas)
    for number, first in enumerate(range(0, len(betas) - 1, _SEGMENT)):
        segment = betas[first : first + _SEGMENT + 1]
        pieces, new = _anneal_pieces(pieces, segment, seeds.fold_in(seed, number), *how)
        sums.append(chunks.join(new, batch))
        progress_fn(len(segment) - 1)
    state = tuple(
        chunks.join([[piece.state[k] for piece in row] for row in pieces], batch)
        for k in range(bridge.num_kept)
    )
    log_weights = chunks.join([[piece.log_weights for piece in row] for row in pieces], batch)
    log_sum, log_sum_squares = tf.unstack(tf.concat(sums, -1), axis=-2)
    log_mean = log_sum - tf.math.log(tf.cast(num_chains, tf.float64))
    trace = Trace(betas, log_mean, tf.exp(2 * log_sum - log_sum_squares))
    found = estimate(log_weights)
    rounded = rounding(bridge, state, found.log_z)
    whole = bridge.complete(state, tf.constant(betas[-1]), seeds.fold_in(seed, -1))
    return found._replace(
        stderr=tf.sqrt(found.stderr**2 + rounded**2),
        samples=Samples(whole, log_weights),
        trace=trace,
        target=bridge.machine,
    )


def _anneal_pieces(
    pieces: list[list[chunks.Piece]],
    betas: np.ndarray,
    seed: tf.Tensor,
    reverse: bool,
    gentle: bool,
) -> tuple[list[list[chunks.Piece]], list[list[tf.Tensor]]]:
    """Each piece moved along `betas`, and `_sums` of each row of pieces, [B, 2, T - 1]."""
    moved, sums, at, how = [], [], tf.constant(betas), (reverse, gentle)
    for i, row in enumerate(pieces):
        done = [
            _anneal_compiled(p.bridge, Chains(*p[1:]), at, seeds.fold_in(seed, i, j), *how)
            for j, p in enumerate(row)
        ]
        moved.append([chunks.Piece(p.bridge, *d[0]) for p, d in zip(row, done, strict=True)])
        sums.append([tf.reduce_logsumexp([d[1] for d in done], 0)])
    return moved, sums


def rounding(bridge: Bridge, state: State, log_z: tf.Tensor) -> tf.Tensor:
    """The error of `log_z` [...] by rounding, from chains of the kept blocks: float64, [...].

    The float32 steps of a chain add up to an error of about 2^-24 (measured: 1 rms, 3 at most) of
    the sum over units of the sizes of what beta multiplies, for 2 as for 10,000 temperatures.
    """
    slope, last = bridge.slope(), len(bridge.base) - 1
    # what is summed out moves log p* by its mean, which a Gaussian's may be more than 1
    mean = bridge.machine.families[last].mean(bridge.machine.natural(last, state))
    sizes = tf.reduce_sum(abs(slope.natural(last, state)) * tf.maximum(abs(mean), 1), -1)
    for k in range(last):
        eta = slope.fields[k][..., None, :] + slope.coupling(k, state[:k])
        sizes += tf.reduce_sum(abs(eta * state[k]), -1)
    of_steps = _ROUNDING * tf.cast(tf.reduce_mean(sizes, -1), tf.float64)
    return of_steps + _ROUNDING_OF_SUMS * (1 + abs(log_z))
