"""Samples of the model and reconstructions of images, as pixels' probabilities."""

from __future__ import annotations

import tensorflow as tf

from dvae_tf.evaluation.likelihood import Model
from sampler import gibbs, seeds
from sampler.annealing import bridge, schedules
from sampler.populations import population_annealing
from sampler.weights import resampling

POPULATION = 1000
"""Least population that a prior's samples are drawn from."""

TEMPERATURES = 300
SWEEPS = 20


def sample_images(model: Model, num_samples: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Pixels' probabilities [num_samples, D] for samples of the prior.

    The latents come from population annealing of the prior from the uniform distribution, so that
    each mode has its weight; they are `num_samples` members of the resampled population, after
    further sweeps.
    """
    rbm = model.prior_rbm()
    betas = schedules.linear(TEMPERATURES)
    population = population_annealing.anneal(
        bridge.from_uniform(rbm), betas, POPULATION, seeds.fold_in(seed, 0)
    )
    order = tf.argsort(seeds.uniform(seeds.fold_in(seed, 1), [POPULATION]))
    parents = tf.gather(
        resampling.systematic(population.log_weights, seeds.fold_in(seed, 2)), order
    )
    # more samples than members: members again, but swept on with random numbers of their own
    chosen = tf.gather(parents, tf.range(num_samples) % POPULATION)
    z1, z2 = gibbs.run(rbm, tf.gather(population.z2, chosen), SWEEPS, seeds.fold_in(seed, 3))
    return tf.sigmoid(model.decode(z1, z2))


def reconstruct(model: Model, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Probabilities of the predicted pixels [B, D] of images x, from a posterior sample each."""
    inputs, _ = model.split(x)
    draws = model.draw(inputs, 1, tf.constant(schedules.linear(SWEEPS)), seed)
    return tf.sigmoid(model.decode(draws.z1, draws.z2))[:, 0]
