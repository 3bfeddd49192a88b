"""The methods of `python -m sampler log_z`, by name in `METHODS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sampler import exact, population_annealing
from sampler.command_line import tasks
from sampler.command_line.tasks import Answer, Task
from sampler.population_annealing import Trace


def by_enumeration(task: Task) -> Answer:
    """log Z, exactly."""
    return Answer({"log_z": exact.log_z(task.rbm)})


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
    path = tasks.annealing_path(task.rbm, base)
    betas = tasks.schedule_of(task, path, schedule, num_temperatures)
    task.bar.reset(total=len(betas) - 1)
    return population_annealing.run(
        path,
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

    def one(field: np.ndarray) -> np.ndarray:
        return field[(slice(None), *member)]

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
    "pa": by_population_annealing,
}
"""By name; each takes a `Task` and the flags that `options.LOG_Z` lists for it."""
