"""Samples of the model and reconstructions of images, as pixels' probabilities."""

from __future__ import annotations

import tensorflow as tf

from dvae_tf.evaluation.likelihood import Model
from dvae_tf.priors import prior
from sampler.annealing import schedules

TEMPERATURES = 20
"""Of the posterior's annealing, where it needs any."""


def sample_images(model: Model, num_samples: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Pixels' probabilities [num_samples, D] for samples of the prior (see `prior.sample`)."""
    return tf.sigmoid(model.decode(prior.sample(model.prior_machine(), num_samples, seed)))


def reconstruct(model: Model, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Probabilities of the predicted pixels [B, D] of images x, from a posterior sample each."""
    inputs, _ = model.task.split(x)
    draws = model.draw(inputs, 1, tf.constant(schedules.linear(TEMPERATURES)), seed)
    return tf.sigmoid(model.decode(draws.z))[:, 0]
