"""What every objective is given and gives back."""

from typing import Any, NamedTuple

import tensorflow as tf

from dvae_tf.posteriors.posterior import Sample


class Terms(NamedTuple):
    """Scalars averaged over the batch and its samples, and what the step hands on.

    Attributes:
      log_likelihood: log p(x | zeta), nats.
      log_prior: log p_theta(zeta) + log Z_theta; 0 where there is no prior.
      log_posterior: log q(zeta | x), up to a constant of each image.
      importance_ess: effective number of the K samples, between 1 and K.
      inside: fraction of zeta strictly inside (0, 1).
      phi: the posteriors' parameters, without gradient.
      chains: the images' advanced chains, [B, K, chain_width].
      outputs: of the decoder, [B, ...], from the first sample of each image.
    """

    log_likelihood: tf.Tensor
    log_prior: tf.Tensor
    log_posterior: tf.Tensor
    importance_ess: tf.Tensor
    inside: tf.Tensor
    phi: Any
    chains: tf.Tensor
    outputs: tf.Tensor


def ramp(step: tf.Tensor, length: float) -> tf.Tensor:
    """From 0 to 1, linearly over the first `length` steps; 1 if that is none."""
    return tf.minimum(tf.cast(step, tf.float32) / length, 1.0) if length else tf.constant(1.0)


def summarise(
    phi: Any,
    sample: Sample,
    outputs: tf.Tensor,
    log_px: tf.Tensor,
    log_prior: tf.Tensor,
    log_q: tf.Tensor,
    shares: tf.Tensor,
) -> Terms:
    """`Terms` of the posteriors phi, without gradient, and their samples.

    Args:
      outputs: of the decoder, [B, K, ...].
      log_px, log_prior, log_q: [B, K].
      shares: each sample's share of its image's importance weights, [B, K].
    """
    zeta = sample.zeta
    return Terms(
        log_likelihood=tf.reduce_mean(log_px),
        log_prior=tf.reduce_mean(log_prior),
        log_posterior=tf.reduce_mean(log_q),
        importance_ess=tf.reduce_mean(1 / tf.reduce_sum(shares**2, 1)),
        inside=tf.reduce_mean(tf.cast((zeta > 0) & (zeta < 1), tf.float32)),
        phi=phi,
        chains=sample.chains,
        outputs=outputs[:, 0],
    )
