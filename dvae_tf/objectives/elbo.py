"""Algorithm 1: the variational bound with the gradient that backpropagates through Gibbs sweeps."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from dvae_tf.model import DVAE, log_bernoulli
from dvae_tf.prior import log_z_surrogate
from sampler.ising import IsingRBM
from sampler.population_annealing import Population


class Terms(NamedTuple):
    """Scalars averaged over the batch, and what the step hands on.

    Attributes:
      log_likelihood: log p(x | zeta), nats.
      prior_energy: E_theta(zeta), without log Z_theta.
      posterior_energy: E_phi(zeta) of the spins, without log Z_phi.
      inside: fraction of zeta strictly inside (0, 1).
      phi: the posteriors, [B].
      chains: the images' advanced chains, [B, 1, n2].
      logits: of the reconstructed pixels, [B, D].
    """

    log_likelihood: tf.Tensor
    prior_energy: tf.Tensor
    posterior_energy: tf.Tensor
    inside: tf.Tensor
    phi: IsingRBM
    chains: tf.Tensor
    logits: tf.Tensor


def elbo(
    model: DVAE,
    x: tf.Tensor,
    chains: tf.Tensor,
    population: Population,
    kl_weight: tf.Tensor,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, Terms]:
    r"""The objective to maximise, of which only the gradient has a meaning:

      L = mean_x log p(x | zeta)
          + \lambda [ -E_\theta(zeta) + E_{sg(\phi)}(zeta) - log Z_\theta ]

    with zeta ~ relaxed sweeps of q_\phi(z | x) that start from the image's persistent chain. (The
    paper prints + log Z_theta, a misprint.) log Z_phi is not needed, as E_q[d log q / d phi] = 0.

    Args:
      model: the DVAE.
      x: images, [B, D].
      chains: states z2 of the images' chains, [B, 1, n2].
      population: weighted samples of the prior at its present parameters.
      kl_weight: lambda, in [0, 1].
      seed: int32, shape [2].
    """
    phi = model.phi(x, training=True)
    sample = model.posterior.sample(phi, chains, seed)
    zeta1, zeta2 = sample.zeta1, sample.zeta2
    fixed_phi = tf.nest.map_structure(tf.stop_gradient, phi)
    theta = model.prior.rbm()

    logits = model.decode(zeta1, zeta2, training=True)[:, 0]
    log_px = log_bernoulli(x, logits)
    prior_energy = theta.energy(zeta1, zeta2)[:, 0]
    posterior_energy = fixed_phi.energy(zeta1, zeta2)[:, 0]
    log_ratio = log_px + kl_weight * (posterior_energy - prior_energy)
    objective = tf.reduce_mean(log_ratio) - kl_weight * log_z_surrogate(theta, population)

    zeta = tf.concat([zeta1, zeta2], -1)
    inside = tf.cast((zeta > 0) & (zeta < 1), tf.float32)
    return objective, Terms(
        log_likelihood=tf.reduce_mean(log_px),
        prior_energy=tf.reduce_mean(prior_energy),
        posterior_energy=tf.reduce_mean(posterior_energy),
        inside=tf.reduce_mean(inside),
        phi=fixed_phi,
        chains=sample.chains,
        logits=logits,
    )
