"""The discrete VAE: encoder, posterior, prior and decoder wired together, and nothing else."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dvae_tf import networks, relaxations
from dvae_tf.config import Config, ConfigError
from dvae_tf.posteriors.posterior import Draws
from dvae_tf.registry import POSTERIORS, PRIORS, TASKS
from sampler.machines.machine import AnyMachine


class DVAE(keras.Model):
    """p(x | z) p(z) with the posterior q(z | x); or p(x2 | z) with q(z | x1).

    The task says which of an image's pixels the encoder sees and which the decoder predicts.

    Args:
      config: the run's configuration.
      pixel_mean: mean of the training images, [D]. The encoder sees pixels minus it, and the
        decoder's logits add that of the mean clipped to [.001, .999].
      seed: of the initial kernels.

    Raises:
      ConfigError: structured prediction of images too small to have two halves.
    """

    def __init__(self, config: Config, pixel_mean: np.ndarray, seed: int = 0):
        super().__init__(name="dvae")
        self.config, self.num_pixels = config, len(pixel_mean)
        self.task = TASKS.load(config.task)
        input_mean, target_mean = self.task.split(pixel_mean)
        if not len(input_mean):
            raise ConfigError(
                f"--task={config.task}: found images of {self.num_pixels} pixel, accepted is 2 or "
                "more, so that there are some to give and some to predict"
            )
        self.pixel_mean = tf.constant(input_mean, tf.float32)
        clipped = np.clip(target_mean, 1e-3, 1 - 1e-3)
        self.logit_mean = tf.constant(np.log(clipped / (1 - clipped)), tf.float32)
        hidden, size = config.hidden_units, len(input_mean)
        self.encoder = keras.layers.Identity()
        if config.shared_context:
            self.encoder, size = networks.trunk(hidden, name="encoder", seed=seed), hidden[-1]
        self.relaxation = relaxations.make(config.relaxation, config.sharpness)
        posterior = POSTERIORS.load(config.posterior)
        self.posterior = posterior(config, size, self.relaxation, seed)
        self.prior = PRIORS.load(config.prior)(config)
        self.decoder = networks.decoder(hidden, len(target_mean), seed)
        self.phi(tf.zeros([1, len(input_mean)]))
        self.decode(tf.zeros([1, config.num_latents]))

    def join(self, x: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Images [..., D] of which the decoder's part is `predicted`."""
        given = x.shape[-1] - predicted.shape[-1]
        return np.concatenate([x[..., :given], predicted], -1)

    def phi(self, inputs: tf.Tensor, training: bool = False) -> Any:
        """The posterior's parameters for inputs [B, D]."""
        context = self.encoder(inputs - self.pixel_mean, training=training)
        return self.posterior(context, training=training)

    def draw(
        self, inputs: tf.Tensor, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> Draws:
        """Weighted hard samples of the posteriors of inputs [B, D], for evaluation."""
        return self.posterior.draw(self.phi(inputs), num_samples, betas, seed)

    def decode(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits of p(x = 1 | z), [..., D], for z [..., n]."""
        flat = tf.reshape(z, [-1, z.shape[-1]])
        logits = self.decoder(flat, training=training) + self.logit_mean
        return tf.reshape(logits, tf.concat([tf.shape(z)[:-1], tf.shape(logits)[-1:]], 0))

    def prior_machine(self) -> AnyMachine:
        """The prior, without batch dimensions."""
        return self.prior.machine()


def log_bernoulli(x: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """log p(x) of independent Bernoulli pixels, summed over the last axis; shapes broadcast."""
    return tf.reduce_sum(x * logits - tf.nn.softplus(logits), -1)
