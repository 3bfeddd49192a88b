"""Training of the toys by Adam, with a record every so many steps."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dvae_tf.config import ConfigError
from sampler import seeds
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


def relative_bias(
    estimates_fn: Callable[[tf.Tensor], tf.Tensor], exact: tf.Tensor, count: int, seed: tf.Tensor
) -> tuple[float, float, float]:
    """A gradient's bias, its standard error, and one sample's deviation.

    Norms, in units of the exact gradient's.

    Args:
      estimates_fn: a seed -> estimates from one sample each, [S, P].
      exact: the gradient, [P].
      count: of samples, at least.
      seed: int32, shape [2].
    """
    total, squares, done = 0.0, 0.0, 0
    while done < count:
        found = estimates_fn(seeds.fold_in(seed, done)).numpy().astype(np.float64)
        total, squares = total + found.sum(0), squares + (found**2).sum(0)
        done += len(found)
    mean = total / done
    variance = np.sum(squares / done - mean**2)
    norm = np.linalg.norm(exact)
    # the squared norm of a mean's error adds to that of the bias
    error = np.sqrt(variance / done)
    square = max(0.0, float(np.sum((mean - exact) ** 2)) - error**2)
    return np.sqrt(square) / norm, error / norm, np.sqrt(variance) / norm
