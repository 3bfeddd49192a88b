"""log p(x) of the discrete model, by importance sampling from the posterior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import tensorflow as tf

from dvae_tf.model import log_bernoulli
from dvae_tf.posteriors.posterior import Draws
from dvae_tf.tasks import Likelihood, Task
from sampler import seeds
from sampler.annealing import schedules
from sampler.machines.machine import AnyMachine

STATES_PER_CHUNK = 20_000
"""Images times samples evaluated at once: about 400 MB with 200 latents and 784 pixels."""


class Model(Protocol):
    """What an evaluation asks of a model; a `DVAE` or a loaded export.

    Attributes:
      task: one of `registry.TASKS`.
    """

    task: Task

    def draw(
        self, inputs: tf.Tensor, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> Draws:
        """Weighted hard samples of the posteriors of inputs [B, D]."""

    def decode(self, z: tf.Tensor) -> tf.Tensor:
        """Pixels' logits [..., D] of latents [..., n]."""

    def prior_machine(self) -> AnyMachine:
        """The prior, without batch dimensions."""


def likelihood(
    model: Model, x: tf.Tensor, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
) -> Likelihood:
    """Estimates p(x), or p(x2 | x1), for images x [B, D] with K samples of each posterior.

    Args:
      model: the model.
      x: binary images, float32 [B, D].
      num_samples: K.
      betas: inverse temperatures of the posteriors' annealing, from 0 to 1, float32 [T].
      seed: int32, shape [2].
    """
    inputs, targets = model.task.split(x)
    draws = model.draw(inputs, num_samples, betas, seed)
    log_px = log_bernoulli(targets[:, None, :], model.decode(draws.z))
    return model.task.likelihood(model, log_px, draws)


class LikelihoodOfMany:
    """`likelihood` of any number of images, chunk by chunk through one compiled graph.

    Args:
      model: the model, whose present parameters each call uses.
      num_samples: K.
      num_temperatures: of the linear annealing schedule.
      num_images: how many images a call will bring, at most; bounds the chunk.
    """

    def __init__(self, model: Model, num_samples: int, num_temperatures: int, num_images: int):
        self.num_samples = num_samples
        self.size = max(1, min(num_images, STATES_PER_CHUNK // num_samples))
        betas = schedules.linear(num_temperatures)

        @tf.function(jit_compile=True, autograph=False)
        def compiled(x: tf.Tensor, seed: tf.Tensor) -> Likelihood:
            return likelihood(model, x, num_samples, tf.constant(betas), seed)

        self._compiled = compiled

    def __call__(
        self,
        images: np.ndarray,
        seed: tf.Tensor,
        progress_fn: Callable[[int], object] = lambda num_images: None,
    ) -> Likelihood:
        """NumPy arrays [N] for images [N, D]; calls `progress_fn` with each chunk's size."""
        parts = []
        for first in range(0, len(images), self.size):
            chunk = images[first : first + self.size].astype(np.float32)
            # the last chunk is filled up, so that one graph serves all
            padded = np.pad(chunk, [(0, self.size - len(chunk)), (0, 0)])
            values = self._compiled(tf.constant(padded), seeds.fold_in(seed, first))
            parts.append([v.numpy()[: len(chunk)] for v in values])
            progress_fn(len(chunk))
        return Likelihood(*(np.concatenate(column) for column in zip(*parts, strict=True)))
