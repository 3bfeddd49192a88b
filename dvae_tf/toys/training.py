"""Training of the toys: Adam, and a record every so many steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from dvae_tf.config import ConfigError


def check_steps(num_steps: int, record_every: int) -> None:
    """Raises ConfigError unless the records divide the steps evenly."""
    if num_steps % record_every:
        accepted = f"a multiple of {record_every}"
        raise ConfigError(f"--num_steps: found {num_steps}, accepted is {accepted}")


def minimise(
    variables: Sequence[tf.Variable],
    gradient_fn: Callable[[tf.Tensor], Sequence[tf.Tensor]],
    settings: Any,
    record_fn: Callable[[], Any],
    progress: Callable[[int], object],
) -> list[Any]:
    """Moves variables down a gradient.

    Args:
      variables: what is trained.
      gradient_fn: the step's number, int32 -> gradients of the variables.
      settings: with `num_steps`, `learning_rate` and `record_every`, which divides the steps.
      record_fn: called at the start and at each record.
      progress: told of steps done.

    Returns:
      What `record_fn` returned.
    """
    optimizer = keras.optimizers.Adam(settings.learning_rate)
    optimizer.build(variables)

    @tf.function
    def advance() -> None:
        for _ in tf.range(settings.record_every):
            step = tf.cast(optimizer.iterations.value, tf.int32)
            optimizer.apply(list(gradient_fn(step)), variables)

    records = [record_fn()]
    for _ in range(settings.num_steps // settings.record_every):
        advance()
        records.append(record_fn())
        progress(settings.record_every)
    return records
