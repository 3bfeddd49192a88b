"""The importance-weighted bound, annealed; with one sample it is Algorithm 1.

Beside it the variational bound of several samples, whose gradient they make less noisy.
"""

from __future__ import annotations

import math

import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.model import DVAE, log_bernoulli
from dvae_tf.objectives.gradient_factor import GradientFactor
from dvae_tf.objectives.terms import Terms, ramp, summarise
from dvae_tf.prior import log_z_surrogate
from sampler.population_annealing import Population


def kl_weight(config: Config, step: tf.Tensor) -> tf.Tensor:
    """lambda: from 0 to 1, linearly over the first `kl_warmup` of the run."""
    return ramp(config, step, config.kl_warmup)


def importance_weighted(
    model: DVAE,
    x: tf.Tensor,
    chains: tf.Tensor,
    population: Population,
    kl_weight: tf.Tensor,
    seed: tf.Tensor,
    iw_gradient: str = "dreg",
    bound: str = "importance_weighted",
) -> tuple[tf.Tensor, Terms]:
    r"""The objective to maximise, of which only the gradient has a meaning (equation 18):

      L = mean_x log 1/K sum_k w_k
      w_k = p(x | zeta_k) (p_\theta(zeta_k) / q_\phi(zeta_k | x))^\lambda

    with zeta_k the posterior's relaxed samples: for an RBM, relaxed sweeps from K persistent chains
    of the image, all on the one RBM that the encoder gives.

    For one sample this is Algorithm 1 (whose + log Z_\theta is a misprint of - log Z_\theta).
    `dreg` is the doubly reparameterised gradient (Tucker et al. 2018; annealed: appendix C):
    with v_k = w_k / sum w, the gradient in phi is

      E sum_k (\lambda v_k^2 + (1 - \lambda) v_k) (d log w_k / d zeta_k) (d zeta_k / d phi),

    phi stopped inside log q, so that log Z_\phi isn't needed. `iwae` is the plain gradient of log
    sum w (equation 19), log Z_\phi's part estimated from the image's own chains.

    The variational bound is that of one sample, averaged over K of them:

      L = mean_x mean_k log w_k

    Args:
      model: the DVAE.
      x: images, [B, D].
      chains: states of the images' chains, [B, K, chain_units].
      population: weighted samples of the prior at its present parameters.
      kl_weight: lambda, in [0, 1].
      seed: int32, shape [2].
      iw_gradient: 'dreg' or 'iwae'.
      bound: 'importance_weighted' or 'variational'.
    """
    plain, variational = iw_gradient == "iwae", bound == "variational"
    inputs, targets = model.split(x)
    phi = model.phi(inputs, training=True)
    fixed_phi = tf.nest.map_structure(tf.stop_gradient, phi)
    sample = model.posterior.sample(phi, chains, seed)
    factor = GradientFactor()
    zeta1, zeta2 = factor.apply(sample.zeta1), factor.apply(sample.zeta2)
    theta = model.prior.rbm()

    logits = model.decode(zeta1, zeta2, training=True)
    log_px = log_bernoulli(targets[:, None], logits)
    log_prior = model.relaxation.log_prior(theta, zeta1, zeta2)
    log_q = model.posterior.log_prob(phi if plain else fixed_phi, zeta1, zeta2)
    log_w = log_px + kl_weight * (log_prior - log_q)
    log_z = log_z_surrogate(theta, population)
    if plain:
        log_z -= tf.reduce_mean(model.posterior.log_z_surrogate(phi, sample))
    num_samples = chains.shape[1]
    if variational:
        bounds, shares = tf.reduce_mean(log_w, 1), tf.ones_like(log_w) / num_samples
    else:
        bounds = tf.reduce_logsumexp(log_w, 1) - math.log(num_samples)
        shares = tf.stop_gradient(tf.nn.softmax(log_w, 1))
    objective = tf.reduce_mean(bounds) - kl_weight * log_z

    if not (plain or variational):
        factor.set((kl_weight * shares + 1 - kl_weight)[..., None])
    terms = summarise(fixed_phi, sample, logits, log_px, log_prior, log_q, shares)
    return objective, terms
