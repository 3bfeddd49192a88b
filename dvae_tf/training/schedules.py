"""What changes over a run: the learning rate, and with it and the task's weight how long one is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

from dvae_tf.config import Config
from dvae_tf.likelihoods import registered
from dvae_tf.objectives.terms import ramp
from dvae_tf.registry import TASKS

SLOW_START = 0.02
"""Fraction of a run, its first, that goes at a tenth of the base rate, as in the paper."""


def learning_rate(config: Config) -> LearningRateSchedule:
    """The rate over a run."""
    return SCHEDULES[config.schedule](config)


def paper_schedule(config: Config) -> LearningRateSchedule:
    """The paper's schedule: the base rate, times 1/10, 1, 1/3, 1/10, 1/33 over the run."""
    boundaries = [round(config.num_steps * part) for part in (SLOW_START, 0.6, 0.75, 0.95)]
    rates = [config.learning_rate * factor for factor in (0.1, 1, 1 / 3, 0.1, 1 / 33)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


@registered
class LinearSchedule(LearningRateSchedule):
    """The base rate to `constant_rate` of a run, but for the slow start, then linearly to 0."""

    def __init__(self, config: Config | str):
        self.config = Config.parse(config) if isinstance(config, str) else config

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of a step, from 0."""
        config = self.config
        left = config.num_steps - tf.cast(step, tf.float32)
        # with a constant rate to the end there is one step left to fall over
        falling = left / max((1 - config.constant_rate) * config.num_steps, 1.0)
        start = tf.where(left > (1 - SLOW_START) * config.num_steps, 0.1, 1.0)
        return config.learning_rate * start * tf.minimum(falling, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Keras' arguments of a copy."""
        return {"config": self.config.to_json()}


SCHEDULES: dict[str, Callable[[Config], LearningRateSchedule]] = {
    "paper": paper_schedule,
    "linear": LinearSchedule,
}


ENTROPY_WARMUP = 0.5
"""Fraction of a run without a prior over which the entropy's weight falls."""


def warmup(config: Config) -> float:
    """Steps over which the task's weight is annealed."""
    has_prior = TASKS.load(config.task).has_prior
    return config.num_steps * (config.kl_warmup if has_prior else ENTROPY_WARMUP)


def continues(theirs: Config, ours: Config, step: int) -> bool:
    """Whether a run of one configuration can go on as one of another `num_steps` after `step`.

    So it is where in the last step done learning rate and weight were the same by both: while both
    runs are in the part of constant rate, the KL weight's rise over; at the end of a run too with
    --schedule=linear --constant_rate=1. The first steps were then still those of the shorter one.
    """
    if theirs.num_steps == ours.num_steps or step == 0:
        return True
    at = tf.constant(step - 1, tf.int64)
    return step <= ours.num_steps and all(
        float(fn(theirs)) == float(fn(ours))
        for fn in (lambda config: learning_rate(config)(at), lambda config: _risen(config, at))
    )


def _risen(config: Config, step: tf.Tensor) -> tf.Tensor:
    """How far the task's weight has come."""
    return ramp(step, warmup(config))
