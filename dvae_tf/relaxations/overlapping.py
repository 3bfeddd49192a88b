"""Overlapping relaxations: units drawn from a mixture of two smoothings, with its own density.

A unit with logit l, q = sigmoid(l), is zeta ~ q r(. | 1) + (1 - q) r(. | 0) (Vahdat et al. 2018,
DVAE#). The formulas are written with c = log r(zeta | 0) and a = log r(zeta | 1) - log r(zeta | 0),
the logit that zeta adds to z's own.

The power function's density is infinite at its end: with sharpness 30, 59% of its draws are closer
than 2^-23. Samples that close are moved to that `MARGIN`, and densities and gradients are those of
the margin. What is infinite, c at 0 and c + a at 1, is common to log q and log p and cancels
between them; the rest, and the gradient that reaches the logit, tend to limits that they have
reached to 1e-5 at the margin (the tests measure it). Floats go on below 2^-23, but above 1 - 2^-23
they end, and the two ends should be alike.
"""

from collections.abc import Callable

import tensorflow as tf

from dvae_tf.relaxations.smoothings import Smoothing
from sampler import seeds
from sampler.families import Bernoulli
from sampler.machines.machine import AnyMachine

MARGIN = 2.0**-23
"""Samples lie in [MARGIN, 1 - MARGIN]."""

MEAN_FIELD_SWEEPS = 5


def sample(smoothing: Smoothing, logits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """zeta ~ q r(. | 1) + (1 - q) r(. | 0) of the logits' shape, with the implicit gradient.

    d zeta / dq = (R(zeta | 0) - R(zeta | 1)) / (q r(zeta | 1) + (1 - q) r(zeta | 0)) is how a unit
    moves that stays at its quantile of the mixture; it takes no inverse of the distribution
    function. First derivatives only.

    Args:
      smoothing: r(zeta | 0).
      logits: of static shape.
    """
    fixed = tf.stop_gradient(logits)
    z = Bernoulli().sample(fixed, seeds.fold_in(seed, 1))
    zeta = smoothing.draw(seeds.uniform(seeds.fold_in(seed, 2), logits.shape.as_list()))
    zeta = tf.clip_by_value(tf.where(z > 0, 1 - zeta, zeta), MARGIN, 1 - MARGIN)
    slope = implicit_gradient(smoothing, fixed, zeta)

    @tf.custom_gradient
    def reparameterised(_: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return tf.identity(zeta), lambda upstream: upstream * slope

    return reparameterised(logits)


def implicit_gradient(smoothing: Smoothing, logits: tf.Tensor, zeta: tf.Tensor) -> tf.Tensor:
    """d zeta / d logit = q (1 - q) d zeta / dq, elementwise."""
    a, c = _bias_and_offset(smoothing, zeta)
    # R(zeta | 1) = 1 - R(1 - zeta | 0)
    gap = smoothing.cdf(zeta) + smoothing.cdf(1 - zeta) - 1
    # q (1 - q) over the mixture's density
    log_scale = -tf.nn.softplus(-logits) - c - tf.nn.softplus(logits + a)
    return gap * tf.exp(log_scale)


def log_prob(smoothing: Smoothing, logits: tf.Tensor, zeta: tf.Tensor) -> tf.Tensor:
    """log(q r(zeta | 1) + (1 - q) r(zeta | 0)), elementwise, for zeta in (0, 1)."""
    a, c = _bias_and_offset(smoothing, zeta)
    return c + tf.nn.softplus(logits + a) - tf.nn.softplus(logits)


def log_prior(smoothing: Smoothing, theta: AnyMachine, zeta: tf.Tensor) -> tf.Tensor:
    """A lower bound of log p_theta(zeta) + log Z_theta for the relaxed Boltzmann prior.

    p(zeta) = sum_z p(z) r(zeta | z) has exp(-E^(z; zeta)), E^ = E(z) - sum(a z + c), summed over z;
    the mean-field bound of that sum's logarithm is -E^(m) + H(m), at a factorial m that alternating
    updates from 1/2 have fitted. As the bound is stationary at the best m, no gradient flows into m
    (and it is a lower bound for any m).

    Args:
      smoothing: r(zeta | 0).
      theta: the prior, a machine of bits, batch dimensions [...].
      zeta: [..., C, n], in (0, 1).

    Returns:
      [..., C].
    """
    a, c = _bias_and_offset(smoothing, zeta)
    biases = theta.split(a)
    means = [tf.fill(tf.shape(bias), tf.constant(0.5, a.dtype)) for bias in biases]
    for _ in range(MEAN_FIELD_SWEEPS):
        for k, bias in enumerate(biases):
            means[k] = tf.sigmoid(theta.natural(k, tuple(means)) + bias)
    m = tf.stop_gradient(tf.concat(means, -1))
    smoothed = tf.reduce_sum(a * m + c + Bernoulli().entropy(m), -1)
    return smoothed - theta.energy(theta.split(m))


def _bias_and_offset(smoothing: Smoothing, zeta: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """a = log r(zeta | 1) - log r(zeta | 0) and c = log r(zeta | 0)."""
    c = smoothing.log_density(zeta)
    return smoothing.log_density(1 - zeta) - c, c
