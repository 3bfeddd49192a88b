"""What the commands' methods are given and answer, and how a large batch is split among them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from sampler import seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import schedules
from sampler.annealing.bridge import Bridge
from sampler.machines.rbm import RBM

CHAINS_AT_ONCE = 50_000
"""Most chains of a group of RBMs, which bounds memory; a single RBM may have more."""

BASES: dict[str, Callable[[RBM], Bridge]] = {
    "uniform": bridges.from_uniform,
    "biases": bridges.from_biases,
}


class Task(NamedTuple):
    """What every method is given.

    Attributes:
      rbm: of any batch shape [...].
      seed: int32, [2].
      bar: of progress; methods set its total.
      pictures: whether pictures are wanted.
    """

    rbm: RBM
    seed: tf.Tensor
    bar: tqdm
    pictures: bool = False


class Answer(NamedTuple):
    """What a method found.

    Attributes:
      values: by key of the JSON line, arrays of the RBM's batch shape [...].
      warnings: why not to believe it; empty when nothing is known against it.
      pictures: by kind, what `plots.KINDS` takes; of a batch, of the RBM that has the smallest ESS.
      member: which RBM of the batch that is; empty without a batch.
    """

    values: dict[str, Any]
    warnings: list[str] = []
    pictures: dict[str, dict[str, Any]] = {}
    member: tuple[int, ...] = ()


def bridge_from(rbm: RBM, base: str) -> Bridge:
    """The path from the base of that name."""
    return BASES[base](rbm)


def schedule_of(task: Task, bridge: Bridge, schedule: str, num_temperatures: int) -> np.ndarray:
    """The schedule of that name; an adaptive one finds its own number in a pilot run."""
    if schedule == "adaptive":
        task.bar.reset(total=1)
        task.bar.set_postfix_str("pilot run")
        pilot_seed = seeds.fold_in(task.seed, -1)
        return schedules.adaptive(bridge, seed=pilot_seed, progress_fn=task.bar.update)
    return {"linear": schedules.linear, "sigmoid": schedules.sigmoid}[schedule](num_temperatures)


def in_groups(task: Task, num_chains: int, method: Callable[[Task], Answer]) -> Answer:
    """The method's answer for a batch, put together from its answers for groups of RBMs.

    Args:
      task: of any batch shape; the method's tasks have one batch dimension, or none as this one.
      num_chains: of each RBM, of all runs together.
      method: its answer must have `ess` if it has pictures.
    """
    batch = task.rbm.b1.shape[:-1]
    if not batch.rank:
        return method(task)
    flat = task.rbm.map(lambda t: tf.reshape(t, [-1, *t.shape[batch.rank :]]))
    count, size = batch.num_elements(), max(1, CHAINS_AT_ONCE // num_chains)
    answers = []
    for first in range(0, count, size):
        group = flat.map(operator.itemgetter(slice(first, first + size)))
        task.bar.set_postfix_str(f"RBMs {first} to {min(first + size, count) - 1} of {count}")
        answer = method(task._replace(rbm=group, seed=seeds.fold_in(task.seed, first)))
        answers.append(_numbered(answer, first, size < count))
    return _joined(answers, batch)


def _numbered(answer: Answer, first: int, several: bool) -> Answer:
    """The answer of a group that begins with RBM `first`, its warnings saying so."""
    where = f"RBMs from {first}: " if several else ""
    return answer._replace(
        warnings=[where + warning for warning in answer.warnings],
        member=tuple(first + i for i in answer.member),
    )


def _joined(answers: list[Answer], batch: tf.TensorShape) -> Answer:
    """One answer for a batch of shape `batch` from those of its parts."""
    values = {
        key: np.concatenate([np.asarray(answer.values[key]) for answer in answers])
        for key in answers[0].values
    }
    worst = min(answers, key=lambda answer: np.min(answer.values.get("ess", 0)))
    return Answer(
        {key: value.reshape([*batch, *value.shape[1:]]) for key, value in values.items()},
        [warning for answer in answers for warning in answer.warnings],
        worst.pictures,
        tuple(int(i) for i in np.unravel_index(worst.member[0], batch)) if worst.member else (),
    )


def worst_of(ess: np.ndarray) -> tuple[int, ...]:
    """The index of the RBM that has the smallest ESS, [...]."""
    return tuple(int(i) for i in np.unravel_index(np.argmin(ess), np.shape(ess)))
