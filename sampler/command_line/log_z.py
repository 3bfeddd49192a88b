"""The methods of `python -m sampler log_z`, by name in `METHODS`."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from sampler import seeds
from sampler.annealing import ais
from sampler.command_line import tasks
from sampler.command_line.tasks import Answer, Task
from sampler.evidence import auto


def by_whatever_fits(task: Task, tolerance: float, max_seconds: float) -> Answer:
    """log Z exactly where that is cheap, else by annealing from many bases: `evidence.auto`."""
    batch = task.machine.batch_shape
    flat = task.machine.map(lambda t: tf.reshape(t, [-1, *t.shape[batch.rank :]]))
    task.bar.reset()  # how many temperatures it will take is not known
    found = [
        auto.log_z(
            flat.map(operator.itemgetter(i)),
            seeds.fold_in(task.seed, i),
            tolerance,
            max_seconds=max_seconds,
            progress_fn=task.bar.update,
        )
        for i in range(batch.num_elements())
    ]
    fields = ("log_z", "stderr", "lower", "upper", "ess", "bound")
    values = {name: np.reshape([getattr(one, name) for one in found], batch) for name in fields}
    named = {f"log_z_{name}": values[name] for name in fields[1:4]}
    others = [{"method": one.method, "bases": one.bases} for one in found]
    texts: dict[str, Any] = {key: [one[key] for one in others] for key in ("method", "bases")}
    texts = texts if batch.rank else others[0]
    where = [f"machine {i}: " if batch.rank else "" for i in range(len(found))]
    warnings = [at + text for at, one in zip(where, found, strict=True) for text in one.found]
    bound = {"log_z_bound": values["bound"], "ess": values["ess"]}
    return Answer({"log_z": values["log_z"], **named, **bound, **texts}, warnings)


def by_enumeration(task: Task) -> Answer:
    """log Z, exactly, by enumeration; of large sparse graphs by elimination."""
    return Answer({"log_z": tasks.exactly(task.machine).log_z(task.machine)})


def by_ais(task: Task, num_chains: int, **flags: Any) -> Answer:
    """log Z by annealed importance sampling, low on average."""
    begin = tasks.start(task, **flags)
    task.bar.reset(total=len(begin.betas) - 1)
    found = ais.run(begin.bridge, begin.betas, num_chains, task.seed, task.bar.update)
    return begin.evidence(_answer(found))


def by_bracket(
    task: Task,
    num_chains: int,
    max_temperatures: int,
    tolerance: float,
    max_seconds: float,
    **flags: Any,
) -> Answer:
    """log Z between forward and backward AIS, temperatures doubled until they are close."""
    begin = tasks.start(task, **flags)
    task.bar.reset()  # how many temperatures it will take is not known
    found, used = ais.log_z_within(
        begin.bridge,
        tolerance,
        begin.betas,
        num_chains,
        task.seed,
        max_temperatures=max_temperatures,
        progress_fn=task.bar.update,
        max_seconds=max_seconds,
    )
    answer = _answer(found, {"log_z_lower": found.lower, "log_z_upper": found.upper})
    wide = (
        f"the gap is {np.max(found.upper - found.lower):.3g} nats with {len(used)} temperatures, "
        f"more than --tolerance={tolerance:g}"
    )
    wide_one = [wide] * (not np.all(found.tight))
    return begin.evidence(answer._replace(warnings=wide_one + answer.warnings))


def by_population_annealing(task: Task, num_chains: int, num_runs: int, **flags: Any) -> Answer:
    """log Z by independent populations; `ess` is the smallest that one had on its way."""
    flags |= {"num_chains": num_chains, "num_runs": num_runs}

    def method(group: Task) -> Answer:
        found, begin = tasks.anneal_populations(group, **flags)
        return begin.evidence(_answer(found))

    return tasks.in_groups(task, num_chains * num_runs, method)


def _answer(found: Any, sides: dict[str, Any] | None = None) -> Answer:
    values = {"log_z": found.log_z, "log_z_stderr": found.stderr, **(sides or {})}
    return Answer({**values, "ess": found.ess}, found.warnings(), result=found)


METHODS: dict[str, Callable[..., Answer]] = {
    "auto": by_whatever_fits,
    "exact": by_enumeration,
    "ais": by_ais,
    "bracket": by_bracket,
    "pa": by_population_annealing,
}
"""By name; each takes a `Task` and the flags that `options.LOG_Z` lists for it."""
