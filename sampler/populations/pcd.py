"""Persistent contrastive divergence (Tieleman 2008): chains of a slowly changing machine."""

import tensorflow as tf

from sampler import gibbs
from sampler.machines.machine import AnyMachine
from sampler.populations.population import Info, Population


def update(
    old: AnyMachine,
    new: AnyMachine,
    population: Population,
    seed: int | tf.Tensor,
    num_sweeps: int,
) -> tuple[Population, Info]:
    """`num_sweeps` sweeps at `new`, weights untouched; the interface of population annealing's.

    Any batch shape. Persistent chains say nothing about log Z: `Info.log_z` is NaN.
    """
    del old
    state = gibbs.run(new, population.state, num_sweeps, seed)
    all_chains = tf.ones_like(population.log_weights[..., 0], tf.float32)
    all_chains *= population.log_weights.shape[-1]
    unknown = tf.fill(tf.shape(all_chains), tf.constant(float("nan"), tf.float64))
    info = Info(all_chains, tf.zeros_like(all_chains), all_chains, unknown)
    return population._replace(state=state), info
