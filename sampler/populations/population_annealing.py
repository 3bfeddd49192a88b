"""Population annealing (Hukushima and Iba 2003; Machta 2010; Weigel et al. 2021).

`run` anneals populations from scratch, from exact samples at beta = 0 to the target at beta = 1:
several independent runs of one or many RBMs at once, of which the mean estimates Z without bias
(for a schedule fixed in advance) and the spread tells the error. `update`, from
`populations/population.py`, is the same move along the parameters of a training.

The last block is summed out in the weights, which lowers their variance for free.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import checks, gibbs, seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import chains, schedules
from sampler.annealing.bridge import Bridge
from sampler.io.errors import expect
from sampler.machines.machine import AnyMachine, State
from sampler.populations import result as results
from sampler.populations.population import (
    RESAMPLE_BELOW,
    mean_square_family,
    num_distinct,
    resample,
)
from sampler.populations.population import Info as Info
from sampler.populations.population import Population as Population
from sampler.populations.population import of_fields as of_fields
from sampler.populations.population import update as update
from sampler.populations.result import Result as Result
from sampler.populations.result import Trace as Trace
from sampler.weights.estimates import Samples
from sampler.weights.resampling import SCHEMES, Scheme, log_mean_exp, systematic

NUM_TEMPERATURES = 301
"""Of the annealing that `initial` does."""


class Runs(NamedTuple):
    """R independent populations of each machine on their way along a bridge.

    Attributes:
      state: of the kept blocks, [..., R, C, n_k].
      families: each chain's ancestor at the start, int32, [..., R, C].
      log_weights: float64, [..., R, C]; since the last resampling.
      log_z: float64, [..., R]; up to the last resampling.
    """

    state: State
    families: tf.Tensor
    log_weights: tf.Tensor
    log_z: tf.Tensor


def begin(bridge: Bridge, num_runs: int, num_chains: int, seed: tf.Tensor) -> Runs:
    """Exact samples of the base: R populations of C equal weights."""
    state = bridge.initial(num_runs * num_chains, seed)
    shape = [*state[0].shape[:-2], num_runs, num_chains]
    families = tf.broadcast_to(tf.range(num_chains), shape)
    log_z = bridge.log_z_base()[..., None] + tf.zeros([num_runs], tf.float64)
    return Runs(gibbs.apart(state, shape[-2:]), families, tf.zeros(shape, tf.float64), log_z)


def step(
    bridge: Bridge,
    runs: Runs,
    betas: tf.Tensor,
    seed: tf.Tensor,
    num_sweeps: int | tf.Tensor,
    threshold: float | tf.Tensor,
    scheme: Scheme = systematic,
) -> tuple[Runs, Trace]:
    """From betas[0] to betas[1]: reweight, resample where needed, sweep, measure."""
    beta, new_beta, shape = betas[0], betas[1], runs.families.shape
    change = bridge.log_weight(gibbs.merged(runs.state), beta, new_beta)
    log_weights = runs.log_weights + tf.reshape(change, shape)
    states = (*runs.state, runs.families)
    kept = resample(states, log_weights, seeds.fold_in(seed, 0), threshold, scheme)

    def sweep(i: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        return i + 1, bridge.sweep(state, new_beta, seeds.fold_in(seed, 1, i))

    merged = gibbs.merged(kept.states[:-1])
    state = tf.while_loop(lambda i, _: i < num_sweeps, sweep, (0, merged))[1]
    runs = Runs(
        gibbs.apart(state, shape[-2:]),
        kept.states[-1],
        kept.log_weights,
        runs.log_z + kept.log_mean,
    )
    row = measure(bridge, runs, new_beta, seeds.fold_in(seed, 2))
    return runs, row._replace(ess=kept.ess, resampled=tf.cast(kept.resampled, tf.int32))


def measure(bridge: Bridge, runs: Runs, beta: tf.Tensor, seed: tf.Tensor) -> Trace:
    """One temperature's part of the trace, without its first axis, as if after no resampling."""
    state = bridge.complete(gibbs.merged(runs.state), beta, seed)
    energies = tf.reshape(bridge.conjugate_energy(state), runs.families.shape)
    weights, values = tf.nn.softmax(runs.log_weights, -1), tf.cast(energies, tf.float64)
    mean = tf.reduce_sum(weights * values, -1)
    return Trace(
        betas=beta,
        log_z=runs.log_z + log_mean_exp(runs.log_weights),
        mean_energy=mean,
        energy_variance=tf.reduce_sum(weights * (values - mean[..., None]) ** 2, -1),
        ess=tf.fill(runs.log_z.shape, tf.constant(runs.families.shape[-1], tf.float64)),
        rho_t=mean_square_family(runs.families, runs.log_weights),
        num_families=num_distinct(runs.families),
        resampled=tf.zeros_like(runs.log_z, tf.int32),
        energies=energies,
        log_weights=runs.log_weights + runs.log_z[..., None],
    )


def initial(machine: AnyMachine, num_chains: int, seed: int | tf.Tensor = 0) -> Population:
    """Samples of a machine of any batch shape: annealed from the uniform distribution.

    Where nothing is coupled they are exact.
    """
    machine, seed = machine.cast(), seeds.as_seed(seed)
    if not np.any(machine.rms_coupling()):
        return of_fields(machine, num_chains, seed)
    found = _from_uniform(machine, num_chains, seed)
    log_z = log_mean_exp(found.log_weights)
    return Population(found.state, found.log_weights - log_z[..., None], log_z)


def anneal(
    bridge: Bridge,
    betas: np.ndarray,
    num_chains: int,
    seed: tf.Tensor,
    num_sweeps: int = 1,
    threshold: float = RESAMPLE_BELOW,
) -> Samples:
    """One run along `betas` (from 0 to 1, [T]) inside a graph; C weighted samples of the target."""
    at = tf.constant(betas, tf.float32)
    runs = begin(bridge, 1, num_chains, seeds.fold_in(seed, 0))

    def body(i: tf.Tensor, runs: Runs) -> tuple[tf.Tensor, Runs]:
        pair = tf.stack([at[i - 1], at[i]])
        return i + 1, step(bridge, runs, pair, seeds.fold_in(seed, i), num_sweeps, threshold)[0]

    _, runs = tf.while_loop(lambda i, _: i < len(betas), body, (tf.constant(1), runs))
    return _pooled(bridge, runs, seeds.fold_in(seed, len(betas)))


def run(
    bridge: Bridge,
    betas: np.ndarray | None = None,
    num_chains: int = 1000,
    num_runs: int = 20,
    seed: int | tf.Tensor = 0,
    num_sweeps: int = 2,
    threshold: float = RESAMPLE_BELOW,
    resampling: str = "systematic",
    keep_energies: bool = False,
    progress_fn: Callable[[int], object] = lambda num_temperatures: None,
) -> Result:
    """Population annealing of one machine or a batch [...] from scratch.

    Args:
      bridge: from the base to the target.
      betas: inverse temperatures from 0 to 1, [T]; default: `schedules.adaptive` from a pilot
        population of `num_chains`.
      num_chains: chains C of each run; `Result.warnings` tells when they are too few.
      num_runs: independent runs R, at least 2; the standard error has R - 1 degrees of freedom.
      num_sweeps: Gibbs sweeps at each temperature, at least 1.
      threshold: a population is resampled when its effective size is under `threshold` C.
      resampling: one of `resampling.SCHEMES`.
      keep_energies: whether the trace keeps each chain's energy and weight (12 bytes for each of
        T R C chains), for `populations/reweighting.py`.
      progress_fn: called with the number of temperatures just done, T - 1 in all.

    Raises:
      ValueError: malformed parameters, schedule or counts, an unknown scheme.
    """
    seed = seeds.as_seed(seed)
    checks.check_machine(bridge.machine, "bridge.machine")
    checks.check_count(num_chains, "num_chains", 2)
    checks.check_count(num_runs, "num_runs", 2)
    checks.check_count(num_sweeps, "num_sweeps")
    expect(resampling in SCHEMES, "resampling", repr(resampling), ", ".join(SCHEMES))
    if betas is None:
        pilot = seeds.fold_in(seed, -2)
        betas = schedules.adaptive(bridge, num_chains=num_chains, seed=pilot)
    checks.check_betas(betas)
    betas = np.asarray(betas, np.float32)
    runs, row = _begin(bridge, num_runs, num_chains, seed)
    parts = Trace._fields if keep_energies else Trace._fields[:-2]
    rows = [[getattr(row, name).numpy() for name in parts]]
    for i in range(1, len(betas)):
        pair, scheme = tf.constant(betas[i - 1 : i + 1]), SCHEMES[resampling]
        runs, row = _step(bridge, runs, pair, seed, tf.constant(i), num_sweeps, threshold, scheme)
        rows.append([getattr(row, name).numpy() for name in parts])
        progress_fn(1)
    trace = Trace(*(np.stack(field) for field in zip(*rows, strict=True)))
    trace = trace._replace(betas=betas.astype(np.float64))
    log_z, stderr = results.log_mean(trace.log_z[-1])
    stderr = np.hypot(stderr, chains.rounding(bridge, gibbs.merged(runs.state), log_z))
    samples = _pooled(bridge, runs, seed)
    return Result(log_z, stderr, trace.log_z[-1], samples, trace, bridge.machine)


def _pooled(bridge: Bridge, runs: Runs, seed: tf.Tensor) -> Samples:
    """All runs as one population of the target, each with weight proportional to its Z."""
    state = bridge.complete(gibbs.merged(runs.state), tf.constant(1.0), seeds.fold_in(seed, -1))
    log_weights = runs.log_weights + runs.log_z[..., None]
    return Samples(state, tf.reshape(log_weights, state[0].shape[:-1]))


@tf.function(jit_compile=True, autograph=False)
def _from_uniform(machine: AnyMachine, num_chains: int, seed: tf.Tensor) -> Samples:
    betas = schedules.linear(NUM_TEMPERATURES)
    return anneal(bridges.from_uniform(machine), betas, num_chains, seed)


@tf.function(jit_compile=True, autograph=False)
def _begin(bridge: Bridge, num_runs: int, num_chains: int, seed: tf.Tensor) -> tuple[Runs, Trace]:
    runs = begin(bridge, num_runs, num_chains, seeds.fold_in(seed, 0, 0))
    return runs, measure(bridge, runs, tf.constant(0.0), seeds.fold_in(seed, 0, 1))


@tf.function(jit_compile=True, autograph=False)
def _step(
    bridge: Bridge, runs: Runs, betas: tf.Tensor, seed: tf.Tensor, i: tf.Tensor, *how
) -> tuple:
    return step(bridge, runs, betas, seeds.fold_in(seed, i), *how)
