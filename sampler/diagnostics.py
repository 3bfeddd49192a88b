"""Diagnostics of samples: autocorrelation, R-hat, effective sample size.

Traces are [S, C, ...]: S successive values, in C chains, of any number of quantities (an energy
[S, C], the units of one side [S, C, n]). The estimators are TensorFlow Probability's, whose import
takes seconds, so that only those who ask for this module pay. `parallel_tempering.run` and `gibbs`
give [..., S, C, n], which without batch dimensions is a trace; families of a population are in
`population_annealing`'s results.
"""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from sampler.io.errors import expect


def autocorrelation_time(trace: tf.Tensor) -> tf.Tensor:
    """Integrated autocorrelation time 1 + 2 sum rho_t, in steps of the trace, float64, [...].

    S C / `effective_sample_size`: independent values have 1, AR(1) has (1 + rho) / (1 - rho). A
    trace ought to be at least 50 times as long.
    """
    return len(trace) * trace.shape[1] / effective_sample_size(trace)


def effective_sample_size(trace: tf.Tensor) -> tf.Tensor:
    """Number of independent samples that the mean over steps and chains is worth, float64, [...].

    Autocorrelations are summed over Geyer's (1992) initial positive sequence, and chains that
    disagree lower the size (Vehtari et al. 2021). NaN where a quantity never changed, about which
    nothing is known. The trace is [S, C, ...], S at least 4; C may be 1.
    """
    trace = _check_trace(trace)
    chains = {"cross_chain_dims": 1} if trace.shape[1] > 1 else {}
    size = tfp.mcmc.effective_sample_size(trace, filter_beyond_positive_pairs=True, **chains)
    size = size if chains else size[0]
    return tf.where(_constant(trace), tf.constant(np.nan, tf.float64), size)


def r_hat(trace: tf.Tensor) -> tf.Tensor:
    """Gelman and Rubin's potential scale reduction of split chains, float64, [...].

    Near 1 when chains agree with one another and each half of a chain with the other; above 1.01
    they have not mixed (Vehtari et al. 2021). Infinite where every chain stands still at a place of
    its own, NaN where a quantity never changed. The trace is [S, C, ...], S >= 4 and C >= 2.
    """
    trace = _check_trace(trace)
    expect(trace.shape[1] > 1, "trace", f"shape {tuple(trace.shape)}", "two chains or more")
    even = trace[: len(trace) // 2 * 2]
    ratio = tfp.mcmc.potential_scale_reduction(even, independent_chain_ndims=1, split_chains=True)
    return tf.where(_constant(trace), tf.constant(np.nan, tf.float64), tf.sqrt(ratio))


def _check_trace(trace: tf.Tensor) -> tf.Tensor:
    """The trace in float64; ValueError unless it is [S, C, ...] and long enough."""
    trace = tf.cast(trace, tf.float64)
    fit = trace.shape.rank > 1 and trace.shape[0] > 3 and trace.shape[1]
    expect(fit, "trace", f"shape {tuple(trace.shape)}", "[S, C, ...], S at least 4")
    return trace


def _constant(trace: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(trace == trace[:1, :1], [0, 1])
