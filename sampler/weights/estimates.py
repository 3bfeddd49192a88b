"""log Z from the weights of annealed chains, its standard error, and when not to believe it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from sampler import modes, seeds
from sampler.machines.machine import AnyMachine, State
from sampler.weights import resampling

LEAST_ESS = 30.0
"""Effective sample size below which `Estimate.warnings` speaks.

Measured on 14,000 short runs (7+7 units, 20 to 200 chains) above it: z-scores have a standard
deviation of 1.07, and 4 in 10,000 pass 5; below it, 1.2 to 2.8, and up to 8 in 100.
"""

CONTRADICTION = 4.0
"""Standard errors by which two estimates must differ to contradict one another."""

HOPELESS = 0.5
"""Standard error, in nats, from which on weights say nothing of what was missed."""

IMPROBABLE = 7.0
"""Nats by which an estimate is too large with a probability of at most e^-7, 1 in 1100."""


class Samples(NamedTuple):
    """Weighted samples of machines with batch dimensions [...].

    Attributes:
      state: of each block, [..., C, n_k].
      log_weights: float64, [..., C].
    """

    state: State
    log_weights: tf.Tensor

    def weights(self) -> tf.Tensor:
        """Normalised weights, float64, [..., C]."""
        return tf.nn.softmax(self.log_weights, -1)

    def mean(self, values: tf.Tensor) -> tf.Tensor:
        """The weighted mean of values [..., C, n] over chains, float64, [..., n]."""
        return tf.reduce_sum(self.weights()[..., None] * tf.cast(values, tf.float64), -2)

    def equally_weighted(self, seed: int | tf.Tensor) -> State:
        """As many samples of equal weight: systematically resampled, copies side by side."""
        parents = resampling.systematic(self.log_weights, seeds.as_seed(seed))
        batch_dims = parents.shape.rank - 1
        return tuple(tf.gather(x, parents, axis=-2, batch_dims=batch_dims) for x in self.state)


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


class Estimate(NamedTuple):
    """An estimate of log Z, float64, each of the machine's batch shape [...].

    Attributes:
      log_z: the estimate; E[exp(log_z)] = Z for a schedule fixed in advance.
      stderr: its standard error by the delta method, sqrt(1/ess - 1/C); estimates of `ais.run` and
        what is built on it include the float32 rounding of the log-weights.
      ess: effective sample size of the weights, between 1 and C.
      samples: the end states with their weights: forward, weighted samples of the target.
      trace: the weights at each temperature.
      target: the machine, against which `warnings` holds the estimate.
      unconfirmed: where chains that ran the other way don't confirm it, bool [...]; None: none did.
    """

    log_z: tf.Tensor
    stderr: tf.Tensor
    ess: tf.Tensor
    samples: Any = None
    trace: Any = None
    target: AnyMachine | None = None
    unconfirmed: tf.Tensor | None = None

    def believable(self) -> tf.Tensor:
        """Whether the standard error means something, [...]: even weights, nothing against them."""
        even = self._even()
        return even if self.unconfirmed is None else even & ~self.unconfirmed

    def _even(self) -> tf.Tensor:
        return (self.ess >= LEAST_ESS) & tf.math.is_finite(self.log_z)

    def warnings(self) -> list[str]:
        """What speaks against the estimate: few chains, or a proven bound; empty when nothing does.

        Looking for bounds takes a second or so.
        """
        if self.target is None:
            return self.doubts()
        seen = None if self.samples is None else self.samples.state
        return self.doubts() + modes.contradictions(self.target, self.log_z, self.stderr, seen)

    def doubts(self) -> list[str]:
        """What the weights themselves, and chains that ran the other way, say against it."""
        even, found = np.ravel(self._even()), []
        if not even.all():
            found.append(
                f"effective sample size {np.min(self.ess):.3g}, below {LEAST_ESS:g} in "
                f"{np.sum(~even)} of {even.size} machines: few chains carry the weights, log Z and "
                "its error are not to be believed; more temperatures or chains are needed"
            )
        missed = np.asarray(self.unconfirmed)
        if missed.any():
            found.append(
                "chains from the base don't confirm it, as far as the errors of both explain, in "
                f"{missed.sum()} of {even.size} machines: they end where no sample "
                "was, or their weights are hopeless; more temperatures are needed"
            )
        return found


def estimate(log_weights: tf.Tensor) -> Estimate:
    """log Z with its standard error from the final log-weights, [..., C]."""
    ess = resampling.effective_sample_size(log_weights)
    count = tf.cast(tf.shape(log_weights)[-1], tf.float64)
    stderr = tf.sqrt(tf.maximum(1 / ess - 1 / count, 0))
    return Estimate(resampling.log_mean_exp(log_weights), stderr, ess)
