"""Overlapping smoothings r(zeta | z) of a binary unit (Vahdat et al. 2018, DVAE#).

Each is r(zeta | 0), a density on [0, 1] that falls from 0 on, with r(zeta | 1) = r(1 - zeta | 0).
"Sharpness" is the family's own parameter; a larger one leaves less between 0 and 1. All functions
here are elementwise and keep the dtype of what they are given.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

UNIFORM_WEIGHT = 0.05
"""The uniform density's share of `uniform_exponential`."""


class Smoothing(NamedTuple):
    """r(zeta | 0).

    Attributes:
      draw: a number rho, uniform in (0, 1) -> zeta ~ r(. | 0); not always the inverse of `cdf`.
      log_density: zeta in (0, 1) -> log r(zeta | 0).
      cdf: zeta in [0, 1] -> R(zeta | 0).
    """

    draw: Callable[[tf.Tensor], tf.Tensor]
    log_density: Callable[[tf.Tensor], tf.Tensor]
    cdf: Callable[[tf.Tensor], tf.Tensor]


def power(sharpness: float) -> Smoothing:
    """r(zeta | 0) = kappa zeta^(kappa - 1) with kappa = 1 / sharpness: infinite at zeta = 0."""
    kappa = 1 / sharpness
    # powers as exp(log): XLA's own take several times as long on a CPU
    return Smoothing(
        draw=lambda rho: tf.exp(sharpness * tf.math.log(rho)),
        log_density=lambda zeta: math.log(kappa) + (kappa - 1) * tf.math.log(zeta),
        cdf=lambda zeta: tf.exp(kappa * tf.math.log(zeta)),
    )


def exponential(sharpness: float) -> Smoothing:
    """r(zeta | 0) = B exp(-B zeta) / (1 - exp(-B)) with rate B = sharpness."""
    total = -math.expm1(-sharpness)
    log_scale = math.log(sharpness / total)
    return Smoothing(
        draw=lambda rho: -tf.math.log1p(-total * rho) / sharpness,
        log_density=lambda zeta: log_scale - sharpness * zeta,
        cdf=lambda zeta: tf.math.expm1(-sharpness * zeta) / -total,
    )


def gaussian(sharpness: float) -> Smoothing:
    """The half of a Gaussian about 0 that lies in [0, 1]; standard deviation 1 / sharpness.

    The restriction to [0, 1] leaves log r(zeta | 1) - log r(zeta | 0) what it is without, for both
    densities lose equally, and gives decoders and priors the interval that they see elsewhere.
    """
    slope = sharpness / math.sqrt(2)
    total = math.erf(slope)
    log_scale = math.log(2 * slope / (math.sqrt(math.pi) * total))
    return Smoothing(
        draw=lambda rho: tf.math.erfinv(total * rho) / slope,
        log_density=lambda zeta: log_scale - (slope * zeta) ** 2,
        cdf=lambda zeta: tf.math.erf(slope * zeta) / total,
    )


def uniform_exponential(sharpness: float, weight: float = UNIFORM_WEIGHT) -> Smoothing:
    """weight * uniform + (1 - weight) * exponential, whose rate is `sharpness`.

    The uniform part bounds the density from below, and so |d zeta / dq| by 1 / weight.
    """
    steep = exponential(sharpness)

    def draw(rho: tf.Tensor) -> tf.Tensor:
        uniform = rho / weight
        # rho in (weight, 1) serves the exponential part; outside it only keeps the value finite
        rest = tf.maximum(rho - weight, 0) / (1 - weight)
        return tf.where(rho < weight, uniform, steep.draw(rest))

    return Smoothing(
        draw,
        log_density=lambda zeta: tf.math.log(
            weight + (1 - weight) * tf.exp(steep.log_density(zeta))
        ),
        cdf=lambda zeta: weight * zeta + (1 - weight) * steep.cdf(zeta),
    )
