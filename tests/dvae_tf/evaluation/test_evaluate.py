from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import oracles
import pytest
import tensorflow as tf

from dvae_tf.evaluation import evaluate
from dvae_tf.evaluation.evaluate import Evaluator, prior_log_z
from dvae_tf.evaluation.likelihood import CANDIDATES, LikelihoodOfMany
from dvae_tf.factory import new_model
from dvae_tf.posteriors.boltzmann import posterior_rbm
from dvae_tf.tasks import Likelihood
from sampler import seeds

SAMPLES = 500
SEED = seeds.make_seed(8)


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


def test_trusted_numbers_carry_no_warning(evaluation):
    assert evaluation.warnings() == []
    assert json.loads(evaluation.to_json())["warnings"] == []


def test_few_effective_samples_are_told(model, images):
    found = Evaluator(model, 20, 5, 50, len(images))(images, show_progress=False)
    (warning,) = found.warnings()
    assert re.search(r"the median effective sample size is 1?\d\.\d of 20, so", warning)
    assert f"Warning: {warning}" in found.report()


@pytest.fixture(scope="module", params=["vae", "structured_prediction"])
def two_modes(request, small_config, digits):
    """A model of two modes far apart in every posterior, of which the mean field finds one."""
    config = dataclasses.replace(small_config, task=request.param, hidden_units=(20,), seed=1)
    model = new_model(config, digits.train_mean)
    posterior = model.posterior
    posterior.batch_norm.gamma.assign(0 * posterior.batch_norm.gamma)
    posterior.batch_norm.beta.assign(0 * posterior.batch_norm.beta + 1.0)
    posterior.fields.kernel.assign(0 * posterior.fields.kernel)
    posterior.fields.bias.assign(0 * posterior.fields.bias + 0.01)
    return model


def exact_neg_elbo(model, x: np.ndarray) -> float:
    """-E_q[log p(x | z) (+ log p(z) - log q(z))], by enumeration; the prior is uniform."""
    parts = model.split(tf.constant(x))
    targets, phi = np.asarray(parts.targets, np.float64), posterior_rbm(model.encoded(parts.inputs))
    machines = zip(*(t.numpy() for t in phi), strict=True)
    q = np.stack([oracles.probabilities(*one).ravel() for one in machines])
    states = oracles.states(6).astype(np.float32)
    z = np.concatenate([np.repeat(states, 64, 0), np.tile(states, (64, 1))], -1)
    logits = model.decode(tf.constant(z)).numpy().astype(np.float64)
    log_ratio = targets @ logits.T - np.logaddexp(0, logits).sum(1)
    if model.has_prior:
        log_ratio = log_ratio - 12 * np.log(2) - np.log(q)
    return -np.sum(q * log_ratio, 1).mean()


def test_missed_modes_are_told(two_modes, images):
    """Their samples have equal weights: only another annealing shows that half is missing."""
    found = Evaluator(two_modes, 200, 10, 50, len(images))(images, show_progress=False)
    truth = exact_neg_elbo(two_modes, images)
    assert abs(found.neg_elbo - truth) > 0.3
    texts = [text for text in found.warnings() if "change the -ELBO by" in text]
    change = float(re.search("by (.*) nats", texts[0])[1])
    # of the same images, by 200 samples of each: what is printed was wrong by this, about
    assert found.neg_elbo + change == pytest.approx(truth, abs=0.3)


@pytest.mark.parametrize(("factor", "found"), [(16, "from 0 to 16; acc"), (0.5, "0 and 1")])
def test_pixels_that_are_no_bits_are_refused(factor, found, model, images):
    evaluator = Evaluator(model, 20, 5, 50, len(images))
    with pytest.raises(ValueError, match=f"images: found numbers .*{found}"):
        evaluator(factor * images, show_progress=False)


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


class GrowsUpToNine:
    """Stands in for `LikelihoodOfMany.__call__`, with more samples up to 9 temperatures."""

    def __init__(self):
        self.tried = []

    def __call__(self, many, images, seed, progress_fn=None):
        self.tried.append(len(many.betas))
        ess = np.full(len(images), 100.0 * min(len(many.betas), 9))
        return Likelihood(ess, ess, ess)


def test_as_many_temperatures_are_taken_as_pay(monkeypatch, model, images):
    stand_in = GrowsUpToNine()
    monkeypatch.setattr(LikelihoodOfMany, "__call__", lambda *args: stand_in(*args))
    many = LikelihoodOfMany(model, 20, 0, len(images))
    many.choose_temperatures(images, SEED)
    assert stand_in.tried == [3, 5, 9, 17] and len(many.betas) == 9
    fixed = LikelihoodOfMany(model, 20, 4, len(images))
    fixed.choose_temperatures(images, SEED)
    assert len(stand_in.tried) == 4 and len(fixed.betas) == 4


def test_a_schedule_with_its_end_repeated_is_the_schedule(model, images):
    """Bit for bit: what lets one graph serve schedules of all lengths."""
    plain, padded = (LikelihoodOfMany(model, 20, count, len(images)) for count in (5, 0))
    padded.betas = plain.betas
    assert len(padded._padded_betas()) == CANDIDATES[-1]
    for found, expected in zip(padded(images, SEED), plain(images, SEED), strict=True):
        np.testing.assert_array_equal(found, expected)
