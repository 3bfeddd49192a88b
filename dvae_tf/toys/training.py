"""Training of the toys by Adam, with a record every so many steps."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from tqdm import tqdm

from dvae_tf.config import ConfigError
from sampler.io.errors import expect


def minimise(
    variables: Sequence[tf.Variable],
    gradient_fn: Callable[[tf.Tensor], Sequence[tf.Tensor]],
    settings: Any,
    record_fn: Callable[[], Any],
    title: str,
) -> list[Any]:
    """Trains variables by gradient descent; returns what `record_fn` did at each record.

    Args:
      variables: what is trained.
      gradient_fn: the step's number, int32 -> gradients of the variables.
      settings: with `num_steps`, `learning_rate` and `record_every`.
      record_fn: called at the start and at each record.
      title: of the progress bar.

    Raises:
      ConfigError: the records do not divide the steps evenly.
    """
    num_records, rest = divmod(settings.num_steps, settings.record_every)
    accepted = f"a multiple of {settings.record_every}"
    expect(not rest, "--num_steps", settings.num_steps, accepted, ConfigError)
    optimizer = keras.optimizers.Adam(settings.learning_rate)
    optimizer.build(variables)

    @tf.function
    def advance() -> None:
        for _ in tf.range(settings.record_every):
            step = tf.cast(optimizer.iterations.value, tf.int32)
            optimizer.apply(list(gradient_fn(step)), variables)

    records = [record_fn()]
    for _ in tqdm(range(num_records), title):
        advance()
        records.append(record_fn())
    return records
