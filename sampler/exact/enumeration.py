"""Exact answers by enumerating the smaller side, in float64: log Z, moments, samples.

The other side is independent given the enumerated one, so that the sum over 2^n states of the
smaller side (at most 20 units) is the whole sum:

  Z = sum_{z1} exp(b1'z1) prod_j (1 + exp(b2_j + (W'z1)_j)).

States come in chunks, which bounds the memory; batch dimensions are handled at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

from sampler import checks, gibbs, seeds
from sampler.machines.rbm import AnyRBM

MAX_UNITS = 20
"""Most units of the smaller side."""

_ELEMENTS = 2**21
"""Float64 logits in a chunk, over batch, states and units."""


class Moments(NamedTuple):
    """Expectations under p(z1, z2), float64.

    Attributes:
      mean1: E[z1], [..., n1]; mean2: E[z2], [..., n2].
      pairs: E[z1 z2'], [..., n1, n2].
    """

    mean1: tf.Tensor
    mean2: tf.Tensor
    pairs: tf.Tensor


def log_z(rbm: AnyRBM) -> tf.Tensor:
    """log Z, float64, of the RBM's batch shape [...].

    Raises:
      ValueError: the smaller side has more than 20 units, or the parameters are malformed.
    """
    rbm, _ = _smaller_first(rbm)
    total = tf.fill(tf.shape(rbm.b1)[:-1], tf.constant(float("-inf"), tf.float64))
    for _, log_marginals in _chunks(rbm):
        chunk = tf.reduce_logsumexp(log_marginals, -1)
        total = tf.reduce_logsumexp(tf.stack([total, chunk]), 0)
    return total


def moments(rbm: AnyRBM) -> Moments:
    """The means of all units and of all pairs across the sides; raises as `log_z` does."""
    total = log_z(rbm)[..., None]
    rbm, swapped = _smaller_first(rbm)
    sums = [tf.constant(0.0, tf.float64)] * 3
    for z1, log_marginals in _chunks(rbm):
        probabilities = tf.exp(log_marginals - total)
        weighted = probabilities[..., None] * z1
        mean2 = tf.sigmoid(rbm.logits2(z1))
        parts = (
            tf.reduce_sum(weighted, -2),
            tf.linalg.matvec(mean2, probabilities, transpose_a=True),
            tf.matmul(weighted, mean2, transpose_a=True),
        )
        sums = [s + part for s, part in zip(sums, parts, strict=True)]
    if swapped:
        return Moments(sums[1], sums[0], tf.linalg.matrix_transpose(sums[2]))
    return Moments(*sums)


def log_prob(rbm: AnyRBM, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
    """log p(z1, z2) of states [..., C, n1] and [..., C, n2]: float64, [..., C].

    Raises as `log_z` does.
    """
    total = log_z(rbm)[..., None]
    return -rbm.cast(tf.float64).energy(tf.cast(z1, tf.float64), tf.cast(z2, tf.float64)) - total


def sample(rbm: AnyRBM, num_samples: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Independent samples, float32: z1 [..., num_samples, n1] and z2 [..., num_samples, n2].

    A state of the smaller side is found by inverting its distribution function at a number of 46
    random bits; the other side is drawn given it.

    Raises:
      ValueError: as `log_z`, or `num_samples` is not at least 1.
    """
    checks.check_count(num_samples, "num_samples")
    total = log_z(rbm)[..., None]
    small, swapped = _smaller_first(rbm)
    shape = tf.concat([tf.shape(small.b1)[:-1], [num_samples]], 0)
    draws = _fine_uniform(seeds.fold_in(seed, 1), shape)
    below = tf.zeros_like(total)
    index = tf.zeros(shape, tf.int32)
    for _, log_marginals in _chunks(small):
        # the states before the drawn one are those whose cumulated probability it exceeds
        cumulated = below + tf.cumsum(tf.exp(log_marginals - total), -1)
        index += tf.searchsorted(cumulated, draws, side="right")
        below = cumulated[..., -1:]
    n1 = small.b1.shape[-1]
    z1 = tf.cast(_bits(tf.minimum(index, 2**n1 - 1), n1), tf.float32)
    logits = small.cast().logits2(z1)
    z2 = gibbs.bernoulli(logits, seeds.fold_in(seed, 2))
    return (z2, z1) if swapped else (z1, z2)


def _smaller_first(rbm: AnyRBM) -> tuple[AnyRBM, bool]:
    """The RBM in float64 with its smaller side first, and whether the sides were exchanged."""
    rbm = rbm.cast(tf.float64)
    checks.check_rbm(rbm)
    n1, n2 = rbm.b1.shape[-1], rbm.b2.shape[-1]
    if min(n1, n2) > MAX_UNITS:
        raise ValueError(
            f"rbm: found b1 {tuple(rbm.b1.shape)}, b2 {tuple(rbm.b2.shape)}; accepted for "
            f"enumeration: at most {MAX_UNITS} units on the smaller side"
        )
    return (rbm.transposed(), True) if n2 < n1 else (rbm, False)


def _chunks(rbm: AnyRBM) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """All states z1 [S, n1], chunk by chunk, with log of the sum over z2 of exp(-E), [..., S]."""
    n1, n2 = rbm.b1.shape[-1], rbm.b2.shape[-1]
    batch = rbm.b1.shape[:-1].num_elements() or 1
    size = max(1, _ELEMENTS // (batch * n2))
    for first in range(0, 2**n1, size):
        index = tf.range(first, min(first + size, 2**n1))
        z1 = tf.cast(_bits(index, n1), tf.float64)
        yield z1, rbm.log_marginal1(z1)


def _bits(index: tf.Tensor, count: int) -> tf.Tensor:
    """The lowest `count` bits of integers [...], int32 [..., count]."""
    return tf.bitwise.bitwise_and(tf.bitwise.right_shift(index[..., None], tf.range(count)), 1)


def _fine_uniform(seed: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Uniform float64 numbers of 46 random bits: float32's 23 would miss rare states."""
    coarse, fine = (
        tf.cast(seeds.uniform(seeds.fold_in(seed, i), shape), tf.float64) for i in range(2)
    )
    return coarse + (fine - 0.5) * seeds.RESOLUTION
