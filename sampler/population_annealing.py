"""Population annealing (Hukushima and Iba 2003; Machta 2010).

A weighted population of states follows a sequence of RBMs: each change of parameters multiplies the
weights by the ratio of the two unnormalised probabilities, a population whose effective size falls
under a threshold is resampled, and sweeps at the new parameters follow. In training the sequence is
that of the prior's parameters, one per step (persistent population annealing): where persistent
chains keep the share of each mode that they once had, the weights carry the shares that the new
parameters give. `anneal` runs the same update along a path of temperatures, from scratch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import gibbs, resampling, seeds
from sampler.path import Path
from sampler.rbm import RBM


class Population(NamedTuple):
    """Weighted samples of one RBM.

    Attributes:
      z1: [C, n1], z2: [C, n2], the states.
      log_weights: float64, [C]; since the last resampling.
      log_z: float64, scalar; log Z up to the last resampling.
    """

    z1: tf.Tensor
    z2: tf.Tensor
    log_weights: tf.Tensor
    log_z: tf.Tensor

    def weights(self) -> tf.Tensor:
        """Normalised weights, float32, [C]."""
        return tf.cast(tf.nn.softmax(self.log_weights), tf.float32)


class Info(NamedTuple):
    """What an update did; scalars.

    Attributes:
      ess: effective size as a fraction of C, before resampling, float32.
      resampled: 1.0 if the population was resampled, else 0.0.
      survivors: fraction of the population that has descendants (1 without resampling).
      log_z: the estimate of log Z at the new parameters, float64.
    """

    ess: tf.Tensor
    resampled: tf.Tensor
    survivors: tf.Tensor
    log_z: tf.Tensor


def start(rbm: RBM, num_chains: int, seed: tf.Tensor) -> Population:
    """Exact samples of the RBM's biases without its couplings, and the log Z of that."""
    path = Path(rbm, rbm.b1, rbm.b2)
    z1 = path.sample_base(num_chains, seeds.fold_in(seed, 1))
    z2 = gibbs.initial(rbm, num_chains, seeds.fold_in(seed, 2))
    return Population(z1, z2, tf.zeros([num_chains], tf.float64), path.log_z_base())


def update(
    old: RBM,
    new: RBM,
    population: Population,
    seed: tf.Tensor,
    num_sweeps: int,
    threshold: float = 0.5,
) -> tuple[Population, Info]:
    """Carries a population of `old` to `new` (no batch dimensions): reweight, resample, sweep.

    Args:
      old, new: parameters before and after.
      population: C weighted samples of `old`.
      seed: int32, shape [2].
      num_sweeps: Gibbs sweeps at `new`, at least 1.
      threshold: the population is resampled (systematically) when ess < threshold C.

    Returns:
      The population at `new`, and an `Info`.
    """
    change = old.energy_change(new, population.z1, population.z2)
    log_weights = population.log_weights - tf.cast(change, tf.float64)
    num_chains = population.z2.shape[0]
    ess = resampling.effective_sample_size(log_weights) / num_chains
    log_z = population.log_z + resampling.log_mean_exp(log_weights)

    def resample() -> tuple[tf.Tensor, ...]:
        parents = resampling.systematic(log_weights, seeds.fold_in(seed, 1))
        distinct = 1 + tf.reduce_sum(tf.cast(parents[1:] != parents[:-1], tf.float32))
        return tf.gather(population.z2, parents), tf.zeros_like(log_weights), log_z, distinct

    def keep() -> tuple[tf.Tensor, ...]:
        return population.z2, log_weights, population.log_z, tf.constant(float(num_chains))

    resampled = ess < threshold
    z2, log_weights, base_log_z, distinct = tf.cond(resampled, resample, keep)
    z1, z2 = gibbs.run(new, z2, num_sweeps, seeds.fold_in(seed, 2))
    info = Info(
        tf.cast(ess, tf.float32), tf.cast(resampled, tf.float32), distinct / num_chains, log_z
    )
    return Population(z1, z2, log_weights, base_log_z), info


def anneal(
    path: Path,
    betas: np.ndarray,
    num_chains: int,
    seed: tf.Tensor,
    num_sweeps: int = 1,
    threshold: float = 0.5,
) -> tuple[Population, Info]:
    """Population annealing of one RBM from scratch along `betas` (from 0 to 1, [T]).

    Returns:
      A population of C weighted samples of the target, and the last update's `Info`.
    """
    at = tf.constant(betas, tf.float32)
    population = start(path.rbm_at(at[0]), num_chains, seeds.fold_in(seed, 0))

    def body(i: tf.Tensor, population: Population, info: Info) -> tuple:
        old, new = path.rbm_at(at[i - 1]), path.rbm_at(at[i])
        step_seed = seeds.fold_in(seed, i)
        return i + 1, *update(old, new, population, step_seed, num_sweeps, threshold)

    zero = tf.constant(0.0)
    info = Info(zero, zero, zero, population.log_z)
    _, population, info = tf.while_loop(
        lambda i, *_: i < len(betas), body, (tf.constant(1), population, info)
    )
    return population, info
