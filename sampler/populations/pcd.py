"""Persistent contrastive divergence (Tieleman 2008): chains that follow a slowly changing RBM."""

from __future__ import annotations

import tensorflow as tf

from sampler import gibbs
from sampler.machines.rbm import AnyRBM
from sampler.populations.population import Info, Population


def update(
    old: AnyRBM, new: AnyRBM, population: Population, seed: tf.Tensor, num_sweeps: int
) -> tuple[Population, Info]:
    """`num_sweeps` sweeps at `new`, weights untouched; the interface of population annealing's.

    Any batch shape. Persistent chains say nothing about log Z: `Info.log_z` is NaN.
    """
    z1, z2 = gibbs.run(new, population.z2, num_sweeps, seed)
    one = tf.ones_like(population.log_weights[..., 0], tf.float32)
    unknown = tf.fill(tf.shape(one), tf.constant(float("nan"), tf.float64))
    info = Info(one, tf.zeros_like(one), one, unknown)
    return population._replace(z1=z1, z2=z2), info
