"""log p(x) of the discrete model, by importance sampling from the posterior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from dvae_tf.model import log_bernoulli
from dvae_tf.posteriors.posterior import Draws
from sampler import seeds
from sampler.annealing import schedules
from sampler.machines.rbm import RBM
from sampler.weights import resampling

STATES_PER_CHUNK = 20_000
"""Images times samples evaluated at once: about 400 MB with 200 latents and 784 pixels."""


class Model(Protocol):
    """What an evaluation asks of a model; a `DVAE` or a loaded export.

    Attributes:
      task: a name of `objectives.TASKS`.
    """

    task: str

    def split(self, x: Any) -> tuple[Any, Any]:
        """What the encoder sees of images [..., D], and what the decoder predicts."""

    def draw(
        self, inputs: tf.Tensor, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> Draws:
        """Weighted hard samples of the posteriors of inputs [B, D]."""

    def decode(self, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        """Pixels' logits [..., D] of latents [..., n1] and [..., n2]."""

    def prior_rbm(self) -> RBM:
        """The prior, without batch dimensions."""


class Likelihood(NamedTuple):
    """Per image, float64, [B]; where there is a prior, the first two lack - log Z_theta.

    Attributes:
      log_marginal: log of the estimate of p(x) Z_theta, or of p(x2 | x1).
      elbo: the variational bound of the discrete model, + log Z_theta.
      ess: effective sample size of the importance weights.
    """

    log_marginal: tf.Tensor
    elbo: tf.Tensor
    ess: tf.Tensor


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
    inputs, targets = model.split(x)
    draws = model.draw(inputs, num_samples, betas, seed)
    log_px = log_bernoulli(targets[:, None, :], model.decode(draws.z1, draws.z2))
    if model.task == "structured_prediction":
        return _conditional(log_px, draws)
    return _marginal(log_px, draws, model.prior_rbm())


def _marginal(log_px: tf.Tensor, draws: Draws, theta: RBM) -> Likelihood:
    r"""With a prior:

      p(x) Z_\theta ~ 1/K sum_k W_k p(x | z_k) exp(-E_\theta(z_k)) / q*(z_k),   q* = Z_q q

    An RBM's draws are the end states of AIS, W_k their weights, which include the base's
    normaliser: the estimate's expectation is p(x) Z_theta exactly, for any schedule and any number
    of samples. (Unweighted end states would make it too large.)
    """
    log_ratio = log_px - theta.energy(draws.z1, draws.z2) - draws.log_prob
    log_ratio = tf.cast(log_ratio, tf.float64)
    weights = tf.nn.softmax(draws.log_weights, -1)
    elbo = tf.reduce_sum(weights * log_ratio, -1) + resampling.log_mean_exp(draws.log_weights)
    log_joint = draws.log_weights + log_ratio
    ess = resampling.effective_sample_size(log_joint)
    return Likelihood(resampling.log_mean_exp(log_joint), elbo, ess)


def _conditional(log_px: tf.Tensor, draws: Draws) -> Likelihood:
    """Structured prediction: p(x2 | x1) = E_q(z | x1)[p(x2 | z)] ~ sum_k W_k p(x2 | z_k) / sum W.

    The ratio is biased by the weights' relative variance / K; an RBM near its mean field has
    little. The bound is E_q[log p(x2 | z)].
    """
    log_px = tf.cast(log_px, tf.float64)
    log_shares = tf.nn.log_softmax(draws.log_weights, -1)
    log_joint = log_shares + log_px
    elbo = tf.reduce_sum(tf.exp(log_shares) * log_px, -1)
    ess = resampling.effective_sample_size(log_joint)
    return Likelihood(tf.reduce_logsumexp(log_joint, -1), elbo, ess)


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
