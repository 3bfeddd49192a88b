"""The objectives' gradients where the posterior is a Gaussian and nothing is relaxed.

p(z) = N(0, 1) and log p(x | z) = a z - c z^2 + constant, so that p(z | x) = N(a v, v) with
v = 1 / (1 + 2c). An image of the batch
is an independent replica; the oracle differentiates the bound numerically, with its own samples.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from stand_in import StandIn

from dvae_tf.posteriors.posterior import Sample
from dvae_tf.priors.rbm import RBMPrior
from dvae_tf.registry import TASKS
from sampler import seeds
from sampler.populations import population as populations

SLOPE, CURVATURE = 1.2, 0.1
VARIANCE = 1 / (1 + 2 * CURVATURE)
TRUE = SLOPE * VARIANCE, VARIANCE**0.5
"""Mean and standard deviation of p(z | x)."""

SAMPLES = 3
REPLICAS = 100_000
LOW = 40.0
"""How far below zero logits lie, so that log p(x = 1) is the logit."""


class Gaussian(NamedTuple):
    """Of each replica, [B, 1, 1]."""

    loc: tf.Tensor
    scale: tf.Tensor


class Model(StandIn):
    """What the objectives ask of a model, its posterior and its relaxation."""

    def __init__(self, task: str, loc: float, scale: float, count: int):
        self.task = TASKS.load(task)
        self.parameters = [tf.fill([count, 1, 1], v) for v in (loc, scale)]
        self.posterior = self.relaxation = self
        self.prior = RBMPrior()
        self.prior.attach((1, 1))

    def phi(self, inputs, training: bool):
        del inputs, training
        return Gaussian(*self.parameters)

    def sample(self, phi, chains, seed):
        noise = tf.random.stateless_normal([*chains.shape[:2], 1], seed)
        return Sample(phi.loc + phi.scale * noise, chains)

    def log_q(self, phi, sample):
        standard = (sample.zeta - phi.loc) / phi.scale
        return (self._log_normal(standard) - tf.math.log(phi.scale))[..., 0]

    def log_prior(self, theta, zeta):
        del theta
        return self._log_normal(zeta)[..., 0]

    def decode(self, z, given, training: bool):
        del given, training
        return _log_likelihood(z) - LOW

    def _log_normal(self, z):
        return -0.5 * z**2 - 0.5 * math.log(2 * math.pi)


def _log_likelihood(z):
    return SLOPE * z - CURVATURE * z**2


def gradients(task: str, loc: float, scale: float, weight: float, iw_gradient: str = "dreg"):
    """Each replica's gradient in loc and in scale, [B, 2]."""
    model = Model(task, loc, scale, REPLICAS)
    population = populations.of_fields(model.prior.machine(), 2, seeds.make_seed(0))
    x, chains = tf.ones([REPLICAS, 1]), tf.zeros([REPLICAS, SAMPLES, 0])
    with tf.GradientTape() as tape:
        tape.watch(model.parameters)
        objective, _ = model.task.objective(
            model, x, chains, population, tf.constant(weight), seeds.make_seed(1), iw_gradient
        )
    found = tape.gradient(objective, model.parameters)
    return REPLICAS * np.stack([g.numpy()[:, 0, 0] for g in found], -1).astype(np.float64)


def log_weights(z, loc, scale, weight):
    """log of p(z)^weight p(x | z) / q(z)^weight, but for constants."""
    log_ratio = -0.5 * z**2 + 0.5 * ((z - loc) / scale) ** 2 + np.log(scale)
    return _log_likelihood(z) + weight * log_ratio


def log_likelihoods(z, loc, scale, weight):
    del loc, scale, weight
    return _log_likelihood(z)


def numerical(log_w, loc, scale, weight, step=1e-4):
    """The bound's derivatives in loc and scale, [N, 2], by finite differences at common noise."""
    noise = np.random.default_rng(0).standard_normal((REPLICAS, SAMPLES))

    def bound(loc, scale):
        terms = log_w(loc + scale * noise, loc, scale, weight)
        return np.log(np.exp(terms).mean(1))

    by_loc = bound(loc + step, scale) - bound(loc - step, scale)
    by_scale = bound(loc, scale + step) - bound(loc, scale - step)
    return np.stack([by_loc, by_scale], -1) / (2 * step)


def assert_same_mean(ours, theirs):
    stderr = np.sqrt(ours.var(0) / len(ours) + theirs.var(0) / len(theirs))
    difference = ours.mean(0) - theirs.mean(0)
    assert np.all(abs(difference) < 5 * stderr), (difference, stderr)


@pytest.mark.parametrize("iw_gradient", ["dreg", "iwae"])
@pytest.mark.parametrize("weight", [0.0, 0.3, 0.7, 1.0])
def test_mean_gradient_of_the_bound_is_the_numerical_one(weight, iw_gradient):
    ours = gradients("vae", -0.3, 1.4, weight, iw_gradient)
    theirs = numerical(log_weights, -0.3, 1.4, weight)
    assert_same_mean(ours, theirs)
    # the check has power: gradients are of order one, and squared shares alone, which are right
    # for a weight of one, would halve the first
    assert abs(theirs.mean(0)[0]) > 0.2
    assert np.all(ours.std(0) / np.sqrt(len(ours)) < 0.01)


def test_doubly_reparameterised_gradient_vanishes_at_the_true_posterior():
    # each replica's own, not only their mean: d log w / dz is zero
    assert abs(gradients("vae", *TRUE, 1.0)).max() < 1e-4
    assert abs(gradients("vae", *TRUE, 1.0, "iwae")).max() > 0.1


def test_doubly_reparameterised_gradient_varies_less_near_the_true_posterior():
    spread = [
        gradients("vae", TRUE[0] + 0.1, 1.1 * TRUE[1], 1.0, g).std(0) for g in ("dreg", "iwae")
    ]
    assert np.all(spread[1] > 5 * spread[0])


@pytest.mark.parametrize("weight", [1.0, 0.05])
def test_mean_gradient_of_structured_prediction_is_the_numerical_one(weight):
    ours = gradients("structured_prediction", 0.7, 1.4, weight)
    theirs = numerical(log_likelihoods, 0.7, 1.4, weight)
    # the entropy of a Gaussian is log scale + constant
    theirs[:, 1] += weight / 1.4
    assert_same_mean(ours, theirs)
