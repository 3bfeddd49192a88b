"""Continuous relaxations of binary units, by name.

A relaxation turns (logits, seed) into reparameterised samples zeta in [0, 1]: it is a `sample_fn`
of `sampler.gibbs.sweep`. To add one: a file with a function (logits, rho, sharpness) -> zeta, rho
being uniform in (0, 1), and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import tensorflow as tf

from dvae_tf.relaxations.concrete import concrete
from dvae_tf.relaxations.piecewise_linear import piecewise_linear
from sampler import gibbs, seeds

RELAXATIONS: dict[str, Callable[[tf.Tensor, tf.Tensor, float], tf.Tensor]] = {
    "pwl": piecewise_linear,
    "concrete": concrete,
    "pwl_stop_slope": partial(piecewise_linear, stop_slope=True),
}


def make(name: str, sharpness: float) -> gibbs.SampleFn:
    """The named relaxation with its sharpness, as a `sample_fn`."""
    relax = RELAXATIONS[name]

    def sample_fn(logits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return relax(logits, seeds.uniform(seed, logits.shape.as_list()), sharpness)

    return sample_fn
