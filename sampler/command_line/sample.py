"""The methods of `python -m sampler sample`, by name in `METHODS`.

Each puts z1 [..., S, n1] and z2 [..., S, n2] among the values of its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from sampler import exact, gibbs, seeds
from sampler import resampling as resampling_module
from sampler.command_line import tasks
from sampler.command_line.log_z import anneal_populations
from sampler.command_line.tasks import Answer, Task

_RECORDS = 20


def by_enumeration(task: Task, num_samples: int) -> Answer:
    """Independent samples, exactly distributed."""

    def method(task: Task) -> Answer:
        return Answer(_states(*exact.sample(task.rbm, num_samples, task.seed)))

    return tasks.in_groups(task, num_samples, method)


def by_gibbs(task: Task, num_samples: int, num_sweeps: int) -> Answer:
    """The last states of independent chains, and R-hat of their energies over the second half."""

    def method(task: Task) -> Answer:
        task.bar.reset(total=num_sweeps)
        z2 = gibbs.initial(task.rbm, num_samples, seeds.fold_in(task.seed, 0))
        records = min(_RECORDS, num_sweeps)
        energies = []
        for i, part in enumerate(np.array_split(np.arange(num_sweeps), records)):
            z1, z2 = _sweep(task.rbm, z2, len(part), seeds.fold_in(task.seed, 1, i))
            energies.append(task.rbm.energy(z1, z2))
            task.bar.update(len(part))
        return Answer(_states(z1, z2) | _r_hat(energies[records // 2 :]))

    return tasks.in_groups(task, num_samples, method)


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


def _states(z1: tf.Tensor, z2: tf.Tensor) -> dict[str, np.ndarray]:
    return {"z1": np.asarray(z1, np.uint8), "z2": np.asarray(z2, np.uint8)}


METHODS: dict[str, Callable[..., Answer]] = {
    "exact": by_enumeration,
    "gibbs": by_gibbs,
    "pa": by_population_annealing,
}
"""By name; each takes a `Task`, `num_samples` and the flags that `options.SAMPLE` lists for it."""
