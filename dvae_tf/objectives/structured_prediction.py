"""Structured prediction: the rest of an image from its first half (section 4.3)."""

import math
from typing import Any

import tensorflow as tf

from dvae_tf.model import Wiring
from dvae_tf.objectives.terms import Terms, summarise
from dvae_tf.posteriors.posterior import Draws
from dvae_tf.tasks import Likelihood, Task
from sampler.populations.population import Population
from sampler.weights import resampling

LEAST_ENTROPY_WEIGHT = 0.05


def entropy_weight(ramp: tf.Tensor) -> tf.Tensor:
    """lambda: from 1 to 0.05 during the warm-up, which a run lets take its first half."""
    return 1 - (1 - LEAST_ENTROPY_WEIGHT) * ramp


def structured_prediction(
    model: Wiring,
    data: Any,
    chains: tf.Tensor,
    population: Population,
    entropy_weight: tf.Tensor,
    seed: tf.Tensor,
    iw_gradient: str = "dreg",
    bound: str = "importance_weighted",
) -> tuple[tf.Tensor, Terms]:
    r"""The objective to maximise (Raiko et al. 2015, with the paper's entropy term):

      L = mean_x log 1/K sum_k p(x2 | zeta_k) + \lambda H(q(z | x1)),   zeta_k ~ q_\phi(zeta | x1)

    The first term's weights hold no density of q, so its gradient is the plain one. The entropy's
    is that of -log q(zeta_k), phi stopped inside, as E_q[d log q / d phi] = 0.

    Args:
      model: the DVAE; `population`, `iw_gradient` and `bound` play no part.
      data: what is predicted and what is given, as the model's condition has them.
      chains: states of the images' chains, [B, K, chain_width].
      entropy_weight: lambda.
      seed: int32, shape [2].
    """
    del population, iw_gradient, bound
    inputs, targets, given = model.split(data)
    phi = model.phi(inputs, training=True)
    fixed_phi = tf.nest.map_structure(tf.stop_gradient, phi)
    sample = model.posterior.sample(phi, chains, seed)

    outputs = model.decode(sample.zeta, given, training=True)
    log_px = model.log_px(targets, outputs)
    log_q = model.posterior.log_q(fixed_phi, sample)
    bound = tf.reduce_logsumexp(log_px, 1) - math.log(chains.shape[1])
    objective = tf.reduce_mean(bound) - entropy_weight * tf.reduce_mean(log_q)

    shares, no_prior = tf.nn.softmax(log_px, 1), tf.zeros_like(log_px)
    return objective, summarise(fixed_phi, sample, outputs, log_px, no_prior, log_q, shares)


def conditional(model: Any, log_px: tf.Tensor, draws: Draws) -> Likelihood:
    """log p(x2 | x1) = log E_q(z | x1)[p(x2 | z)] ~ log sum_k W_k p(x2 | z_k) / sum W.

    The ratio is biased by the weights' relative variance / K; an RBM near its mean field has
    little. The bound is E_q[log p(x2 | z)].

    Args:
      log_px: log p(x2 | z_k), [B, K].
      draws: the z_k.
    """
    del model
    log_px = tf.cast(log_px, tf.float64)
    log_shares = tf.nn.log_softmax(draws.log_weights, -1)
    log_joint = log_shares + log_px
    elbo = tf.reduce_sum(tf.exp(log_shares) * log_px, -1)
    ess = resampling.effective_sample_size(log_joint)
    return Likelihood(tf.reduce_logsumexp(log_joint, -1), elbo, ess)


STRUCTURED_PREDICTION = Task(structured_prediction, entropy_weight, conditional, has_prior=False)
