"""A model small enough to enumerate, with couplings that matter, and the answers about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from dvae_tf import data
from dvae_tf.config import Config
from dvae_tf.dvae import DVAE
from dvae_tf.factory import new_model
from sampler.machines.rbm import RBM

# two devices for two replicas, before TensorFlow starts; all else runs on the first
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

UNITS = 6
"""Latents of each side: 4096 states in all."""


class Exact(NamedTuple):
    """log p(x) and the bound of each image, [N], and log Z_theta, by enumeration."""

    log_px: np.ndarray
    elbo: np.ndarray
    log_z: float


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return data.load("digits", "unused")


@pytest.fixture(scope="session")
def small_config() -> Config:
    """A run on the digits whose latents can be enumerated."""
    return Config(
        num_latents=2 * UNITS,
        hidden_units=(20,),
        posterior_sweeps=2,
        prior_chains=100,
        prior_sweeps=2,
        num_steps=20,
        batch_size=50,
        eval_every=20,
        valid_samples=20,
        eval_samples=20,
        num_temperatures=5,
        prior_temperatures=50,
        checkpoint_every=5,
    )


@pytest.fixture(scope="session")
def model(small_config: Config, digits: data.Dataset) -> DVAE:
    """A model with strong couplings, whose prior lies near its posteriors, as after training.

    Couplings are about 1.2 from the batch norm's beta, which all images share, and 0.4 from gamma;
    without a prior that resembles them, importance weights would be of no use.
    """
    model = new_model(dataclasses.replace(small_config, seed=1), digits.train_mean)
    generator = np.random.default_rng(0)
    norm = model.posterior.batch_norm
    norm.beta.assign(0.5 * generator.standard_normal(norm.beta.shape))
    norm.gamma.assign(tf.fill(norm.gamma.shape, 0.2))
    for layer in (model.posterior.fields, model.decoder.get_layer("logits")):
        layer.kernel.assign(0.4 * layer.kernel)
    posteriors = model.phi(tf.constant(digits.valid, tf.float32)).binary()
    means = [tf.reduce_mean(values, 0) for values in posteriors]
    model.prior.assign(RBM(*(m + 0.2 * generator.standard_normal(m.shape) for m in means)))
    return model


@pytest.fixture(scope="session")
def images(digits: data.Dataset) -> np.ndarray:
    return digits.test[:12].astype(np.float32)


@pytest.fixture(scope="session")
def enumerate_model() -> Callable[[DVAE, np.ndarray], Exact]:
    return _enumerate_model


@pytest.fixture(scope="session")
def exact(model: DVAE, images: np.ndarray) -> Exact:
    return _enumerate_model(model, images)


@pytest.fixture(scope="session")
def project() -> Path:
    """The repository."""
    return Path(__file__).resolve().parents[2]


def _enumerate_model(model: DVAE, x: np.ndarray) -> Exact:
    theta = [t.numpy() for t in model.prior_machine()]
    log_z = oracles.log_z(*theta)
    log_joint = _log_px_given_z(model, x) - oracles.energies(*theta).ravel() - log_z
    phi = [t.numpy() for t in model.phi(tf.constant(x)).binary()]
    q = np.stack([oracles.probabilities(*one).ravel() for one in zip(*phi, strict=True)])
    return Exact(logsumexp(log_joint, 1), np.sum(q * (log_joint - np.log(q)), 1), log_z)


def _log_px_given_z(model: DVAE, x: np.ndarray) -> np.ndarray:
    """log p(x | z) of each image and each of the 4096 states, [N, 4096], float64."""
    states = oracles.states(UNITS).astype(np.float32)
    z1, z2 = np.repeat(states, len(states), 0), np.tile(states, (len(states), 1))
    logits = model.decode(tf.concat([z1, z2], -1)).numpy().astype(np.float64)
    return x.astype(np.float64) @ logits.T - np.logaddexp(0, logits).sum(1)
