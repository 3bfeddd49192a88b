"""A two-dimensional Gaussian as a value: density, reparameterised samples, Gibbs sweeps, KL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Gaussian(NamedTuple):
    r"""A batch of q(z) ~ exp(-(z - m)'L(z - m) / 2) over z in R^2.

    The precision is L = C C' with C = [[exp(a_1), 0], [c, exp(a_2)]]: every real (m, a, c) is a
    Gaussian and every Gaussian is one of them, so that an optimiser needs no projection; log |L|
    and a sample are a sum and two divisions, which the conditionals' 1 / L_11, 1 / L_22 join.

    Samples have an axis of their own just before the coordinates, z [..., K, 2].

    Attributes:
      mean: m, [..., 2].
      log_diagonal: a, [..., 2].
      below: c, [...].
    """

    mean: tf.Tensor
    log_diagonal: tf.Tensor
    below: tf.Tensor

    def precision(self) -> tf.Tensor:
        """L, [..., 2, 2]."""
        first, second = tf.unstack(tf.exp(self.log_diagonal), axis=-1)
        across = first * self.below
        entries = tf.stack([first**2, across, across, self.below**2 + second**2], -1)
        return tf.reshape(entries, [*self.below.shape, 2, 2])

    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """log q(z), normalised, [..., K]."""
        white = self._whiten(z - self.mean[..., None, :])
        log_norm = tf.reduce_sum(self.log_diagonal, -1)[..., None] - math.log(2 * math.pi)
        return log_norm - tf.reduce_sum(white**2, -1) / 2

    def sample(self, noise: tf.Tensor) -> tf.Tensor:
        """z = m + C^-T noise, [..., K, 2], for standard normal `noise` of that shape."""
        diagonal = tf.exp(self.log_diagonal)[..., None, :]
        second = noise[..., 1] / diagonal[..., 1]
        first = (noise[..., 0] - self.below[..., None] * second) / diagonal[..., 0]
        return self.mean[..., None, :] + tf.stack([first, second], -1)

    def sweep(self, second: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """One reparameterised Gibbs sweep z_1 ~ q(z_1 | z_2), z_2 ~ q(z_2 | z_1), [..., K, 2].

        Args:
          second: z_2 that the sweep starts from, [..., K].
          noise: standard normal, [..., K, 2].
        """
        precision = self.precision()[..., None, :, :]
        across = precision[..., 0, 1]
        mean1, mean2 = tf.unstack(self.mean[..., None, :], axis=-1)
        scale1, scale2 = tf.unstack(tf.linalg.diag_part(precision), axis=-1)
        first = mean1 - across / scale1 * (second - mean2) + noise[..., 0] / tf.sqrt(scale1)
        second = mean2 - across / scale2 * (first - mean1) + noise[..., 1] / tf.sqrt(scale2)
        return tf.stack([first, second], -1)

    def kl(self, other: Gaussian) -> tf.Tensor:
        """KL(self || other) in nats, [...], in closed form."""
        # With M = C_other' C_self^-T: KL = (|M|^2 - 2) / 2 - log |det M| + |C_other' dm|^2 / 2;
        # the diagonal's part by expm1, since its terms cancel near KL = 0
        log_m = other.log_diagonal - self.log_diagonal
        upper = other.below - tf.exp(log_m[..., 0]) * self.below
        upper *= tf.exp(-self.log_diagonal[..., 1])
        of_diagonal = tf.reduce_sum(tf.math.expm1(2 * log_m) / 2 - log_m, -1)
        shift = other._whiten((self.mean - other.mean)[..., None, :])[..., 0, :]
        return of_diagonal + (upper**2 + tf.reduce_sum(shift**2, -1)) / 2

    def copies(self, count: int) -> Gaussian:
        """`count` equal Gaussians along a new leading batch axis."""
        return tf.nest.map_structure(lambda t: tf.stack([t] * count), self)

    def _whiten(self, difference: tf.Tensor) -> tf.Tensor:
        """C'd, [..., K, 2]: standard normal where d = z - m."""
        diagonal = tf.exp(self.log_diagonal)[..., None, :]
        first = diagonal[..., 0] * difference[..., 0]
        first += self.below[..., None] * difference[..., 1]
        return tf.stack([first, diagonal[..., 1] * difference[..., 1]], -1)


def from_precision(mean: Sequence[float], precision: Sequence[Sequence[float]]) -> Gaussian:
    """The Gaussian of a mean [2] and a positive definite precision [2, 2], in float64."""
    factor = np.linalg.cholesky(np.asarray(precision, np.float64))
    diagonal = np.log(np.diag(factor))
    return Gaussian(*(tf.constant(v, tf.float64) for v in (mean, diagonal, factor[1, 0])))
