"""Weighted populations, and the update that carries them along a changing RBM (as in training).

Persistent population annealing: each change of parameters multiplies the weights by the ratio of
the two unnormalised probabilities, a population whose effective size falls under a threshold is
resampled, and sweeps at the new parameters follow. Where persistent chains keep the share of each
mode that they once had, the weights carry the shares that the new parameters give.
"""

from typing import NamedTuple

import tensorflow as tf

from sampler import gibbs, seeds
from sampler.annealing.bridge import from_fields
from sampler.machines.machine import AnyMachine, State
from sampler.weights import resampling
from sampler.weights.resampling import Scheme

RESAMPLE_BELOW = 0.5
"""A population is resampled when its effective size is under this fraction of it."""


class Population(NamedTuple):
    """Weighted samples of machines with batch dimensions [...].

    Attributes:
      state: of each block, [..., C, n_k].
      log_weights: float64, [..., C]; since the last resampling.
      log_z: float64, [...]; log Z up to the last resampling.
    """

    state: State
    log_weights: tf.Tensor
    log_z: tf.Tensor

    def weights(self) -> tf.Tensor:
        """Normalised weights, float32, [..., C]."""
        return tf.cast(tf.nn.softmax(self.log_weights), tf.float32)


class Info(NamedTuple):
    """What an update did; each of the machines' batch shape [...].

    Attributes:
      ess: effective number of chains before resampling, float32.
      resampled: 1.0 if the population was resampled, else 0.0.
      survivors: chains that have descendants (C without resampling), float32.
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
      ess: effective number of chains, before, float64, [...].
      resampled: bool, [...].
      survivors: chains that have descendants, float32, [...].
    """

    states: tuple[tf.Tensor, ...]
    log_weights: tf.Tensor
    log_mean: tf.Tensor
    ess: tf.Tensor
    resampled: tf.Tensor
    survivors: tf.Tensor


def of_fields(machine: AnyMachine, num_chains: int, seed: int | tf.Tensor) -> Population:
    """Exact samples of the machine's fields without its couplings, and the log Z of that.

    They are no samples of a machine that has couplings: `population_annealing.initial` has those.
    """
    state = gibbs.initial(machine, num_chains, seed)
    zeros = tf.zeros(tf.shape(state[0])[:-1], tf.float64)
    return Population(state, zeros, from_fields(machine).log_z_base())


def update(
    old: AnyMachine,
    new: AnyMachine,
    population: Population,
    seed: int | tf.Tensor,
    num_sweeps: int,
    threshold: float = RESAMPLE_BELOW,
) -> tuple[Population, Info]:
    """Carries populations of `old` to `new`: reweight, resample where needed, sweep.

    Args:
      old, new: machines before and after, of one type, batch dimensions [...].
      population: C weighted samples of each of `old`.
      num_sweeps: Gibbs sweeps at `new`, at least 1.
      threshold: a population is resampled (systematically) when ess < threshold C.
    """
    old, new, seed = old.cast(), new.cast(), seeds.as_seed(seed)
    change = old.energy_change(new, population.state)
    log_weights = population.log_weights - tf.cast(change, tf.float64)
    log_z = population.log_z + resampling.log_mean_exp(log_weights)
    # a sweep redraws the first block before it reads it
    first = len(population.state) > 1
    kept = resample(population.state[first:], log_weights, seeds.fold_in(seed, 1), threshold)
    chains = (None,) * first + kept.states
    state = gibbs.run(new, chains, num_sweeps, seeds.fold_in(seed, 2))
    ess, resampled = (tf.cast(t, tf.float32) for t in (kept.ess, kept.resampled))
    info = Info(ess, resampled, kept.survivors, log_z)
    return Population(state, kept.log_weights, population.log_z + kept.log_mean), info


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
      threshold: between 0 (never) and above 1 (always).
    """
    num_chains, batch_dims = log_weights.shape[-1], log_weights.shape.rank - 1
    ess = resampling.effective_sample_size(log_weights)
    resampled = ess < threshold * num_chains
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
    survivors = tf.cast(distinct, tf.float32)
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
