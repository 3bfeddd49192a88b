"""The discrete VAE: encoder, posterior, prior and decoder wired together, and nothing else."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from dvae_tf import networks, relaxations
from dvae_tf.config import Config
from dvae_tf.posteriors import POSTERIORS
from dvae_tf.prior import RBMPrior
from sampler.ising import IsingRBM
from sampler.rbm import RBM


class DVAE(keras.Model):
    """p(x | z) p(z) with an RBM prior, and the posterior q(z | x).

    Args:
      config: the run's configuration.
      pixel_mean: mean of the training images, [D]. The encoder sees x minus it, and the decoder's
        logits add that of the mean clipped to [.001, .999].
      seed: of the initial kernels.
    """

    def __init__(self, config: Config, pixel_mean: np.ndarray, seed: int = 0):
        super().__init__(name="dvae")
        n = config.num_latents // 2
        self.pixel_mean = tf.constant(pixel_mean, tf.float32)
        clipped = np.clip(pixel_mean, 1e-3, 1 - 1e-3)
        self.logit_mean = tf.constant(np.log(clipped / (1 - clipped)), tf.float32)
        self.encoder = networks.trunk(config.hidden_units, name="encoder", seed=seed)
        self.posterior = POSTERIORS[config.posterior](
            n,
            n,
            config.coupling_scale,
            config.posterior_sweeps,
            config.relaxed_sweeps,
            relaxations.make(config.relaxation, config.sharpness).sample,
            seed,
        )
        self.prior = RBMPrior(n, n)
        self.decoder = networks.decoder(config.hidden_units, len(pixel_mean), seed)
        zeros = tf.zeros([1, n])
        self.encode(tf.zeros([1, len(pixel_mean)]))
        self.decode(zeros, zeros)

    def phi(self, x: tf.Tensor, training: bool = False) -> IsingRBM:
        """The posterior's RBMs [B] as the encoder emits them, for images x [B, D] in [0, 1]."""
        context = self.encoder(x - self.pixel_mean, training=training)
        return self.posterior(context, training=training)

    def encode(self, x: tf.Tensor) -> RBM:
        """The posterior's RBMs [B] in the parameters of binary units, for evaluation."""
        return self.phi(x).binary()

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
