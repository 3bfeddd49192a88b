"""What the commands' methods are given and answer, and how a large batch is split among them."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from sampler import exact, seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import schedules
from sampler.annealing.bridge import Bridge
from sampler.evidence import bases
from sampler.exact import elimination
from sampler.machines.graph import GraphMachine
from sampler.machines.machine import AnyMachine, State
from sampler.populations import population_annealing

CHAINS_AT_ONCE = 50_000
"""Most chains of a group of machines, which bounds memory; a single machine may have more."""

_ESTIMATE = ("log_z", "log_z_stderr")

BASES: dict[str, Callable[[AnyMachine], Bridge]] = {
    "uniform": bridges.from_uniform,
    "fields": bridges.from_fields,
    "biases": bridges.from_fields,
    "mean_field": bases.from_best_mode,
}
"""Beside `auto`, which takes the best of several by short runs."""


class Task(NamedTuple):
    """What every method is given.

    Attributes:
      machine: of any batch shape [...].
      seed: int32, [2].
      bar: of progress; methods set its total.
    """

    machine: AnyMachine
    seed: tf.Tensor
    bar: tqdm


class Answer(NamedTuple):
    """What a method found.

    Attributes:
      values: by key of the JSON line, arrays of the machine's batch shape [...].
      warnings: why not to believe it; empty when nothing is known against it.
      state: samples, if these were asked for: of each block, [..., S, n_k].
      result: what pictures are drawn of; of a batch, that of the group with the smallest ESS.
      first: the number of that group's first machine in the flattened batch.
    """

    values: dict[str, Any]
    warnings: list[str] = []
    state: State = ()
    result: Any = None
    first: int = 0


def exactly(machine: AnyMachine) -> Any:
    """The module of exact answers for a machine: elimination for graphs too large to enumerate."""
    listed = sum(machine.sizes) - max(machine.sizes)
    large = isinstance(machine, GraphMachine) and listed > exact.MAX_UNITS
    return elimination if large else exact


class Start(NamedTuple):
    """Where annealing starts and how it goes on.

    Attributes:
      bridge: from the base to the target.
      betas: its schedule, [T].
      base: its base's name, of each machine, [...].
      choice: what several bases said by short runs.
    """

    bridge: Bridge
    betas: np.ndarray
    base: np.ndarray
    choice: bases.Choice

    def evidence(self, answer: Answer) -> Answer:
        """An answer with what the bases said of log Z, and how that contradicts it."""
        if "log_z_stderr" not in answer.values:
            return answer
        doubts = self.choice.doubts(*(np.asarray(answer.values[key]) for key in _ESTIMATE))
        said: dict[str, Any] = {"base": self.base}
        if not self.bridge.machine.batch_shape.rank:
            said["bases"] = self.choice.said()
        return answer._replace(values=answer.values | said, warnings=answer.warnings + doubts)


def start(task: Task, base: str, schedule: str, num_temperatures: int) -> Start:
    """From the base of that name, and its schedule: an adaptive one by a pilot run."""
    begin = start_from(task, base)
    if schedule != "adaptive":
        return begin._replace(betas=getattr(schedules, schedule)(num_temperatures))
    task.bar.reset(total=1)
    task.bar.set_postfix_str("pilot run")
    seed = seeds.fold_in(task.seed, -1)
    betas = schedules.adaptive(begin.bridge, seed=seed, progress_fn=task.bar.update)
    return begin._replace(betas=betas)


def start_from(task: Task, base: str) -> Start:
    """From the base of that name, with no temperatures but the ends."""
    task.bar.set_postfix_str("trying bases")
    choice = bases.choose(task.machine, seeds.fold_in(task.seed, -5))
    task.bar.set_postfix_str("")
    ends, names = schedules.linear(2), np.array(choice.names)[choice.chosen]
    if base == "auto":
        return Start(choice.bridge, ends, names, choice)
    return Start(BASES[base](task.machine), ends, np.full(names.shape, base), choice)


def anneal_populations(
    task: Task, base: str, schedule: str, num_temperatures: int, **flags: Any
) -> tuple[population_annealing.Result, Start]:
    """Population annealing of one group, as the flags ask."""
    begin = start(task, base, schedule, num_temperatures)
    task.bar.reset(total=len(begin.betas) - 1)
    flags |= {"seed": task.seed, "progress_fn": task.bar.update}
    return population_annealing.run(begin.bridge, begin.betas, **flags), begin


def in_groups(task: Task, num_chains: int, method: Callable[[Task], Answer]) -> Answer:
    """The method's answer for a batch, put together from its answers for groups of machines.

    Args:
      task: of any batch shape; the method's tasks have one batch dimension, or none as this one.
      num_chains: of each machine, of all runs together.
      method: answers for a group.
    """
    batch = task.machine.batch_shape
    if not batch.rank:
        return method(task)
    flat = task.machine.map(lambda t: tf.reshape(t, [-1, *t.shape[batch.rank :]]))
    count, size = batch.num_elements(), max(1, CHAINS_AT_ONCE // num_chains)
    answers = []
    for first in range(0, count, size):
        group = flat.map(operator.itemgetter(slice(first, first + size)))
        task.bar.set_postfix_str(f"machines {first} to {min(first + size, count) - 1} of {count}")
        answer = method(task._replace(machine=group, seed=seeds.fold_in(task.seed, first)))
        where = f"machines from {first}: " if size < count else ""
        warnings = [where + text for text in answer.warnings]
        answers.append(answer._replace(warnings=warnings, first=first))
    return _joined(answers, batch)


def _joined(answers: list[Answer], batch: tf.TensorShape) -> Answer:
    """One answer for a batch of shape `batch` from those of its parts."""

    def join(parts: Any) -> np.ndarray:
        whole = np.concatenate([np.asarray(part) for part in parts])
        return whole.reshape([*batch, *whole.shape[1:]])

    worst = min(answers, key=lambda answer: np.min(getattr(answer.result, "ess", 0)))
    return worst._replace(
        values={key: join(answer.values[key] for answer in answers) for key in worst.values},
        warnings=[text for answer in answers for text in answer.warnings],
        state=tuple(join(x) for x in zip(*(answer.state for answer in answers), strict=True)),
    )
