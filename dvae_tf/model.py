"""The discrete VAE: encoder, posterior, prior and decoder wired together, and nothing else."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dvae_tf import networks, relaxations
from dvae_tf.config import Config, ConfigError
from dvae_tf.posteriors import POSTERIORS
from dvae_tf.posteriors.posterior import Draws
from dvae_tf.prior import RBMPrior
from sampler.machines.rbm import RBM


class DVAE(keras.Model):
    """p(x | z) p(z) with an RBM prior and the posterior q(z | x); or q(z | x1) and p(x2 | z).

    In structured prediction the encoder sees the first half of an image's pixels (the top) and the
    decoder predicts the rest; in the other tasks both have all of them. The prior is then not used.

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
        self.task = config.task
        self.num_pixels = len(pixel_mean)
        self.sides = list(config.sides)
        n1, n2 = config.sides
        input_mean, target_mean = self.split(pixel_mean)
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
        self.posterior = POSTERIORS[config.posterior](config, size, self.relaxation, seed)
        self.prior = RBMPrior(n1, n2)
        self.decoder = networks.decoder(hidden, len(target_mean), seed)
        self.phi(tf.zeros([1, len(input_mean)]))
        self.decode(tf.zeros([1, n1]), tf.zeros([1, n2]))

    def split(self, x: Any) -> tuple[Any, Any]:
        """What the encoder sees of images [..., D], and what the decoder predicts."""
        if self.task == "structured_prediction":
            half = self.num_pixels // 2
            return x[..., :half], x[..., half:]
        return x, x

    def join(self, x: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Images [..., D] of which the decoder's part is `predicted`."""
        given = x.shape[-1] - predicted.shape[-1]
        return np.concatenate([x[..., :given], predicted], -1)

    def phi(self, inputs: tf.Tensor, training: bool = False) -> Any:
        """The posterior's parameters for inputs [B, D]; RBMs where it is undirected."""
        context = self.encoder(inputs - self.pixel_mean, training=training)
        return self.posterior(context, training=training)

    def draw(
        self, inputs: tf.Tensor, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> Draws:
        """Weighted hard samples of the posteriors of inputs [B, D], for evaluation."""
        return self.posterior.draw(self.phi(inputs), num_samples, betas, seed)

    def decode(self, z1: tf.Tensor, z2: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits of p(x = 1 | z), [..., D], for z1 [..., n1] and z2 [..., n2]."""
        z = tf.concat([z1, z2], -1)
        flat = tf.reshape(z, [-1, z.shape[-1]])
        logits = self.decoder(flat, training=training) + self.logit_mean
        return tf.reshape(logits, tf.concat([tf.shape(z)[:-1], tf.shape(logits)[-1:]], 0))

    def prior_rbm(self) -> RBM:
        """The prior, without batch dimensions."""
        return self.prior.rbm()


def log_bernoulli(x: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """log p(x) of independent Bernoulli pixels, summed over the last axis; shapes broadcast."""
    return tf.reduce_sum(x * logits - tf.nn.softplus(logits), -1)
