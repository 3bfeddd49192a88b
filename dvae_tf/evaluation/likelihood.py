"""log p(x) of the discrete model, by importance sampling from the posterior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from dvae_tf.conditions import Parts
from dvae_tf.likelihoods import Likelihood as Pixels
from dvae_tf.posteriors.posterior import Draws
from dvae_tf.tasks import Likelihood, Task
from sampler import checks, seeds
from sampler.annealing import schedules
from sampler.machines.machine import AnyMachine

STATES_PER_CHUNK = 20_000
"""Images times samples evaluated at once: about 400 MB with 200 latents and 784 pixels."""

FLOATS_PER_CHUNK = 60_000_000
"""Of all numbers that a decoder makes, as of convolutions, at once: about as much."""


class Model(Protocol):
    """What an evaluation asks of a model; a `DVAE` or a loaded export.

    Attributes:
      task: one of `registry.TASKS`.
      likelihood: p(x | z).
      floats_per_state: numbers that decoding one state makes, about.
    """

    task: Task
    likelihood: Pixels
    floats_per_state: int

    def split(self, data: Any) -> Parts:
        """What encoder, likelihood and decoder see of data."""

    def draw(
        self, inputs: Any, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> Draws:
        """Weighted hard samples of the posteriors of inputs [B, ...]."""

    def decode(self, z: tf.Tensor, given: tf.Tensor | None = None) -> tf.Tensor:
        """The likelihood's parameters [..., *shape] of latents [..., n]."""

    def log_px(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """log p(x | z), [B, K], of targets [B, *shape] and outputs [B, K, ...]."""

    def prior_machine(self) -> AnyMachine:
        """The prior, without batch dimensions."""

    def encoded(self, inputs: Any) -> dict[str, tf.Tensor] | None:
        """What the posterior shows of its parameters for the encoder's inputs; None if nothing."""


def likelihood(
    model: Model, data: Any, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
) -> Likelihood:
    """Estimates p(x), or p(x | c), for images x [B, *shape] with K samples of each posterior.

    Args:
      model: the model.
      data: images, float32 [B, *shape], or a pair of these and c.
      num_samples: K.
      betas: inverse temperatures of the posteriors' annealing, from 0 to 1, float32 [T].
      seed: int32, shape [2].
    """
    inputs, targets, given = model.split(data)
    draws = model.draw(inputs, num_samples, betas, seed)
    log_px = model.log_px(targets, model.decode(draws.z, given))
    return model.task.likelihood(model, log_px, draws)


CANDIDATES = (3, 5, 9, 17, 33, 65)
"""Temperatures of which `choose_temperatures` takes one."""

_PILOT = 64
_GAIN = 1.1


class LikelihoodOfMany:
    """`likelihood` of any number of images, chunk by chunk through one compiled graph.

    Args:
      model: the model, whose present parameters each call uses.
      num_samples: K.
      num_temperatures: of the linear annealing schedule; 0 leaves them to `choose_temperatures`.
      num_images: how many images a call will bring, at most; bounds the chunk.
    """

    def __init__(self, model: Model, num_samples: int, num_temperatures: int, num_images: int):
        checks.check_count(num_samples, "num_samples", 1)
        self.model, self.num_samples = model, num_samples
        states = min(STATES_PER_CHUNK, FLOATS_PER_CHUNK // model.floats_per_state)
        self.size = max(1, min(num_images, states // num_samples))
        self.by_need = num_temperatures == 0
        self.betas = schedules.linear(num_temperatures or CANDIDATES[0])

        @tf.function(jit_compile=True, autograph=False)
        def compiled(data: Any, betas: tf.Tensor, seed: tf.Tensor) -> Likelihood:
            return likelihood(model, data, num_samples, betas, seed)

        self._compiled = compiled

    def choose_temperatures(self, data: Any, seed: tf.Tensor) -> None:
        """As many temperatures as pay, if that was left open.

        Twice as many steps are taken as long as they raise the median effective sample size of
        some images by a tenth. The estimate is exact in expectation for any schedule.
        """
        if not self.by_need:
            return
        few = tf.nest.map_structure(lambda a: a[: max(_PILOT, self.size)], data)
        best = 0.0
        for number, num_temperatures in enumerate(CANDIDATES):
            before, self.betas = self.betas, schedules.linear(num_temperatures)
            median = float(np.median(self(few, seeds.fold_in(seed, number)).ess))
            if median < _GAIN * best:
                self.betas = before
                return
            best = median

    def __call__(
        self,
        data: Any,
        seed: tf.Tensor,
        progress_fn: Callable[[int], object] = lambda num_images: None,
    ) -> Likelihood:
        """NumPy arrays [N] for images [N, *shape]; calls `progress_fn` with each chunk's size.

        Raises:
          ValueError: pixels that the likelihood can't take.
        """
        images = data[0] if isinstance(data, (tuple, list)) else data
        self.model.likelihood.check(images, "images")
        parts, betas = [], self._padded_betas()
        for first in range(0, count(data), self.size):
            chunk = tf.nest.map_structure(lambda a: a[first : first + self.size], data)  # noqa: B023
            size = count(chunk)
            # the last chunk is filled up, so that one graph serves all
            padded = tf.nest.map_structure(lambda a: _padded(a, self.size), chunk)
            values = self._compiled(padded, betas, seeds.fold_in(seed, first))
            parts.append([v.numpy()[:size] for v in values])
            progress_fn(size)
        return Likelihood(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _padded_betas(self) -> tf.Tensor:
        """The schedule; with its end repeated where others of other lengths may follow."""
        longer = CANDIDATES[-1] - len(self.betas) if self.by_need else 0
        return tf.constant(np.pad(self.betas, (0, longer), constant_values=1))


def count(data: Any) -> int:
    """The number of images."""
    return len(tf.nest.flatten(data)[0])


def _padded(array: np.ndarray, size: int) -> tf.Tensor:
    """The rows as float32, with rows of zeros up to `size`."""
    pad = [(0, size - len(array))] + [(0, 0)] * (array.ndim - 1)
    return tf.constant(np.pad(array.astype(np.float32), pad))
