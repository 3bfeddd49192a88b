"""A mixture of products of Bernoulli distributions, and its exact comparison with RBMs."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import exact
from sampler.machines.rbm import RBM


class BernoulliMixture(NamedTuple):
    """p(z) = sum_i alpha_i exp(sum_a nu_ia z_a - softplus(nu_ia)), the paper's equation 16.

    Attributes:
      log_weights: log alpha, [M].
      logits: nu, [M, n].
    """

    log_weights: tf.Tensor
    logits: tf.Tensor

    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """log p(z), [...], of binary z [..., n], or the formula's value at relaxed ones."""
        log_norms = self.log_weights - tf.reduce_sum(tf.nn.softplus(self.logits), -1)
        components = tf.tensordot(z, self.logits, [[-1], [1]]) + log_norms
        return tf.reduce_logsumexp(components, -1)

    def cast(self, dtype: tf.DType) -> BernoulliMixture:
        """The parameters in another precision."""
        return BernoulliMixture(*(tf.cast(t, dtype) for t in self))


def draw(num_components: int, num_units: int, variance: float, seed: int) -> BernoulliMixture:
    """Equal weights and units of the given variance, at random nearly 0 or nearly 1: float64.

    A variance of 0.04 means P(z_a = 1) = 0.0417 or 0.9583. `variance` is in (0, 1/4).
    """
    low = (1 - math.sqrt(1 - 4 * variance)) / 2
    nearly_one = np.random.default_rng(seed).integers(0, 2, (num_components, num_units))
    logit = math.log((1 - low) / low)
    weights = np.full(num_components, -math.log(num_components))
    return BernoulliMixture(tf.constant(weights), tf.constant(logit * (2.0 * nearly_one - 1)))


class Comparison(NamedTuple):
    """RBMs [B] compared exactly with a mixture of M components; float64.

    Attributes:
      kl: KL(q || p) in nats, [B].
      shares: E_q[p(component | z)], an RBM's mass on each component, [B, M].
    """

    kl: tf.Tensor
    shares: tf.Tensor


def compare(rbm: RBM, mixture: BernoulliMixture) -> Comparison:
    """Compares RBMs [B] with a mixture over (z1, z2) by visiting all pairs of states.

    Given z1, the units of z2 are independent, so that their entropy is a sum over the units.
    """
    rbm, mixture = rbm.cast(tf.float64), mixture.cast(tf.float64)
    all1, all2 = (
        tf.constant(np.arange(2**n)[:, None] >> np.arange(n) & 1, tf.float64) for n in rbm.sizes
    )
    left, right = _factors(mixture, all1, all2)
    p = tf.matmul(left, right, transpose_b=True)
    log_p = tf.math.log(p)

    def one(arguments: tuple[RBM, tf.Tensor]) -> Comparison:
        q, log_z = arguments
        log_q1 = q.log_marginal((all1,)) - log_z
        logits2 = q.natural(1, (all1,))
        log_norms = tf.nn.softplus(logits2)
        given1 = tf.exp(
            tf.matmul(logits2, all2, transpose_b=True) - tf.reduce_sum(log_norms, -1, keepdims=True)
        )
        mean_log_q2 = tf.reduce_sum(tf.sigmoid(logits2) * logits2 - log_norms, -1)
        mean_log_p = tf.reduce_sum(given1 * log_p, -1)
        q1 = tf.exp(log_q1)
        return Comparison(
            kl=tf.reduce_sum(q1 * (log_q1 + mean_log_q2 - mean_log_p)),
            shares=tf.reduce_sum(left * tf.matmul(q1[:, None] * given1 / p, right), 0),
        )

    signature = Comparison(tf.float64, tf.float64)
    return tf.map_fn(one, (rbm, exact.log_z(rbm)), fn_output_signature=signature)


def _factors(
    mixture: BernoulliMixture, all1: tf.Tensor, all2: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """alpha_i p_i(z1), [S1, M], and p_i(z2), [S2, M]: p(z1, z2) is the sum of their products."""
    logits1, logits2 = tf.split(mixture.logits, [all1.shape[-1], all2.shape[-1]], -1)
    left, right = (
        tf.exp(tf.matmul(z, nu, transpose_b=True) - tf.reduce_sum(tf.nn.softplus(nu), -1))
        for z, nu in ((all1, logits1), (all2, logits2))
    )
    return left * tf.exp(mixture.log_weights), right
