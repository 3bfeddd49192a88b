"""Samples of the model and reconstructions of images, as means of p(x | z)."""

from typing import Any

import tensorflow as tf

from dvae_tf.evaluation.likelihood import Model
from dvae_tf.priors import prior
from sampler.annealing import schedules

TEMPERATURES = 20
"""Of the posterior's annealing, where it needs any."""


def sample_images(
    model: Model, num_samples: tf.Tensor, seed: tf.Tensor, given: tf.Tensor | None = None
) -> tf.Tensor:
    """Means [num_samples, *shape] for samples of the prior (see `latents`)."""
    z = latents(model, num_samples, seed, given)
    return model.likelihood.mean(model.decode(z, given))


def latents(
    model: Any, num_samples: tf.Tensor, seed: tf.Tensor, given: tf.Tensor | None = None
) -> tf.Tensor:
    """Samples [num_samples, n] of the prior; where its units hold the condition, given that."""
    theta = model.prior_machine()
    if model.condition is not None and model.condition.units:
        return prior.sample_given(theta, given, seed)
    return prior.sample(theta, num_samples, seed)


def reconstruct(model: Model, data: Any, seed: tf.Tensor) -> tf.Tensor:
    """Means of what the decoder predicts, [B, *shape], from a posterior sample each."""
    inputs, _, given = model.split(data)
    draws = model.draw(inputs, 1, tf.constant(schedules.linear(TEMPERATURES)), seed)
    return model.likelihood.mean(model.decode(draws.z, given))[:, 0]
