"""The importance-weighted bound, annealed; with one sample it is Algorithm 1.

Beside it the variational bound of several samples, whose gradient they make less noisy.
"""

import math
from typing import Any

import tensorflow as tf

from dvae_tf import conditions
from dvae_tf.model import Wiring
from dvae_tf.objectives.gradient_factor import GradientFactor
from dvae_tf.objectives.terms import Terms, summarise
from dvae_tf.posteriors.posterior import Draws
from dvae_tf.priors import prior
from dvae_tf.tasks import Likelihood, Task
from sampler.populations.population import Population
from sampler.weights import resampling


def kl_weight(ramp: tf.Tensor) -> tf.Tensor:
    """lambda: from 0 to 1 during the warm-up."""
    return ramp


def importance_weighted(
    model: Wiring,
    data: Any,
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
    of the image, all on the one RBM that the encoder gives (`posteriors/backpropagation.py`).

    For one sample this is Algorithm 1 (whose + log Z_\theta is a misprint of - log Z_\theta).
    `dreg` is the doubly reparameterised gradient (Tucker et al. 2018; annealed: appendix C):
    with v_k = w_k / sum w, the gradient in phi is

      E sum_k (\lambda v_k^2 + (1 - \lambda) v_k) (d log w_k / d zeta_k) (d zeta_k / d phi),

    phi stopped inside log q. `iwae` is the plain gradient of log sum w (equation 19).

    The variational bound is that of one sample, averaged over K of them:

      L = mean_x mean_k log w_k

    Args:
      model: the DVAE.
      data: images, [B, *shape]; of a conditional model a pair of these and c.
      chains: states of the images' chains, [B, K, chain_width].
      population: weighted samples of the prior at its present parameters.
      kl_weight: lambda, in [0, 1].
      seed: int32, shape [2].
      iw_gradient: 'dreg' or 'iwae'.
      bound: 'importance_weighted' or 'variational'.
    """
    plain, variational = iw_gradient == "iwae", bound == "variational"
    inputs, targets, given = model.split(data)
    phi = model.phi(inputs, training=True)
    fixed_phi = tf.nest.map_structure(tf.stop_gradient, phi)
    theta = model.prior.machine()
    factor = GradientFactor()
    sample = model.posterior.sample(phi, chains, seed)
    sample = sample._replace(zeta=factor.apply(sample.zeta))

    zeta = conditions.held(model.condition, sample.zeta, given)
    outputs = model.decode(zeta, given, training=True)
    log_px = model.log_px(targets, outputs)
    log_prior = model.relaxation.log_prior(theta, zeta)
    log_q = model.posterior.log_q(phi if plain else fixed_phi, sample)
    log_w = log_px + kl_weight * (log_prior - log_q)
    num_samples = chains.shape[1]
    if variational:
        bounds, shares = tf.reduce_mean(log_w, 1), tf.ones_like(log_w) / num_samples
    else:
        bounds = tf.reduce_logsumexp(log_w, 1) - math.log(num_samples)
        shares = tf.stop_gradient(tf.nn.softmax(log_w, 1))
    objective = tf.reduce_mean(bounds) - kl_weight * prior.log_z_surrogate(theta, population)

    if not (plain or variational):
        factor.set((kl_weight * shares + 1 - kl_weight)[..., None])
    return objective, summarise(fixed_phi, sample, outputs, log_px, log_prior, log_q, shares)


def marginal(model: Any, log_px: tf.Tensor, draws: Draws) -> Likelihood:
    r"""The estimate of log p(x) + log Z_\theta, with weighted samples of the posterior:

      p(x) Z_\theta ~ 1/K sum_k W_k p(x | z_k) exp(-E_\theta(z_k)) / q*(z_k),   q* = Z_q q

    An RBM's draws are the end states of AIS, W_k their weights, which include the base's
    normaliser: the estimate's expectation is p(x) Z_\theta exactly, for any schedule and any number
    of samples. (Unweighted end states would make it too large.)

    Args:
      model: what has the prior, `prior_machine()`.
      log_px: log p(x | z_k), [B, K].
      draws: the z_k.
    """
    log_ratio = log_px + prior.log_prob(model.prior_machine(), draws.z) - draws.log_prob
    log_ratio = tf.cast(log_ratio, tf.float64)
    weights = tf.nn.softmax(draws.log_weights, -1)
    elbo = tf.reduce_sum(weights * log_ratio, -1) + resampling.log_mean_exp(draws.log_weights)
    log_joint = draws.log_weights + log_ratio
    ess = resampling.effective_sample_size(log_joint)
    return Likelihood(resampling.log_mean_exp(log_joint), elbo, ess)


VAE = Task(importance_weighted, kl_weight, marginal, has_prior=True)
