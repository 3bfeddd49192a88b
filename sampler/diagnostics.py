"""Diagnostics of samples: autocorrelation, R-hat, effective sample size, modes.

Traces are [S, C, ...]: S successive values, in C chains, of any number of quantities (an energy
[S, C], the units of one side [S, C, n]). The estimators are TensorFlow Probability's, whose import
takes seconds, so that only those who ask for this module pay. `parallel_tempering.run` and `gibbs`
give [..., S, C, n], which without batch dimensions is a trace; families of a population are in
`population_annealing`'s results.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from sampler import checks, mean_field
from sampler.machines.rbm import AnyRBM


def autocorrelation_time(trace: tf.Tensor) -> tf.Tensor:
    """Integrated autocorrelation time 1 + 2 sum rho_t, in steps of the trace, float64, [...].

    S C / `effective_sample_size`: independent values have 1, AR(1) has (1 + rho) / (1 - rho). A
    trace ought to be at least 50 times as long.
    """
    return len(trace) * trace.shape[1] / effective_sample_size(trace)


def effective_sample_size(trace: tf.Tensor) -> tf.Tensor:
    """Number of independent samples that the mean over steps and chains is worth, float64, [...].

    Autocorrelations are summed over Geyer's (1992) initial positive sequence, and chains that
    disagree lower the size (Vehtari et al. 2021).

    Args:
      trace: [S, C, ...], S at least 4; C may be 1.

    Returns:
      A size for each quantity; NaN where a quantity never changed, about which nothing is known.
    """
    trace = _check_trace(trace)
    chains = {"cross_chain_dims": 1} if trace.shape[1] > 1 else {}
    size = tfp.mcmc.effective_sample_size(trace, filter_beyond_positive_pairs=True, **chains)
    size = size if chains else size[0]
    return tf.where(_constant(trace), tf.constant(np.nan, tf.float64), size)


def r_hat(trace: tf.Tensor) -> tf.Tensor:
    """Gelman and Rubin's potential scale reduction of split chains, float64, [...].

    Near 1 when chains agree with one another and each half of a chain with the other; above 1.01
    they have not mixed (Vehtari et al. 2021).

    Args:
      trace: [S, C, ...], S at least 4 and C at least 2.

    Returns:
      A ratio for each quantity; infinite where every chain stands still at a place of its own, NaN
      where a quantity never changed.
    """
    trace = _check_trace(trace)
    if trace.shape[1] < 2:
        raise ValueError(f"trace: found shape {tuple(trace.shape)}; accepted: two chains or more")
    even = trace[: len(trace) // 2 * 2]
    ratio = tfp.mcmc.potential_scale_reduction(even, independent_chain_ndims=1, split_chains=True)
    return tf.where(_constant(trace), tf.constant(np.nan, tf.float64), tf.sqrt(ratio))


class Modes(NamedTuple):
    """Modes that samples belong to, the most visited first.

    Attributes:
      mean1, mean2: mean-field means, NumPy float32, [M, n1] and [M, n2].
      shares: fraction of the samples in each, float64, [M].
    """

    mean1: np.ndarray
    mean2: np.ndarray
    shares: np.ndarray


def count_modes(
    rbm: AnyRBM, z2: tf.Tensor, tolerance: float = 0.05, max_iterations: int = 1000
) -> Modes:
    """The mean-field modes that samples lie in, and their shares; their number is len(shares).

    From each sample, m1 = sigmoid(b1 + W m2) and m2 = sigmoid(b2 + W'm1) alternate until nothing
    moves by more than 1e-5: a descent of the mean-field free energy into its nearest minimum.
    Minima that differ by less than `tolerance`, mean over all units, are one mode.

    Args:
      rbm: without batch dimensions.
      z2: samples [C, n2]; of samples z1, their means tf.sigmoid(rbm.logits2(z1)).
      tolerance: mean absolute difference under which two minima are one.
      max_iterations: after which a slow descent is cut short (near a critical point).

    Raises:
      ValueError: an RBM with batch dimensions, or samples of another shape.
    """
    checks.check_rbm(rbm)
    if rbm.b2.shape.rank != 1 or z2.shape[1:] != rbm.b2.shape or not len(z2):
        raise ValueError(
            f"z2 {tuple(z2.shape)} and rbm.b2 {tuple(rbm.b2.shape)}; accepted: [C, n2] and [n2]"
        )
    z2 = tf.cast(z2, tf.float32)
    m2, m1 = mean_field.fixed_point(rbm.transposed(), z2, 1e-5, max_iterations)
    both = np.concatenate([m1, m2], -1)
    label = mean_field.group(both, lambda gaps: gaps.mean(-1) < tolerance)
    counts = np.bincount(label)
    order = np.argsort(-counts, kind="stable")
    chosen = np.unique(label, return_index=True)[1][order]
    return Modes(m1.numpy()[chosen], m2.numpy()[chosen], counts[order] / len(both))


def _check_trace(trace: tf.Tensor) -> tf.Tensor:
    """The trace in float64; ValueError unless it is [S, C, ...] and long enough."""
    trace = tf.cast(trace, tf.float64)
    if trace.shape.rank < 2 or trace.shape[0] < 4 or not trace.shape[1]:
        raise ValueError(
            f"trace: found shape {tuple(trace.shape)}; accepted: [S, C, ...], S at least 4"
        )
    return trace


def _constant(trace: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(trace == trace[:1, :1], [0, 1])
