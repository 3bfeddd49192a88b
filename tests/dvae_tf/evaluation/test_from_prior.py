"""Annealing from the prior against enumeration: no bias either way, bounds on the right sides."""

from __future__ import annotations

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy.special import logsumexp

import dvae_tf
from dvae_tf.evaluation.from_prior import FromPrior
from sampler import seeds

UNITS, REPEATS = 6, 2000
STATES = oracles.states(UNITS).astype(np.float32)
TRIANGLES = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 5), (5, 3)]


def make(prior) -> dvae_tf.DVAE:
    """A decoder that is far from linear, and says much about z."""
    keras.utils.set_random_seed(1)
    encoder = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    decoder = keras.Sequential(
        [keras.Input((UNITS,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(8)]
    )
    model = dvae_tf.DVAE(encoder, decoder, (3, 3), prior=prior)
    noise = np.random.default_rng(0)
    for variable in [*model.prior.trainable_variables, *decoder.trainable_variables]:
        variable.assign(
            noise.normal(scale=0.6 if "prior" in variable.path else 1.0, size=variable.shape)
        )
    return model


@pytest.fixture(scope="module", params=["rbm", "graph"])
def case(request) -> tuple[dvae_tf.DVAE, np.ndarray, np.ndarray]:
    """A model, an image, and log p(z, x) of all 64 states."""
    model = make(dvae_tf.RBMPrior() if request.param == "rbm" else dvae_tf.GraphPrior(TRIANGLES))
    x = np.random.default_rng(2).integers(0, 2, 8).astype(np.float32)
    logits = model.decoder(STATES).numpy().astype(np.float64)
    machine = model.prior_machine()
    log_p = -machine.energy(machine.split(tf.constant(STATES))).numpy().astype(np.float64)
    log_px = logits @ x - np.logaddexp(0, logits).sum(1)
    return model, x, log_p - logsumexp(log_p) + log_px


def chosen(log_p: np.ndarray, shape: tuple, seed: int) -> tf.Tensor:
    p = np.exp(log_p - logsumexp(log_p))
    return tf.constant(STATES[np.random.default_rng(seed).choice(len(p), shape, p=p)])


def copies(x: np.ndarray) -> tf.Tensor:
    return tf.constant(np.tile(x, (REPEATS, 1)))


def test_forward_is_unbiased_and_a_lower_bound(case):
    model, x, log_joint = case
    truth = logsumexp(log_joint)
    log_prior = log_joint - log_px_of(model, x)
    annealing = FromPrior(model, 2, 6)
    z = chosen(log_prior, (REPEATS, 2), 3)
    anneal = tf.function(annealing.anneal, jit_compile=True)
    found = anneal(model.prior_machine(), copies(x), None, z, seeds.make_seed(4)).numpy()
    ratios = np.exp(found - truth)
    stderr = ratios.std() / np.sqrt(REPEATS)
    assert abs(ratios.mean() - 1) < 5 * stderr < 0.5
    assert found.mean() + 3 * found.std() / np.sqrt(REPEATS) < truth


def log_px_of(model: dvae_tf.DVAE, x: np.ndarray) -> np.ndarray:
    logits = model.decoder(STATES).numpy().astype(np.float64)
    return logits @ x - np.logaddexp(0, logits).sum(1)


def test_backward_is_unbiased_and_an_upper_bound(case):
    model, x, log_joint = case
    truth = logsumexp(log_joint)
    annealing = FromPrior(model, 2, 6)
    z = chosen(log_joint, (REPEATS,), 5)
    found = annealing.backward(copies(x), None, z, seeds.make_seed(6))
    ratios = np.exp(truth - found)
    stderr = ratios.std() / np.sqrt(REPEATS)
    assert abs(ratios.mean() - 1) < 5 * stderr < 0.5
    assert found.mean() - 3 * found.std() / np.sqrt(REPEATS) > truth


def test_both_close_in_on_the_truth(case):
    model, x, log_joint = case
    truth, few = logsumexp(log_joint), tf.constant(np.tile(x, (20, 1)))
    annealing = FromPrior(model, 8, 100)
    prior_samples = annealing.prior_samples(200, seeds.make_seed(7))
    below = annealing.forward(few, None, prior_samples, seeds.make_seed(8))
    above = annealing.backward(few, None, chosen(log_joint, (20,), 9), seeds.make_seed(10))
    assert abs(below.mean() - truth) < 0.1 and abs(above.mean() - truth) < 0.1
