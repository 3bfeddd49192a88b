"""The methods of `python -m sampler log_z`, by name in `METHODS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from sampler import exact
from sampler.annealing import ais
from sampler.command_line import tasks
from sampler.command_line.tasks import Answer, Task
from sampler.populations import population_annealing
from sampler.populations.population_annealing import Trace


def by_enumeration(task: Task) -> Answer:
    """log Z, exactly."""
    return Answer({"log_z": exact.log_z(task.rbm)})


def by_ais(task: Task, num_chains: int, num_temperatures: int, base: str, schedule: str) -> Answer:
    """log Z by annealed importance sampling, low on average."""
    bridge = tasks.bridge_from(task.rbm, base)
    betas = tasks.schedule_of(task, bridge, schedule, num_temperatures)
    task.bar.reset(total=len(betas) - 1)
    run = ais.run(bridge, betas, num_chains, task.seed, task.bar.update)
    estimate, ess = run.estimate, np.asarray(run.estimate.ess)
    member = tasks.worst_of(ess)
    log_weights = np.asarray(run.state.log_weights)[member]
    pictures = {
        "weights": {"log_weights": log_weights, "ess": ess[member]},
        "ess": {
            "betas": run.trace.betas,
            "ess": np.asarray(run.trace.ess)[member] / num_chains,
        },
    }
    values = {"log_z": estimate.log_z, "log_z_stderr": estimate.stderr, "ess": ess}
    return Answer(values, estimate.warnings(), pictures, member)


def by_bracket(
    task: Task,
    num_chains: int,
    num_temperatures: int,
    max_temperatures: int,
    tolerance: float,
    base: str,
    schedule: str,
) -> Answer:
    """log Z between forward and backward AIS, temperatures doubled until they are close."""
    bridge = tasks.bridge_from(task.rbm, base)
    betas = tasks.schedule_of(task, bridge, schedule, num_temperatures)
    task.bar.reset()  # how many temperatures it will take is not known
    found, used = ais.log_z_within(
        bridge,
        tolerance,
        betas,
        num_chains,
        task.seed,
        max_temperatures=max_temperatures,
        progress_fn=task.bar.update,
    )
    values = {
        "log_z": found.forward.log_z,
        "log_z_stderr": found.forward.stderr,
        "log_z_lower": found.lower,
        "log_z_upper": found.upper,
        "ess": tf.minimum(found.forward.ess, found.backward.ess),
    }
    gap = np.max(found.upper - found.lower)
    wide = (
        f"the gap is {gap:.3g} nats with {len(used)} temperatures, "
        f"more than --tolerance={tolerance:g}"
    )
    warnings = [wide] * (not np.all(found.tight)) + found.warnings()
    return Answer(values, warnings)


def by_population_annealing(task: Task, num_chains: int, num_runs: int, **flags: Any) -> Answer:
    """log Z by independent populations; `ess` is the smallest that one had on its way."""

    def method(task: Task) -> Answer:
        result = anneal_populations(task, num_chains, num_runs, **flags)
        values = {
            "log_z": result.log_z,
            "log_z_stderr": result.stderr,
            "ess": result.ess * num_chains,
        }
        member = tasks.worst_of(result.ess)
        pictures = _pictures_of(result.trace, member) if task.pictures else {}
        return Answer(values, result.warnings(), pictures, member)

    return tasks.in_groups(task, num_chains * num_runs, method)


def anneal_populations(
    task: Task,
    num_chains: int,
    num_runs: int,
    num_temperatures: int,
    num_sweeps: int,
    resampling: str,
    base: str,
    schedule: str,
) -> population_annealing.Result:
    """Population annealing of one group, as the flags ask."""
    bridge = tasks.bridge_from(task.rbm, base)
    betas = tasks.schedule_of(task, bridge, schedule, num_temperatures)
    task.bar.reset(total=len(betas) - 1)
    return population_annealing.run(
        bridge,
        betas,
        num_chains,
        num_runs,
        task.seed,
        num_sweeps=num_sweeps,
        resampling=resampling,
        keep_energies=task.pictures,
        progress_fn=task.bar.update,
    )


def _pictures_of(trace: Trace, member: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    """Family and energy curves of one RBM of the batch, averaged over its runs."""

    def one(field: Any) -> np.ndarray:
        return np.moveaxis(field, 0, len(member))[member]

    energies, log_weights = one(trace.energies), one(trace.log_weights)  # [T, R, C]
    weights = np.exp(log_weights - log_weights.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mean = one(trace.mean_energy)
    variance = (weights * (energies - mean[..., None]) ** 2).sum(-1)
    return {
        "families": {
            "betas": trace.betas,
            "ess": one(trace.ess).mean(-1),
            "rho_t": one(trace.rho_t).mean(-1),
            "unique": one(trace.num_families).mean(-1),
            "size": energies.shape[-1],
        },
        "energy": {"betas": trace.betas, "mean": mean.mean(-1), "variance": variance.mean(-1)},
    }


METHODS: dict[str, Callable[..., Answer]] = {
    "exact": by_enumeration,
    "ais": by_ais,
    "bracket": by_bracket,
    "pa": by_population_annealing,
}
"""By name; each takes a `Task` and the flags that `options.LOG_Z` lists for it."""
