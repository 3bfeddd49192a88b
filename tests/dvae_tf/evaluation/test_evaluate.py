from __future__ import annotations

import json

import numpy as np
import pytest

from dvae_tf.evaluation import evaluate
from dvae_tf.evaluation.evaluate import Evaluator, prior_log_z
from sampler import seeds

SAMPLES = 500


@pytest.fixture(scope="module")
def evaluation(model, images):
    evaluator = Evaluator(model, SAMPLES, 20, 200, len(images), seed=3)
    return evaluator(images.astype(np.uint8), show_progress=False)


def test_bracket_holds_the_enumerated_log_z(model, exact):
    bracket = prior_log_z(model, 200, seeds.make_seed(0), show_progress=False)
    assert bracket.lower <= exact.log_z <= bracket.upper
    assert bracket.upper - bracket.lower < 0.2


def test_nll_equals_the_enumerated_one(evaluation, images, exact):
    # log Z_theta's standard error from the bracket, the images' from their effective sample size
    # (its mean, which makes too small an error; the factor 2 is for that)
    log_z_error = (evaluation.log_z_prior - evaluation.log_z_prior_lower) / 3
    image_error = 2 / np.sqrt(evaluation.ess * len(images))
    difference = evaluation.nll + exact.log_px.mean()
    assert abs(difference) < 5 * np.hypot(log_z_error, image_error)
    assert abs(evaluation.log_z_prior - exact.log_z) < 5 * log_z_error
    spread = exact.log_px.std(ddof=1) / np.sqrt(len(images))
    assert evaluation.nll_stderr == pytest.approx(spread, rel=0.1)


def test_bound_lies_above_the_nll(evaluation, exact):
    assert evaluation.neg_elbo > evaluation.nll
    assert evaluation.neg_elbo == pytest.approx(-exact.elbo.mean(), abs=0.2)


def test_evaluation_counts_and_reports(evaluation, images):
    assert (evaluation.num_images, evaluation.num_samples) == (len(images), SAMPLES)
    assert 1 < evaluation.ess < SAMPLES
    assert evaluation.log_z_prior_lower <= evaluation.log_z_prior <= evaluation.log_z_prior_upper
    assert evaluation.images_per_second > len(images) / evaluation.seconds > 0
    assert json.loads(evaluation.to_json())["nll"] == evaluation.nll
    assert f"{evaluation.nll:.3f}" in evaluation.report()


def test_subset_is_a_fixed_random_choice():
    images = np.arange(100)[:, None]
    chosen = evaluate.subset(images, 20)
    np.testing.assert_array_equal(chosen, evaluate.subset(images, 20))
    assert len(np.unique(chosen)) == 20 and chosen.max() > 50
    for everything in (0, 100, 101):
        np.testing.assert_array_equal(evaluate.subset(images, everything), images)


def test_probabilities_are_binarised_once():
    bits = np.random.default_rng(0).integers(0, 2, (5, 4)).astype(np.uint8)
    np.testing.assert_array_equal(evaluate.binary(bits), bits)
    pixels = np.full((5000, 4), 0.3, np.float32)
    drawn = evaluate.binary(pixels)
    assert drawn.dtype == np.uint8 and set(np.unique(drawn)) == {0, 1}
    np.testing.assert_array_equal(drawn, evaluate.binary(pixels))
    # 20000 bits: five standard errors
    assert abs(drawn.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / drawn.size)
