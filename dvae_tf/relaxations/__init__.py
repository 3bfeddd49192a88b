"""Continuous relaxations of binary units, by name.

To add one that is plugged into the discrete formulas, a function (logits, rho, sharpness) -> zeta
with rho uniform in (0, 1): a file with the function, and an entry in `PLUGGED_IN`. To add one that
smooths z into a density r(zeta | z): an entry in `smoothings.SMOOTHINGS`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import tensorflow as tf

from dvae_tf.relaxations import overlapping
from dvae_tf.relaxations.concrete import concrete
from dvae_tf.relaxations.piecewise_linear import piecewise_linear
from dvae_tf.relaxations.smoothings import SMOOTHINGS
from sampler import gibbs, seeds
from sampler.machines.rbm import AnyRBM

PLUGGED_IN: dict[str, Callable[[tf.Tensor, tf.Tensor, float], tf.Tensor]] = {
    "pwl": piecewise_linear,
    "concrete": concrete,
    "pwl_stop_slope": partial(piecewise_linear, stop_slope=True),
}


RELAXATIONS = (*PLUGGED_IN, *SMOOTHINGS)
"""All names."""


class Relaxation(NamedTuple):
    """How binary units become continuous, and what takes the place of their probabilities.

    Attributes:
      sample: (logits, seed) -> zeta of the logits' shape, reparameterised; a `sample_fn` of
        `sampler.gibbs.sweep`.
      log_prob: (logits, zeta) -> log q(zeta) of each unit, of the logits' shape.
      log_prior: (theta, zeta1, zeta2) -> log p_theta(zeta) + log Z_theta or a bound, [..., C].
    """

    sample: gibbs.SampleFn
    log_prob: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    log_prior: Callable[[AnyRBM, tf.Tensor, tf.Tensor], tf.Tensor]


def make(name: str, sharpness: float) -> Relaxation:
    """The named relaxation with its sharpness."""
    if name in SMOOTHINGS:
        smoothing = SMOOTHINGS[name](sharpness)
        functions = overlapping.sample, overlapping.log_prob, overlapping.log_prior
        return Relaxation(*(partial(function, smoothing) for function in functions))
    relax = PLUGGED_IN[name]

    def sample(logits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return relax(logits, seeds.uniform(seed, logits.shape.as_list()), sharpness)

    return Relaxation(sample, discrete_log_prob, discrete_log_prior)


def discrete_log_prob(logits: tf.Tensor, zeta: tf.Tensor) -> tf.Tensor:
    """zeta log q + (1 - zeta) log (1 - q): the discrete formula at zeta, as GumBolt has it."""
    return zeta * logits - tf.nn.softplus(logits)


def discrete_log_prior(theta: AnyRBM, zeta1: tf.Tensor, zeta2: tf.Tensor) -> tf.Tensor:
    """-E_theta(zeta): the discrete formula at zeta."""
    return -theta.energy(zeta1, zeta2)
