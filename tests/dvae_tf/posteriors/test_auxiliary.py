"""The posterior with auxiliary units against enumeration, and what more of them bring."""

from __future__ import annotations

import csv

import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from dvae_tf import relaxations
from dvae_tf.posteriors.auxiliary import AuxiliaryPosterior
from dvae_tf.toys import auxiliary_report, auxiliary_runs
from dvae_tf.toys.settings import AuxiliarySettings
from sampler import seeds
from sampler.annealing import schedules
from sampler.machines.ising import IsingRBM

UNITS = 10
STATES = oracles.states(UNITS).astype(np.float32)


def make(auxiliary: int, units: int = UNITS, **settings) -> AuxiliaryPosterior:
    posterior = AuxiliaryPosterior(auxiliary, **settings)
    posterior.relaxation = relaxations.make("pwl", 4.0)
    posterior.attach((units - 1, 1), 3, seed=0)
    return posterior


def rbm(auxiliary: int, scale: float, units: int = UNITS) -> list[np.ndarray]:
    """Parameters of RBMs of spins with a batch dimension of one."""
    noise = np.random.default_rng(auxiliary)
    shapes = (auxiliary,), (units,), (auxiliary, units)
    return [(scale * noise.normal(size=(1, *s))).astype(np.float32) for s in shapes]


def log_marginal(parameters: list[np.ndarray], z: np.ndarray) -> np.ndarray:
    """log of sum over the spins h of q*(z, h), in NumPy by listing them."""
    f_h, f_z, j = (p[0].astype(np.float64) for p in parameters)
    h, s = 2 * oracles.states(len(f_h)) - 1.0, 2 * z - 1.0
    return s @ f_z + logsumexp((h @ f_h)[:, None] + h @ j @ s.T, 0)


def test_the_density_of_latents_has_h_summed_out():
    parameters = rbm(4, 0.8)
    phi = IsingRBM(*map(tf.constant, parameters))
    found = make(4).log_unnormalised(phi, tf.constant(STATES[None]))[0]
    np.testing.assert_allclose(found, log_marginal(parameters, STATES), rtol=1e-4, atol=1e-4)


def test_draws_are_weighted_samples_of_the_marginal():
    parameters = rbm(4, 0.7, 5)
    phi, z = IsingRBM(*map(tf.constant, parameters)), oracles.states(5)
    betas = tf.constant(schedules.linear(5))
    draws = make(4, 5).draw(phi, 20_000, betas, seeds.make_seed(0))
    weights = np.exp(draws.log_weights[0].numpy())
    log_q = log_marginal(parameters, z)
    np.testing.assert_allclose(
        draws.log_prob[0], log_marginal(parameters, draws.z[0].numpy()), rtol=1e-4, atol=1e-4
    )
    for values, truth in zip(
        [np.ones(len(weights)), *draws.z[0].numpy().T],
        [np.exp(log_q).sum(), *(np.exp(log_q) @ z)],
        strict=True,
    ):
        products = weights * values
        stderr = products.std() / np.sqrt(len(products))
        assert abs(products.mean() - truth) < 5 * stderr


def test_the_toys_kl_is_that_of_enumeration():
    """Both densities listed in NumPy, the target's couplings drawn there again."""
    settings = AuxiliarySettings(num_units=5, seed=3)
    noise = np.random.default_rng(3)
    pairs = np.triu(noise.normal(scale=1.2 / np.sqrt(5), size=(5, 5)), 1)
    fields, z = noise.normal(scale=0.3, size=5), oracles.states(5)
    spins = 2.0 * z - 1
    log_p = np.einsum("bi,ij,bj->b", spins, pairs, spins) + spins @ fields
    parameters = rbm(4, 0.7, 5)
    log_q = log_marginal(parameters, z)
    log_p, log_q = log_p - logsumexp(log_p), log_q - logsumexp(log_q)
    q = auxiliary_runs.posterior(4, 1, settings)
    found = auxiliary_runs.kl(
        IsingRBM(*map(tf.constant, parameters)), q, auxiliary_runs.Target(settings)
    )
    np.testing.assert_allclose(found, [np.exp(log_q) @ (log_q - log_p)], rtol=1e-4)


def test_the_toy_learns_and_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(auxiliary_report, "UNITS", (0, 4))
    monkeypatch.setattr(auxiliary_report, "STYLES", auxiliary_report.STYLES[:2])
    monkeypatch.setattr(auxiliary_report, "SWEEPS", (1,))
    auxiliary_report.write(tmp_path, AuxiliarySettings(200, 2, relaxed_sweeps=1, bias_samples=2000))
    assert {p.name for p in tmp_path.iterdir()} == {f"auxiliary.{k}" for k in ("csv", "md", "png")}
    with (tmp_path / "auxiliary.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["auxiliary"] == "4"]
    assert float(rows[-1]["kl"]) < 0.7 * float(rows[0]["kl"])


@pytest.mark.soak
def test_the_kl_falls_with_auxiliary_units():
    """Far at first; from some units on the bias of one relaxed sweep is what is left."""
    none, four, eight, sixteen = (
        auxiliary_runs.train(n, AuxiliarySettings(num_runs=4))[-10:].mean() for n in (0, 4, 8, 16)
    )
    assert four < none / 5 and eight < 0.8 * four and sixteen < 0.8 * four


@pytest.mark.soak
def test_the_bias_falls_with_relaxed_sweeps():
    found = (auxiliary_runs.bias(8, t, AuxiliarySettings()) for t in (1, 2))
    (one, error, _), (two, other, _) = found
    assert one - two > 4 * np.hypot(error, other)


def test_what_no_posterior_can_be():
    with pytest.raises(ValueError, match="auxiliary: found 0; accepted: an integer of at least 1"):
        AuxiliaryPosterior(0)
