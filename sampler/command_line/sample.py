"""The methods of `python -m sampler sample`, by name in `METHODS`.

Each puts z1 [..., S, n1] and z2 [..., S, n2] among the values of its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from sampler import exact, gibbs, seeds
from sampler.annealing.bridge import Bridge
from sampler.command_line import tasks
from sampler.command_line.log_z import anneal_populations
from sampler.command_line.tasks import Answer, Task
from sampler.tempering import parallel_tempering
from sampler.weights import resampling as resampling_module

MIXED = 1.05
"""R-hat above which chains are said to disagree."""

_RECORDS = 20
_TUNING = 12


def by_enumeration(task: Task, num_samples: int) -> Answer:
    """Independent samples, exactly distributed."""

    def method(task: Task) -> Answer:
        return Answer(_states(*exact.sample(task.rbm, num_samples, task.seed)))

    return tasks.in_groups(task, num_samples, method)


def by_gibbs(task: Task, num_samples: int, num_sweeps: int) -> Answer:
    """The last states of independent chains, and R-hat over the second half of their sweeps."""

    def method(task: Task) -> Answer:
        task.bar.reset(total=num_sweeps)
        # starts spread over all states, so that chains which do not mix differ
        anywhere = task.rbm._replace(b2=tf.zeros_like(task.rbm.b2))
        z2 = gibbs.initial(anywhere, num_samples, seeds.fold_in(task.seed, 0))
        records = min(_RECORDS, num_sweeps)
        trace = []
        for i, part in enumerate(np.array_split(np.arange(num_sweeps), records)):
            z1, z2 = _sweep(task.rbm, z2, len(part), seeds.fold_in(task.seed, 1, i))
            trace.append((task.rbm.energy(z1, z2), tf.reduce_sum(z1, -1) + tf.reduce_sum(z2, -1)))
            task.bar.update(len(part))
        values, warnings = _agreement(np.array(trace[records // 2 :]))
        return Answer(_states(z1, z2) | values, warnings)

    return tasks.in_groups(task, num_samples, method)


def by_parallel_tempering(
    task: Task,
    num_samples: int,
    num_chains: int,
    num_sweeps: int,
    num_temperatures: int,
    base: str,
    schedule: str,
) -> Answer:
    """Equally spaced states of the target's replica, from independent ladders."""
    ladders = min(num_chains, num_samples)
    kept = -(-num_samples // ladders)
    if kept > num_sweeps:
        raise ValueError(
            f"--num_sweeps: found {num_sweeps}; accepted: at least {kept}, for --num_samples of "
            f"{num_samples} from {ladders} chains"
        )

    def method(task: Task) -> Answer:
        bridge = tasks.bridge_from(task.rbm, base)
        betas = _ladder(task, bridge, schedule, num_temperatures)
        thinning = num_sweeps // kept
        task.bar.reset(total=num_sweeps // 5 + kept * thinning)
        result = parallel_tempering.run(
            bridge,
            betas,
            ladders,
            kept * thinning,
            task.seed,
            burn_in=num_sweeps // 5,
            thinning=thinning,
            progress_fn=task.bar.update,
        )
        # [..., S, C, n] to one axis of samples, of which a few may be too many
        z1, z2 = (
            np.reshape(z, [*z.shape[:-3], kept * ladders, z.shape[-1]])[..., :num_samples, :]
            for z in (result.z1, result.z2)
        )
        info, rates = result.info, np.asarray(result.info.swap_rates)
        values = {
            "log_z": info.log_z,
            "log_z_stderr": info.log_z_stderr,
            "swap_rate": rates.min(-1),
            "round_trips": info.round_trips,
        }
        pictures = {"swaps": {"betas": betas, "rates": info.lowest()}}
        return Answer(_states(z1, z2) | values, info.warnings(), pictures)

    return tasks.in_groups(task, ladders * max(num_temperatures, kept), method)


def _ladder(task: Task, bridge: Bridge, schedule: str, num_temperatures: int) -> np.ndarray:
    if schedule != "adaptive":
        return tasks.schedule_of(task, bridge, schedule, num_temperatures)
    task.bar.reset(total=_TUNING)
    seed = seeds.fold_in(task.seed, -1)
    return parallel_tempering.tune_schedule(
        bridge, seed, max_rounds=_TUNING, progress_fn=task.bar.update
    )


def by_population_annealing(
    task: Task, num_samples: int, num_chains: int, num_runs: int, **flags: Any
) -> Answer:
    """Chains of the final populations, drawn by their weights."""
    total = num_chains * num_runs
    if num_samples > total:
        raise ValueError(
            f"--num_samples: found {num_samples}; accepted: at most --num_chains times --num_runs, "
            f"{total}"
        )

    def method(task: Task) -> Answer:
        result = anneal_populations(task, num_chains, num_runs, **flags)
        parents = resampling_module.systematic(
            result.population.log_weights, seeds.fold_in(task.seed, -2)
        )
        # systematic resampling has put copies and relatives side by side
        order = tf.argsort(seeds.uniform(seeds.fold_in(task.seed, -3), tf.shape(parents)), -1)
        chosen = tf.gather(parents, order[..., :num_samples], axis=-1, batch_dims=parents.ndim - 1)
        z1, z2 = (
            tf.gather(z, chosen, axis=-2, batch_dims=parents.ndim - 1)
            for z in (result.population.z1, result.population.z2)
        )
        values = {"log_z": result.log_z, "log_z_stderr": result.stderr, "rho_t": result.rho_t}
        return Answer(_states(z1, z2) | values, result.warnings())

    return tasks.in_groups(task, total, method)


@tf.function(jit_compile=True, autograph=False)
def _sweep(rbm: Any, z2: tf.Tensor, num_sweeps: int, seed: tf.Tensor) -> tuple:
    return gibbs.run(rbm, z2, num_sweeps, seed)


def _agreement(trace: np.ndarray) -> tuple[dict[str, np.ndarray], list[str]]:
    """The larger R-hat of energy and magnetisation, trace [S, 2, ..., C], and a warning by it."""
    if len(trace) < 4 or trace.shape[-1] < 2:
        return {}, ["too few sweeps or chains to tell whether chains agree"]
    from sampler import diagnostics  # loads TensorFlow Probability, which takes seconds

    r_hat = np.max(diagnostics.r_hat(np.moveaxis(trace, -1, 1)), 0)
    found = f"chains disagree: R-hat {np.max(r_hat):.3g}, trusted up to {MIXED}"
    return {"r_hat": r_hat}, [f"{found} (more sweeps, or --method=pt)"] * bool(
        np.any(r_hat > MIXED)
    )


def _states(z1: tf.Tensor, z2: tf.Tensor) -> dict[str, np.ndarray]:
    return {"z1": np.asarray(z1, np.uint8), "z2": np.asarray(z2, np.uint8)}


METHODS: dict[str, Callable[..., Answer]] = {
    "exact": by_enumeration,
    "gibbs": by_gibbs,
    "pt": by_parallel_tempering,
    "pa": by_population_annealing,
}
"""By name; each takes a `Task`, `num_samples` and the flags that `options.SAMPLE` lists for it."""
