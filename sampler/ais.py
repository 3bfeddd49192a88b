"""Annealed importance sampling (Neal 2001; for RBMs Salakhutdinov and Murray 2008).

One side is summed out in the weights, log-weights accumulate in float64, and both directions run
through the same code: forward from the base estimates log Z from below on average, backward from
samples of the target it estimates log Z from above.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import gibbs, resampling, seeds
from sampler.path import Path

BRACKET_ERRORS = 3.0
"""Standard errors by which `bracket` widens each side."""

_SEGMENT = 250


class State(NamedTuple):
    """Weighted chains on their way along a path.

    Attributes:
      z1: states of the first side, [..., C, n1].
      log_weights: float64, [..., C].
    """

    z1: tf.Tensor
    log_weights: tf.Tensor


class Estimate(NamedTuple):
    """An estimate of log Z, float64, each of the RBM's batch shape [...].

    Attributes:
      log_z: the estimate; E[exp(log_z)] = Z for a schedule fixed in advance.
      stderr: its standard error by the delta method, sqrt(1/ess - 1/C).
      ess: effective sample size of the weights, between 1 and C.
    """

    log_z: tf.Tensor
    stderr: tf.Tensor
    ess: tf.Tensor


class Bracket(NamedTuple):
    """log Z from both sides; see `bracket`.

    Attributes:
      forward: the estimate from the base, low on average.
      backward: the estimate from samples of the target, high on average.
      lower, upper: forward - 3 and backward + 3 standard errors, ordered.
    """

    forward: Estimate
    backward: Estimate
    lower: tf.Tensor
    upper: tf.Tensor


def start(path: Path, num_chains: int | tf.Tensor, seed: tf.Tensor) -> State:
    """Exact samples of the base, with weights of which the mean is log Z of the base."""
    z1 = path.sample_base(num_chains, seed)
    return State(z1, path.log_z_base()[..., None] + tf.zeros(tf.shape(z1)[:-1], tf.float64))


def anneal(path: Path, state: State, betas: tf.Tensor, seed: tf.Tensor) -> State:
    """Moves chains along `betas` (float32, [T]; rising or falling): weight, then sweep."""

    def body(i: tf.Tensor, z1: tf.Tensor, log_weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
        beta, new_beta = betas[i], betas[i + 1]
        log_weights += path.log_weight(z1, beta, new_beta)
        return i + 1, path.sweep(z1, new_beta, seeds.fold_in(seed, i)), log_weights

    count = tf.shape(betas)[0] - 1
    _, z1, log_weights = tf.while_loop(lambda i, *_: i < count, body, (0, *state))
    return State(z1, log_weights)


def estimate(log_weights: tf.Tensor) -> Estimate:
    """log Z with its standard error from the final log-weights, [..., C]."""
    ess = resampling.effective_sample_size(log_weights)
    count = tf.cast(tf.shape(log_weights)[-1], tf.float64)
    stderr = tf.sqrt(tf.maximum(1 / ess - 1 / count, 0))
    return Estimate(resampling.log_mean_exp(log_weights), stderr, ess)


def bracket(
    path: Path,
    betas: np.ndarray,
    num_chains: int,
    seed: tf.Tensor,
    num_sweeps: int = 200,
    progress_fn: Callable[[int], object] = lambda num_temperatures: None,
) -> Bracket:
    """log Z of one RBM or a batch from below (forward AIS) and from above (backward AIS).

    The backward run needs samples of the target: the forward run's end states, resampled by their
    weights and swept `num_sweeps` times more. It is a bound as far as they are such samples.

    Args:
      path: from the base to the target.
      betas: inverse temperatures from 0 to 1, [T].
      num_chains: chains C of each run.
      seed: int32, shape [2].
      num_sweeps: sweeps of the resampled end states before they run back.
      progress_fn: called with the number of temperatures just done, 2 (T - 1) in all.

    Returns:
      A `Bracket`, its fields of the RBM's batch shape.
    """
    start_seed, *run_seeds = (seeds.fold_in(seed, i) for i in range(4))
    state = start(path, num_chains, start_seed)
    state = _anneal_in_segments(path, state, betas, run_seeds[0], progress_fn)
    forward = estimate(state.log_weights)
    z1 = _equilibrate(path, state, run_seeds[1], num_sweeps)
    state = State(z1, tf.zeros_like(state.log_weights))
    state = _anneal_in_segments(path, state, betas[::-1], run_seeds[2], progress_fn)
    ratio = estimate(state.log_weights)
    backward = ratio._replace(log_z=path.log_z_base() - ratio.log_z)
    lower = forward.log_z - BRACKET_ERRORS * forward.stderr
    upper = backward.log_z + BRACKET_ERRORS * backward.stderr
    return Bracket(forward, backward, tf.minimum(lower, upper), tf.maximum(lower, upper))


_anneal_compiled = tf.function(anneal, jit_compile=True, autograph=False)


def _anneal_in_segments(
    path: Path, state: State, betas: np.ndarray, seed: tf.Tensor, progress_fn: Callable
) -> State:
    """`anneal`, compiled, in segments of one length (a graph is traced for each length)."""
    for number, first in enumerate(range(0, len(betas) - 1, _SEGMENT)):
        segment = betas[first : first + _SEGMENT + 1]
        state = _anneal_compiled(path, state, tf.constant(segment), seeds.fold_in(seed, number))
        progress_fn(len(segment) - 1)
    return state


@tf.function(jit_compile=True, autograph=False)
def _equilibrate(path: Path, state: State, seed: tf.Tensor, num_sweeps: int) -> tf.Tensor:
    parents = resampling.systematic(state.log_weights, seeds.fold_in(seed, 0))
    z1 = tf.gather(state.z1, parents, axis=-2, batch_dims=parents.shape.rank - 1)
    z2 = gibbs.bernoulli(path.rbm.logits2(z1), seeds.fold_in(seed, 1))
    return gibbs.run(path.rbm, z2, num_sweeps, seeds.fold_in(seed, 2))[0]
