"""The evaluation against the enumeration of all 4096 latent states (see `exact` in conftest)."""

from __future__ import annotations

import dataclasses

import numpy as np
import oracles
import pytest
import tensorflow as tf

from dvae_tf.dvae import DVAE
from dvae_tf.evaluation import likelihood as module
from dvae_tf.evaluation.likelihood import LikelihoodOfMany, likelihood
from dvae_tf.factory import new_model
from dvae_tf.tasks import Likelihood
from sampler import seeds
from sampler.annealing import bridge, chains, schedules
from sampler.weights import resampling

SAMPLES = 2000
REPLICAS = 20_000
IMAGE = 2
"""That of `images` on which the shortest schedule is tried: its posterior's couplings matter."""


def betas(num_temperatures: int) -> tf.Tensor:
    return tf.constant(schedules.linear(num_temperatures))


def stderr_of_log(result: Likelihood, num_samples: int) -> np.ndarray:
    """Of log_marginal: the relative error of a mean of weights (the delta method)."""
    return np.sqrt(1 / result.ess - 1 / num_samples)


def copies(x: np.ndarray, count: int) -> tf.Tensor:
    """One image as a batch of independent replicas."""
    return tf.constant(np.repeat(x[None], count, 0))


def z_score(draws: np.ndarray, expected: float) -> float:
    return float((draws.mean() - expected) / (draws.std() / np.sqrt(len(draws))))


@pytest.fixture(scope="module")
def short(model, images, exact) -> Likelihood:
    """Replicas of one image with 4 samples each and the shortest schedule there is."""
    x = copies(images[IMAGE], REPLICAS)
    return likelihood(model, x, 4, betas(2), seeds.make_seed(0))


def test_log_marginal_equals_the_enumerated_one(model, images, exact):
    result = likelihood(model, tf.constant(images), SAMPLES, betas(20), seeds.make_seed(0))
    assert result.log_marginal.dtype == tf.float64
    errors = result.log_marginal.numpy() - exact.log_z - exact.log_px
    assert abs(errors / stderr_of_log(result, SAMPLES)).max() < 5
    # a tenth of a nat, which a missing term would exceed
    assert abs(errors).max() < 0.2


def test_estimate_is_unbiased_for_any_schedule_and_number_of_samples(short, model, images, exact):
    ratio = np.exp(short.log_marginal.numpy() - exact.log_z - exact.log_px[IMAGE])
    assert abs(z_score(ratio, 1)) < 5
    # no trivial case: each estimate is far off
    assert ratio.std() > 0.5


def test_unweighted_end_states_would_be_biased(model, images, exact):
    # The check above has the power to tell: the same end states, taken for samples of q.
    phi = model.phi(copies(images[IMAGE], REPLICAS)).binary()
    route, seed = bridge.from_mean_field(phi), seeds.make_seed(0)
    begun = chains.initial(route, 4, seeds.fold_in(seed, 0))
    ended = chains.anneal(route, begun, betas(2), seeds.fold_in(seed, 1))
    z = route.complete(ended.state, 1.0, seeds.fold_in(seed, 2))
    log_px = model.log_px(images[IMAGE][None], model.decode(tf.concat(z, -1)))
    log_ratio = log_px - model.prior_machine().energy(z) + phi.energy(z)
    log_z_phi = oracles.log_z(*(t[0].numpy() for t in phi))
    log_estimate = resampling.log_mean_exp(tf.cast(log_ratio, tf.float64)) + log_z_phi
    ratio = np.exp(log_estimate.numpy() - exact.log_z - exact.log_px[IMAGE])
    assert abs(ratio.mean() - 1) > 0.1
    assert abs(z_score(ratio, 1)) > 20
    # the end states are those that `likelihood` weights: their weights set it right
    joint = tf.cast(log_ratio, tf.float64) + ended.log_weights
    ratio = np.exp(resampling.log_mean_exp(joint).numpy() - exact.log_z - exact.log_px[IMAGE])
    assert abs(z_score(ratio, 1)) < 5


def bounds(model: DVAE, images: np.ndarray, num_temperatures: int) -> np.ndarray:
    """`elbo` of each image, lacking - log Z_theta, from 40 independent replicas: [40, N]."""
    x = tf.constant(np.tile(images, (40, 1)))
    result = likelihood(model, x, 500, betas(num_temperatures), seeds.make_seed(4))
    return result.elbo.numpy().reshape(40, len(images))


def assert_bounds(drawn: np.ndarray, exact: np.ndarray) -> None:
    # 40 replicas and 12 images: for a t distribution 5.5 is what 5 is for a normal one
    stderr = drawn.std(0, ddof=1) / np.sqrt(len(drawn))
    assert abs((drawn.mean(0) - exact) / stderr).max() < 5.5


def test_elbo_equals_the_enumerated_bound(model, images, exact):
    drawn = bounds(model, images, 20) - exact.log_z
    assert_bounds(drawn, exact.elbo)
    # and lies below log p(x), clearly
    stderr = drawn.std(0, ddof=1) / np.sqrt(len(drawn))
    assert np.all(drawn.mean(0) + 5 * stderr < exact.log_px)


@pytest.fixture(scope="module")
def mean_field(digits, small_config) -> DVAE:
    config = dataclasses.replace(small_config, coupling_scale=0.0)
    model = new_model(dataclasses.replace(config, seed=2), digits.train_mean)
    w = np.random.default_rng(0).normal(0, 1, model.prior.j.shape)
    model.prior.assign(model.prior_machine()._replace(w=tf.constant(w, tf.float32)))
    return model


def test_mean_field_posterior_has_equal_weights(mean_field, images):
    phi = mean_field.phi(tf.constant(images)).binary()
    route = bridge.from_fields(phi)
    begun = chains.initial(route, 50, seeds.make_seed(0))
    log_weights = chains.anneal(route, begun, betas(5), seeds.make_seed(1)).log_weights
    log_z = [oracles.log_z(*one) for one in zip(*(t.numpy() for t in phi), strict=True)]
    # both are float64 sums over the same float32 biases, and no temperature adds to them
    np.testing.assert_allclose(log_weights, np.repeat(np.array(log_z)[:, None], 50, 1), rtol=1e-12)


def test_elbo_of_a_mean_field_equals_the_enumerated_bound(mean_field, images, enumerate_model):
    exact = enumerate_model(mean_field, images)
    assert_bounds(bounds(mean_field, images, 2) - exact.log_z, exact.elbo)


@pytest.fixture(scope="module")
def chunked(model, digits) -> tuple[np.ndarray, Likelihood, list[int]]:
    """13 images in chunks of 5, and the chunks' sizes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STATES_PER_CHUNK", 5 * SAMPLES + 1)
        evaluate_many = LikelihoodOfMany(model, SAMPLES, 10, num_images=13)
    assert evaluate_many.size == 5
    sizes: list[int] = []
    images = digits.test[20:33]
    return images, evaluate_many(images, seeds.make_seed(0), sizes.append), sizes


def test_chunks_cover_every_image(chunked):
    _, result, sizes = chunked
    assert [len(field) for field in result] == [13, 13, 13]
    assert all(np.all(np.isfinite(field)) for field in result)
    assert sizes == [5, 5, 3]


def test_values_in_chunks_equal_the_enumerated_ones(chunked, model, enumerate_model):
    images, result, _ = chunked
    exact = enumerate_model(model, images.astype(np.float32))
    errors = result.log_marginal - exact.log_z - exact.log_px
    assert abs(errors / stderr_of_log(result, SAMPLES)).max() < 5
    # the images differ, so that one in another's place would show
    assert np.min(np.diff(np.sort(exact.log_px))) > 0
    assert np.std(exact.log_px) > 10 * np.std(errors)


def test_chunk_is_no_larger_than_the_images_or_the_bound(model):
    assert LikelihoodOfMany(model, 10, 2, num_images=7).size == 7
    assert LikelihoodOfMany(model, 10 * module.STATES_PER_CHUNK, 2, num_images=7).size == 1
