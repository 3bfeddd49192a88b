"""Weighted populations, and the update that carries them along a changing RBM (as in training).

Persistent population annealing: each change of parameters multiplies the weights by the ratio of
the two unnormalised probabilities, a population whose effective size falls under a threshold is
resampled, and sweeps at the new parameters follow. Where persistent chains keep the share of each
mode that they once had, the weights carry the shares that the new parameters give.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from sampler import gibbs, seeds
from sampler.annealing.bridge import from_biases
from sampler.machines.rbm import AnyRBM
from sampler.weights import resampling
from sampler.weights.resampling import Scheme


class Population(NamedTuple):
    """Weighted samples of RBMs with batch dimensions [...].

    Attributes:
      z1: [..., C, n1], z2: [..., C, n2], the states.
      log_weights: float64, [..., C]; since the last resampling.
      log_z: float64, [...]; log Z up to the last resampling.
    """

    z1: tf.Tensor
    z2: tf.Tensor
    log_weights: tf.Tensor
    log_z: tf.Tensor

    def weights(self) -> tf.Tensor:
        """Normalised weights, float32, [..., C]."""
        return tf.cast(tf.nn.softmax(self.log_weights), tf.float32)


class Info(NamedTuple):
    """What an update did; each of the RBMs' batch shape [...].

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


class Resampling(NamedTuple):
    """What `resample` returns.

    Attributes:
      states: as given, those of the parents.
      log_weights: zero where the population was resampled, else as given, [..., C].
      log_mean: log of the mean weight that resampling took out, else 0, [...].
      ess: effective size as a fraction of C, before, float64, [...].
      resampled: bool, [...].
      survivors: fraction of the population that has descendants, float32, [...].
    """

    states: tuple[tf.Tensor, ...]
    log_weights: tf.Tensor
    log_mean: tf.Tensor
    ess: tf.Tensor
    resampled: tf.Tensor
    survivors: tf.Tensor


def start(rbm: AnyRBM, num_chains: int, seed: tf.Tensor) -> Population:
    """Exact samples of the RBM's biases without its couplings, and the log Z of that."""
    bridge = from_biases(rbm)
    z1 = bridge.sample_base(num_chains, seeds.fold_in(seed, 1))
    z2 = gibbs.initial(rbm, num_chains, seeds.fold_in(seed, 2))
    return Population(z1, z2, tf.zeros(tf.shape(z1)[:-1], tf.float64), bridge.log_z_base())


def update(
    old: AnyRBM,
    new: AnyRBM,
    population: Population,
    seed: tf.Tensor,
    num_sweeps: int,
    threshold: float = 0.5,
) -> tuple[Population, Info]:
    """Carries populations of `old` to `new`: reweight, resample where needed, sweep.

    Args:
      old, new: parameters before and after, batch dimensions [...].
      population: C weighted samples of each of `old`.
      seed: int32, shape [2].
      num_sweeps: Gibbs sweeps at `new`, at least 1.
      threshold: a population is resampled (systematically) when ess < threshold C.

    Returns:
      The populations at `new`, and an `Info`.
    """
    change = old.energy_change(new, population.z1, population.z2)
    log_weights = population.log_weights - tf.cast(change, tf.float64)
    log_z = population.log_z + resampling.log_mean_exp(log_weights)
    kept = resample((population.z2,), log_weights, seeds.fold_in(seed, 1), threshold)
    z1, z2 = gibbs.run(new, kept.states[0], num_sweeps, seeds.fold_in(seed, 2))
    ess, resampled = (tf.cast(t, tf.float32) for t in (kept.ess, kept.resampled))
    info = Info(ess, resampled, kept.survivors, log_z)
    return Population(z1, z2, kept.log_weights, population.log_z + kept.log_mean), info


def resample(
    states: tuple[tf.Tensor, ...],
    log_weights: tf.Tensor,
    seed: tf.Tensor,
    threshold: float | tf.Tensor,
    scheme: Scheme = resampling.systematic,
) -> Resampling:
    """Resamples the populations of which the effective size is under `threshold` C.

    Args:
      states: tensors [..., C, ...], which follow their chains.
      log_weights: float64, [..., C].
      seed: int32, shape [2].
      threshold: between 0 (never) and above 1 (always).
      scheme: one of `resampling.SCHEMES`.
    """
    num_chains, batch_dims = log_weights.shape[-1], log_weights.shape.rank - 1
    ess = resampling.effective_sample_size(log_weights) / num_chains
    resampled = ess < threshold
    zero = tf.zeros_like(ess)

    def act() -> tuple:
        parents = tf.where(resampled[..., None], scheme(log_weights, seed), tf.range(num_chains))
        chosen = tuple(
            tf.gather(t, parents, axis=batch_dims, batch_dims=batch_dims) for t in states
        )
        rest = tf.where(resampled[..., None], tf.zeros_like(log_weights), log_weights)
        log_mean = tf.where(resampled, resampling.log_mean_exp(log_weights), zero)
        return chosen, rest, log_mean, num_distinct(parents)

    def keep() -> tuple:
        return states, log_weights, zero, tf.cast(num_chains + zero, tf.int32)

    # no population resampled is the usual case: nothing is moved then
    states, log_weights, log_mean, distinct = tf.cond(tf.reduce_any(resampled), act, keep)
    survivors = tf.cast(distinct, tf.float32) / num_chains
    return Resampling(states, log_weights, log_mean, ess, resampled, survivors)


def num_distinct(labels: tf.Tensor) -> tf.Tensor:
    """How many values sorted `labels` (int32, [..., C]) take, int32, [...]."""
    return 1 + tf.math.count_nonzero(labels[..., 1:] - labels[..., :-1], axis=-1, dtype=tf.int32)


def mean_square_family(families: tf.Tensor, log_weights: tf.Tensor) -> tf.Tensor:
    """rho_t = C sum f^2 (Wang, Machta and Katzgraber 2015), float64, [...].

    Args:
      families: each chain's ancestor at the start, int32 in [0, C), [..., C].
      log_weights: [..., C]; f is a family's share of the whole weight.
    """
    shape = tf.shape(families)
    num_chains = shape[-1]
    ids = tf.reshape(families, [-1, num_chains])
    ids += num_chains * tf.range(tf.shape(ids)[0])[:, None]
    weights = tf.reshape(tf.nn.softmax(log_weights, -1), tf.shape(ids))
    shares = tf.math.unsorted_segment_sum(weights, ids, tf.size(ids))
    squares = tf.reduce_sum(tf.reshape(shares, shape) ** 2, -1)
    return tf.cast(num_chains, tf.float64) * squares
