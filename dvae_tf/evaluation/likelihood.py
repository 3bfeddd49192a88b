"""log p(x) of the discrete model, by importance sampling from annealed posteriors."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from dvae_tf.model import log_bernoulli
from sampler import ais, gibbs, path, resampling, schedules, seeds
from sampler.rbm import RBM

STATES_PER_CHUNK = 20_000
"""Images times samples evaluated at once: about 400 MB with 200 latents and 784 pixels."""


class Model(Protocol):
    """What an evaluation asks of a model; a `DVAE` or a loaded export."""

    def encode(self, x: tf.Tensor) -> RBM:
        """The posteriors [B] of images [B, D]."""

    def decode(self, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        """Pixels' logits [..., D] of latents [..., n1] and [..., n2]."""

    def prior_rbm(self) -> RBM:
        """The prior, without batch dimensions."""


class Likelihood(NamedTuple):
    """Per image, float64, [B]; both lack - log Z_theta.

    Attributes:
      log_marginal: log of the estimate of p(x) Z_theta.
      elbo: the variational bound of the discrete model, + log Z_theta.
      ess: effective sample size of the importance weights.
    """

    log_marginal: tf.Tensor
    elbo: tf.Tensor
    ess: tf.Tensor


def likelihood(
    model: Model, x: tf.Tensor, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
) -> Likelihood:
    r"""Estimates p(x) for images x [B, D] with K weighted samples of each image's posterior.

      p(x) Z_\theta ~ 1/K sum_k W_k p(x | z_k) exp(-E_\theta(z_k) + E_\phi(z_k))

    W_k is the weight of an AIS run from the factorial distribution of the posterior's own biases,
    and includes that distribution's normaliser; the estimate's expectation is p(x) Z_theta exactly,
    for any schedule and any number of samples. (Unweighted end states would make it too large.)

    Args:
      model: the model.
      x: binary images, float32 [B, D].
      num_samples: K.
      betas: inverse temperatures of the annealing, from 0 to 1, float32 [T].
      seed: int32, shape [2].
    """
    phi = model.encode(x)
    route = path.from_biases(phi)
    state = ais.start(route, num_samples, seeds.fold_in(seed, 0))
    z1, log_weights = ais.anneal(route, state, betas, seeds.fold_in(seed, 1))
    z2 = gibbs.bernoulli(phi.logits2(z1), seeds.fold_in(seed, 2))

    log_px = log_bernoulli(x[:, None, :], model.decode(z1, z2))
    log_ratio = log_px - model.prior_rbm().energy(z1, z2) + phi.energy(z1, z2)
    log_ratio = tf.cast(log_ratio, tf.float64)
    weights = tf.nn.softmax(log_weights, -1)
    elbo = tf.reduce_sum(weights * log_ratio, -1) + resampling.log_mean_exp(log_weights)
    log_joint = log_weights + log_ratio
    ess = resampling.effective_sample_size(log_joint)
    return Likelihood(resampling.log_mean_exp(log_joint), elbo, ess)


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
