"""Directed posteriors, low-rank couplings and structured prediction against enumeration."""

from __future__ import annotations

import dataclasses

import directed_oracle
import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from dvae_tf.evaluation.likelihood import likelihood
from dvae_tf.export import ExportedModel, export
from dvae_tf.model import DVAE
from sampler import seeds
from sampler.annealing import schedules
from sampler.machines.rbm import RBM

SIDE = 6
SAMPLES = 20_000
BETAS = tf.constant(schedules.linear(10))
KINDS = {
    "directed": {"posterior": "directed", "num_layers": 2},
    "directed, own context": {"posterior": "directed", "num_layers": 3, "shared_context": False},
    "low rank": {"coupling_rank": 2},
    "structured prediction": {"task": "structured_prediction"},
    "structured prediction, directed": {
        "task": "structured_prediction",
        "posterior": "directed",
        "num_layers": 2,
    },
}


@pytest.fixture(scope="module", params=KINDS)
def model(request, small_config, digits) -> DVAE:
    """With couplings or dependences that matter, and a prior that is not uniform."""
    config = dataclasses.replace(small_config, **KINDS[request.param])
    model = DVAE(config, digits.train_mean, seed=1)
    generator = np.random.default_rng(0)
    layers = [model.decoder.layers[-1]]
    if model.posterior.chain_units:
        norm = model.posterior.batch_norm
        norm.beta.assign(0.6 * generator.standard_normal(norm.beta.shape))
        layers.append(model.posterior.fields)
    else:
        layers += [network.layers[-1] for network in model.posterior.networks]
    # an untrained posterior that is sure of itself would give importance weights of no use
    for layer in layers:
        layer.kernel.assign(0.25 * layer.kernel)
    shapes = ((SIDE,), (SIDE,), (SIDE, SIDE))
    model.prior.assign(
        RBM(*(tf.constant(0.5 * generator.standard_normal(s), tf.float32) for s in shapes))
    )
    return model


def log_posterior(model: DVAE, inputs: np.ndarray) -> np.ndarray:
    """log q(z | x) of all states, [N, 4096]."""
    phi = model.phi(tf.constant(inputs))
    if not model.posterior.chain_units:
        return directed_oracle.log_prob(model.posterior.networks, phi.context.numpy())
    parameters = [t.numpy() for t in phi.binary()]
    if len(parameters) == 4:
        b1, b2, u, v = parameters
        parameters = [b1, b2, u @ v.swapaxes(1, 2)]
    # couplings matter: the posterior is far from independent units
    assert np.sqrt(np.mean(parameters[2] ** 2)) > 0.3
    rows = zip(*parameters, strict=True)
    return np.log(np.stack([oracles.probabilities(*row).ravel() for row in rows]))


def enumerated(model: DVAE, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log p(x) Z_theta, or log p(x2 | x1), and the bound of each image."""
    inputs, targets = model.split(x)
    z1, z2 = np.split(oracles.states(2 * SIDE).astype(np.float32), 2, -1)
    logits = model.decode(tf.constant(z1), tf.constant(z2)).numpy().astype(np.float64)
    log_px = targets.astype(np.float64) @ logits.T - np.logaddexp(0, logits).sum(1)
    log_q = log_posterior(model, inputs)
    if model.task == "structured_prediction":
        return logsumexp(log_q + log_px, axis=1), np.sum(np.exp(log_q) * log_px, 1)
    energies = oracles.energies(*(t.numpy() for t in model.prior_rbm())).ravel()
    log_joint = log_px - energies
    return logsumexp(log_joint, axis=1), np.sum(np.exp(log_q) * (log_joint - log_q), 1)


def test_likelihood_equals_the_enumerated_one(model, images):
    result = likelihood(model, tf.constant(images), SAMPLES, BETAS, seeds.make_seed(0))
    log_marginal, _ = enumerated(model, images)
    stderr = np.sqrt(1 / result.ess - 1 / SAMPLES)
    z_scores = (result.log_marginal - log_marginal) / stderr
    assert np.max(abs(z_scores)) < 5
    assert np.max(stderr) < 0.2


def test_bound_equals_the_enumerated_one(model, images):
    drawn = [
        likelihood(model, tf.constant(images), 500, BETAS, seeds.make_seed(i)).elbo
        for i in range(12)
    ]
    mean, stderr = oracles.mean_and_stderr(np.stack(drawn))
    _, bound = enumerated(model, images)
    # 12 runs: for a t distribution of 11 degrees of freedom 7.5 is what 5 is for a normal one
    assert abs((mean - bound) / stderr).max() < 7.5


def test_export_gives_the_enumerated_likelihood(model, images, tmp_path):
    export(model, tmp_path / "model", 0.0, num_temperatures=10)
    loaded = ExportedModel(tmp_path / "model")
    assert (loaded.task, loaded.num_pixels) == (model.task, 64)
    result = likelihood(loaded, tf.constant(images), SAMPLES, BETAS, seeds.make_seed(1))
    log_marginal, _ = enumerated(model, images)
    stderr = np.sqrt(1 / result.ess - 1 / SAMPLES)
    z_scores = (result.log_marginal - log_marginal) / stderr
    assert np.max(abs(z_scores)) < 5
