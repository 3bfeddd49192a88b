"""Units of the prior that hold the label: likelihoods and samples against enumeration."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy.special import logsumexp

import dvae_tf
from dvae_tf import generation
from sampler import seeds

EDGES = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 5), (5, 6), (6, 0), (3, 6), (1, 5)]
STATES = oracles.states(7).astype(np.float32)
X = np.random.default_rng(0).integers(0, 2, (6, 5)).astype(np.float32)
C = np.array([0, 1, 2, 2, 1, 0])


@pytest.fixture(scope="module")
def model() -> dvae_tf.DVAE:
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((5,)), keras.Input((3,))]
    features = keras.layers.Dense(4)(keras.layers.Concatenate()(inputs))
    decoder = keras.Sequential([keras.Input((7,)), keras.layers.Dense(5)])
    model = dvae_tf.DVAE(
        keras.Model(inputs, features),
        decoder,
        (2, 2),
        prior=dvae_tf.GraphPrior(EDGES, chains=50),
        condition=dvae_tf.LabelUnits(3),
        image_shape=(5,),
    )
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    model.fit(X, C, batch_size=6, epochs=2, verbose=0)
    noise = np.random.default_rng(0)
    model.prior.f.assign(0.5 * noise.standard_normal(7))
    model.prior.j.assign(0.5 * noise.standard_normal(10))
    return model


def log_prior(model: dvae_tf.DVAE) -> np.ndarray:
    """log p(z, c) of the 128 states, of any code."""
    machine = model.prior_machine()
    s = 2 * machine.to_units(machine.split(STATES)).numpy().astype(np.float64) - 1
    f, j = model.prior.f.numpy(), model.prior.j.numpy()
    exponents = s @ f + sum(c * s[:, a] * s[:, b] for (a, b), c in zip(EDGES, j, strict=True))
    return exponents - logsumexp(exponents)


def has_code(label: int) -> np.ndarray:
    return np.all(STATES[:, 4:] == np.eye(3)[label], 1)


def test_the_likelihood_is_of_images_and_labels_together(model):
    logits = model.decode(tf.constant(STATES)).numpy().astype(np.float64)
    joint = X @ logits.T - np.logaddexp(0, logits).sum(1) + log_prior(model)
    truth = [logsumexp(row[has_code(c)]) for row, c in zip(joint, C, strict=True)]
    found = model.log_likelihood(X, C, num_samples=40_000, prior_temperatures=300)
    # posteriors of two steps' training: some weights are large
    np.testing.assert_allclose(found, truth, atol=0.1)


def test_samples_of_a_class_are_the_priors_given_its_code(model):
    code = tf.one_hot([1] * 4000, 3)
    latents = tf.function(partial(generation.latents, model), autograph=False)
    z = latents(tf.constant(4000), seeds.make_seed(0), code).numpy()
    np.testing.assert_array_equal(z[:, 4:], code)
    expected = np.exp(log_prior(model)[has_code(1)])
    counts = np.bincount(oracles.index(z[:, :4]), minlength=16)
    assert oracles.chi_square(counts, 4000 * expected / expected.sum()) < 5


def test_classes_may_be_mixed_and_the_export_draws_them_too(model, tmp_path):
    images = model.sample(6, condition=C, seed=3)
    assert images.shape == (6, 5) and len(np.unique(images, axis=0)) > 2
    model.export(tmp_path / "m", prior_temperatures=20)
    loaded = dvae_tf.load(tmp_path / "m")
    np.testing.assert_allclose(loaded.sample(6, condition=C, seed=3), images, atol=1e-5)
    assert model.evaluate_nll(X, C, num_samples=50, prior_temperatures=20).nll > 0


def test_a_prior_is_needed(model):
    with pytest.raises(ValueError, match="accepted with LabelUnits: a prior"):
        dvae_tf.DVAE(model.encoder, model.decoder, 4, prior=None, condition=dvae_tf.LabelUnits(3))
