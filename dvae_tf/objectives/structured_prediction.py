"""Structured prediction: the rest of an image from its first half (section 4.3)."""

from __future__ import annotations

import math

import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.model import DVAE, log_bernoulli
from dvae_tf.objectives.terms import Terms, ramp, summarise
from sampler.population_annealing import Population

LEAST_ENTROPY_WEIGHT = 0.05


def entropy_weight(config: Config, step: tf.Tensor) -> tf.Tensor:
    """lambda: from 1 to 0.05, linearly over the first half of the run."""
    return 1 - (1 - LEAST_ENTROPY_WEIGHT) * ramp(config, step, 0.5)


def structured_prediction(
    model: DVAE,
    x: tf.Tensor,
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
      model: the DVAE; its prior and `population` play no part, nor do `iw_gradient` and `bound`.
      x: images, [B, D]; x1 is the first half of their pixels.
      chains: states of the images' chains, [B, K, chain_units].
      entropy_weight: lambda.
      seed: int32, shape [2].
    """
    del population, iw_gradient, bound
    inputs, targets = model.split(x)
    phi = model.phi(inputs, training=True)
    fixed_phi = tf.nest.map_structure(tf.stop_gradient, phi)
    sample = model.posterior.sample(phi, chains, seed)

    logits = model.decode(sample.zeta1, sample.zeta2, training=True)
    log_px = log_bernoulli(targets[:, None], logits)
    log_q = model.posterior.log_prob(fixed_phi, sample.zeta1, sample.zeta2)
    bound = tf.reduce_logsumexp(log_px, 1) - math.log(chains.shape[1])
    objective = tf.reduce_mean(bound) - entropy_weight * tf.reduce_mean(log_q)

    shares, no_prior = tf.nn.softmax(log_px, 1), tf.zeros_like(log_px)
    return objective, summarise(fixed_phi, sample, logits, log_px, no_prior, log_q, shares)
