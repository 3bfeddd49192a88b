"""At which inverse temperature samples are that somebody else drew: maximum pseudo-likelihood."""

import math
from typing import NamedTuple

import tensorflow as tf

from sampler.machines.machine import AnyMachine, State

LARGEST = 64.0
"""Estimates lie in [-LARGEST, LARGEST]: of ground states alone any larger one would do as well."""

FAR = 0.1
"""A difference of the estimate from what it should be that is told of, if it is significant."""


class EffectiveBeta(NamedTuple):
    """An inverse temperature beta with its standard error, floats.

    NaN and infinity where samples can't tell: of a machine without fields and couplings.
    """

    beta: float
    stderr: float

    def warnings(self, expected: float = 1.0) -> list[str]:
        """A line if the samples are not those of exp(-expected E), by more than the error."""
        off = abs(self.beta - expected)
        if not off > max(FAR * expected, 5 * self.stderr):
            return []
        return [
            f"the samples are of exp(-beta E) with beta = {self.beta:.3f} ± {self.stderr:.3f} "
            f"where {expected:g} is asked for"
        ]


def effective_beta(
    machine: AnyMachine, state: State, weights: tf.Tensor | None = None
) -> EffectiveBeta:
    r"""beta of samples from p(x) ~ exp(-beta E(x)), E the energy of one machine of discrete units.

    It maximises the pseudo-likelihood (Besag 1975), sum_c w_c sum_k log p(x_k | all other blocks):
    with eta_k the natural parameters at beta = 1, where the score, decreasing in beta,

      sum_c w_c g_c = 0,   g_c(beta) = sum_k (x_k - mean_k(beta eta_k))' eta_k.

    log Z is not needed, and of samples that have not mixed it is the temperature of neighbourhoods.
    The error is that of independent samples: sqrt(sum_c w_c^2 g_c^2) / |d/dbeta sum_c w_c g_c|.

    Args:
      state: of all blocks, [C, n_k].
      weights: of the samples, [C]; by default alike.
    """
    machine = machine.cast(tf.float64)
    state = tuple(tf.cast(x, tf.float64) for x in state)
    etas = [machine.natural(k, state) for k in range(len(state))]
    weights = tf.ones_like(state[0][:, 0]) if weights is None else tf.cast(weights, tf.float64)

    def scores(beta: tf.Tensor) -> tf.Tensor:
        parts = zip(machine.families, state, etas, strict=True)
        return tf.add_n([tf.reduce_sum((x - f.mean(beta * e)) * e, -1) for f, x, e in parts])

    def total(beta: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(weights * scores(beta))

    low, high = (tf.constant(sign * LARGEST, tf.float64) for sign in (-1, 1))
    for _ in range(40):
        middle = (low + high) / 2
        above = total(middle) > 0
        low, high = tf.where(above, middle, low), tf.where(above, high, middle)
    beta = (low + high) / 2
    with tf.GradientTape() as tape:
        tape.watch(beta)
        value = total(beta)
    slope = abs(float(tape.gradient(value, beta)))
    if not slope > 1e-12:
        return EffectiveBeta(math.nan, math.inf)
    noise = math.sqrt(float(tf.reduce_sum((weights * scores(beta)) ** 2)))
    return EffectiveBeta(float(beta), noise / slope)
