"""Effective sample size and resampling of weighted populations."""

from __future__ import annotations

import tensorflow as tf

from sampler import seeds


def effective_sample_size(log_weights: tf.Tensor) -> tf.Tensor:
    """(sum w)^2 / sum w^2 over the last axis (Kong 1992); between 1 and the number of chains."""
    return tf.exp(
        2 * tf.reduce_logsumexp(log_weights, -1) - tf.reduce_logsumexp(2 * log_weights, -1)
    )


def log_mean_exp(log_weights: tf.Tensor) -> tf.Tensor:
    """log of the mean weight over the last axis."""
    count = tf.cast(tf.shape(log_weights)[-1], log_weights.dtype)
    return tf.reduce_logsumexp(log_weights, -1) - tf.math.log(count)


def systematic(log_weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Parents' indices by systematic resampling (Kitagawa 1996), sorted.

    One uniform number places a comb of C equidistant teeth on the cumulated weights, so that the
    number of copies of chain c is C w_c rounded up or down, and its mean is exactly C w_c.

    Args:
      log_weights: unnormalised, [..., C], float64.
      seed: int32, shape [2].

    Returns:
      int32 indices [..., C].
    """
    num_chains = tf.shape(log_weights)[-1]
    count = tf.cast(num_chains, log_weights.dtype)
    cumulated = tf.cumsum(tf.nn.softmax(log_weights, -1), axis=-1)
    offset = tf.cast(seeds.uniform(seed, tf.shape(log_weights[..., :1])), log_weights.dtype)
    teeth = (tf.range(count, dtype=log_weights.dtype) + offset) / count
    # the last tooth may pass the rounded end of the cumulated weights
    return tf.minimum(tf.searchsorted(cumulated, teeth, side="right"), num_chains - 1)
