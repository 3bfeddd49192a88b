"""A mixture of products of Bernoulli distributions, and the exact KL divergence of an RBM to it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import exact
from sampler.rbm import RBM


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


def states(n: int) -> tf.Tensor:
    """All binary rows, float64, [2^n, n]."""
    bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
    return tf.constant(bits, tf.float64)


def exact_kl(rbm: RBM, mixture: BernoulliMixture) -> tf.Tensor:
    """KL(q || p) in nats of each RBM of a batch [B] to a mixture over (z1, z2): float64, [B].

    All pairs of states are visited for log p alone; what the RBM says of z2 given z1 is a product,
    whose entropy is a sum over the units.
    """
    rbm, mixture = rbm.cast(tf.float64), mixture.cast(tf.float64)
    all1, all2 = states(rbm.b1.shape[-1]), states(rbm.b2.shape[-1])
    log_p = _table(mixture, all1, all2)
    log_z = exact.log_z(rbm)

    def one(arguments: tuple[RBM, tf.Tensor]) -> tf.Tensor:
        q, log_z = arguments
        log_q1 = q.log_marginal1(all1) - log_z
        logits2 = q.logits2(all1)
        softplus = tf.reduce_sum(tf.nn.softplus(logits2), -1)
        negative_entropy2 = tf.reduce_sum(tf.sigmoid(logits2) * logits2, -1) - softplus
        q2 = tf.exp(tf.matmul(logits2, all2, transpose_b=True) - softplus[:, None])
        mean_log_p = tf.reduce_sum(q2 * log_p, -1)
        return tf.reduce_sum(tf.exp(log_q1) * (log_q1 + negative_entropy2 - mean_log_p))

    return tf.map_fn(one, (rbm, log_z), fn_output_signature=tf.float64)


def _table(mixture: BernoulliMixture, all1: tf.Tensor, all2: tf.Tensor) -> tf.Tensor:
    """log p(z1, z2) of every pair, [S1, S2]: one matrix product of the components' factors."""
    n1 = all1.shape[-1]
    sides = ((all1, mixture.logits[:, :n1]), (all2, mixture.logits[:, n1:]))
    logs = [
        tf.matmul(z, nu, transpose_b=True) - tf.reduce_sum(tf.nn.softplus(nu), -1)
        for z, nu in sides
    ]
    weighted = tf.exp(logs[0] + mixture.log_weights)
    return tf.math.log(tf.matmul(weighted, tf.exp(logs[1]), transpose_b=True))
