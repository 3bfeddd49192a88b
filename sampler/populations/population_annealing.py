"""Population annealing (Hukushima and Iba 2003; Machta 2010; Weigel et al. 2021).

`run` anneals populations from scratch, from exact samples at beta = 0 to the target at beta = 1:
several independent runs of one or many RBMs at once, of which the mean estimates Z without bias
(for a schedule fixed in advance) and the spread tells the error. `update`, from
`sampler/population.py`, is the same move along the parameters of a training.

The weights are those of z1, the second side summed out, which lowers their variance for free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import checks, gibbs, seeds
from sampler.annealing import chains as annealing
from sampler.annealing import schedules
from sampler.annealing.bridge import Bridge
from sampler.populations import result as population_result
from sampler.populations.population import Info as Info
from sampler.populations.population import Population as Population
from sampler.populations.population import mean_square_family, num_distinct, resample
from sampler.populations.population import start as start
from sampler.populations.population import update as update
from sampler.populations.result import Result as Result
from sampler.populations.result import Trace as Trace
from sampler.weights.resampling import SCHEMES, Scheme, log_mean_exp, systematic


class State(NamedTuple):
    """R independent populations of each RBM on their way along a bridge.

    Attributes:
      z1: states of the first side, [..., R, C, n1].
      families: each chain's ancestor at the start, int32, [..., R, C].
      log_weights: float64, [..., R, C]; since the last resampling.
      log_z: float64, [..., R]; up to the last resampling.
    """

    z1: tf.Tensor
    families: tf.Tensor
    log_weights: tf.Tensor
    log_z: tf.Tensor


class Row(NamedTuple):
    """A temperature's line of the trace; as in `Trace`, without its first axis."""

    log_z: tf.Tensor
    mean_energy: tf.Tensor
    energy_variance: tf.Tensor
    ess: tf.Tensor
    rho_t: tf.Tensor
    num_families: tf.Tensor
    resampled: tf.Tensor
    energies: tf.Tensor
    log_weights: tf.Tensor


def begin(bridge: Bridge, num_runs: int, num_chains: int, seed: tf.Tensor) -> State:
    """Exact samples of the base: R populations of C equal weights."""
    z1 = bridge.sample_base(num_runs * num_chains, seed)
    batch, n1 = z1.shape[:-2], z1.shape[-1]
    shape = [*batch, num_runs, num_chains]
    families = tf.broadcast_to(tf.range(num_chains), shape)
    log_z = bridge.log_z_base()[..., None] + tf.zeros([num_runs], tf.float64)
    return State(tf.reshape(z1, [*shape, n1]), families, tf.zeros(shape, tf.float64), log_z)


def step(
    bridge: Bridge,
    state: State,
    betas: tf.Tensor,
    seed: tf.Tensor,
    num_sweeps: int | tf.Tensor,
    threshold: float | tf.Tensor,
    scheme: Scheme = systematic,
) -> tuple[State, Row]:
    """From betas[0] to betas[1]: reweight, resample where needed, sweep, measure."""
    beta, new_beta = betas[0], betas[1]
    change = bridge.log_weight(_merged(state.z1), beta, new_beta)
    log_weights = state.log_weights + tf.reshape(change, tf.shape(state.log_weights))
    kept = resample(state[:2], log_weights, seeds.fold_in(seed, 0), threshold, scheme)

    def sweep(i: tf.Tensor, z1: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, bridge.sweep(z1, new_beta, seeds.fold_in(seed, 1, i))

    z1 = _merged(kept.states[0])
    z1 = tf.while_loop(lambda i, _: i < num_sweeps, sweep, (0, z1))[1]
    z1 = tf.reshape(z1, tf.shape(state.z1))
    state = State(z1, kept.states[1], kept.log_weights, state.log_z + kept.log_mean)
    row = measure(bridge, state, new_beta, seeds.fold_in(seed, 2))
    return state, row._replace(ess=kept.ess, resampled=tf.cast(kept.resampled, tf.int32))


def measure(bridge: Bridge, state: State, beta: tf.Tensor, seed: tf.Tensor) -> Row:
    """The trace's line of populations at `beta`, as if after no resampling."""
    z1 = _merged(state.z1)
    z2 = gibbs.bernoulli(bridge.logits2(z1, beta), seed)
    bias1, bias2 = bridge.rbm.b1 - bridge.base1, bridge.rbm.b2 - bridge.base2
    field2 = bias2[..., None, :] + bridge.rbm.coupling2(z1)
    # E_target - E_base, which beta multiplies
    energies = -tf.reduce_sum(bias1[..., None, :] * z1, -1) - tf.reduce_sum(field2 * z2, -1)
    energies = tf.reshape(energies, tf.shape(state.log_weights))
    weights, values = tf.nn.softmax(state.log_weights, -1), tf.cast(energies, tf.float64)
    mean = tf.reduce_sum(weights * values, -1)
    return Row(
        log_z=state.log_z + log_mean_exp(state.log_weights),
        mean_energy=mean,
        energy_variance=tf.reduce_sum(weights * (values - mean[..., None]) ** 2, -1),
        ess=tf.ones_like(state.log_z),
        rho_t=mean_square_family(state.families, state.log_weights),
        num_families=num_distinct(state.families),
        resampled=tf.zeros_like(state.log_z, tf.int32),
        energies=energies,
        log_weights=state.log_weights + state.log_z[..., None],
    )


def anneal(
    bridge: Bridge,
    betas: np.ndarray,
    num_chains: int,
    seed: tf.Tensor,
    num_sweeps: int = 1,
    threshold: float = 0.5,
) -> Population:
    """One run along `betas` (from 0 to 1, [T]) inside a graph; C weighted samples of the target."""
    at = tf.constant(betas, tf.float32)
    state = begin(bridge, 1, num_chains, seeds.fold_in(seed, 0))

    def body(i: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        pair = tf.stack([at[i - 1], at[i]])
        return i + 1, step(bridge, state, pair, seeds.fold_in(seed, i), num_sweeps, threshold)[0]

    _, state = tf.while_loop(lambda i, _: i < len(betas), body, (tf.constant(1), state))
    return _pooled(bridge, state, seeds.fold_in(seed, len(betas)))


def run(
    bridge: Bridge,
    betas: np.ndarray | None = None,
    num_chains: int = 1000,
    num_runs: int = 20,
    seed: tf.Tensor | None = None,
    num_sweeps: int = 2,
    threshold: float = 0.9,
    resampling: str = "systematic",
    keep_energies: bool = False,
    progress_fn: Callable[[int], object] = lambda num_temperatures: None,
) -> Result:
    """Population annealing of one RBM or a batch [...] from scratch.

    Args:
      bridge: from the base to the target.
      betas: inverse temperatures from exactly 0 to exactly 1, [T]; default: `schedules.adaptive`
        from a pilot population of `num_chains`, with its defaults otherwise.
      num_chains: chains C of each run; `Result.warnings` tells when they are too few.
      num_runs: independent runs R, at least 2; the standard error has R - 1 degrees of freedom.
      seed: int32, shape [2]; default: that of 0.
      num_sweeps: Gibbs sweeps at each temperature, at least 1.
      threshold: a population is resampled when its effective size is under `threshold` C.
      resampling: one of `resampling.SCHEMES`.
      keep_energies: whether the trace keeps each chain's energy and weight (12 bytes for each of
        T R C chains), for `sampler/reweighting.py`.
      progress_fn: called with the number of temperatures just done, T - 1 in all.

    Raises:
      ValueError: for parameters that are not finite or do not fit, a schedule that does not rise
        from 0 to 1, counts below their least, an unknown scheme.
    """
    seed = seeds.make_seed(0) if seed is None else seed
    _check(bridge, num_chains, num_runs, num_sweeps, resampling)
    if betas is None:
        pilot_seed = seeds.fold_in(seed, -2)
        betas = schedules.adaptive(bridge, num_chains=num_chains, seed=pilot_seed)
    checks.check_betas(betas)
    betas = np.asarray(betas, np.float32)
    state, row = _begin(bridge, num_runs, num_chains, seed)
    rows = [_on_host(row, keep_energies)]
    for i in range(1, len(betas)):
        pair, scheme = tf.constant(betas[i - 1 : i + 1]), SCHEMES[resampling]
        state, row = _step(bridge, state, pair, seed, tf.constant(i), num_sweeps, threshold, scheme)
        rows.append(_on_host(row, keep_energies))
        progress_fn(1)
    fields = [np.stack(field) for field in zip(*rows, strict=True)]
    trace = Trace(betas.astype(np.float64), *(fields if keep_energies else [*fields, None, None]))
    log_z, stderr = population_result.log_mean(trace.log_z[-1])
    stderr = np.hypot(stderr, annealing.rounding(bridge, _merged(state.z1), log_z))
    return Result(log_z, stderr, trace.log_z[-1], _pooled(bridge, state, seed), trace)


def _merged(x: tf.Tensor) -> tf.Tensor:
    """[..., R, C, n] as [..., R C, n]."""
    return tf.reshape(x, [*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1]])


def _pooled(bridge: Bridge, state: State, seed: tf.Tensor) -> Population:
    """All runs as one population of the target, each with weight proportional to its Z."""
    z1 = _merged(state.z1)
    z2 = gibbs.bernoulli(bridge.logits2(z1, tf.constant(1.0)), seeds.fold_in(seed, -1))
    log_weights = tf.reshape(state.log_weights + state.log_z[..., None], z1.shape[:-1])
    return Population(z1, z2, log_weights, tf.zeros(z1.shape[:-2], tf.float64))


@tf.function(jit_compile=True, autograph=False)
def _begin(bridge: Bridge, num_runs: int, num_chains: int, seed: tf.Tensor) -> tuple[State, Row]:
    state = begin(bridge, num_runs, num_chains, seeds.fold_in(seed, 0, 0))
    return state, measure(bridge, state, tf.constant(0.0), seeds.fold_in(seed, 0, 1))


@tf.function(jit_compile=True, autograph=False)
def _step(
    bridge: Bridge, state: State, betas: tf.Tensor, seed: tf.Tensor, i: tf.Tensor, *how
) -> tuple:
    return step(bridge, state, betas, seeds.fold_in(seed, i), *how)


def _on_host(row: Row, keep_energies: bool) -> list[np.ndarray]:
    return [t.numpy() for t in (row if keep_energies else row[:-2])]


def _check(
    bridge: Bridge, num_chains: int, num_runs: int, num_sweeps: int, resampling: str
) -> None:
    checks.check_rbm(bridge.rbm, "bridge.rbm")
    checks.check_count(num_chains, "num_chains", 2)
    checks.check_count(num_runs, "num_runs", 2)
    checks.check_count(num_sweeps, "num_sweeps")
    if resampling not in SCHEMES:
        raise ValueError(f"resampling: found {resampling!r}; accepted: {', '.join(SCHEMES)}")
