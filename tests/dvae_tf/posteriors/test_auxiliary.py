"""The posterior with auxiliary units against enumeration, and what more of them bring."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from dvae_tf import relaxations
from dvae_tf.posteriors.auxiliary import AuxiliaryPosterior
from sampler import seeds
from sampler.annealing import schedules
from sampler.machines.ising import IsingRBM

UNITS, STEPS = 10, 1000
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


def target() -> np.ndarray:
    """Couplings of a Boltzmann machine in which all units interact; fields on its diagonal."""
    noise = np.random.default_rng(3)
    couplings = np.triu(noise.normal(scale=1.2 / np.sqrt(UNITS), size=(UNITS, UNITS)), 1)
    return couplings + np.diag(noise.normal(scale=0.3, size=UNITS))


def log_target(spins: Any, lib: Any) -> Any:
    """log p*(s), of relaxed spins too; [...] for [..., n]."""
    couplings = target().astype(np.float32)
    fields, pairs = np.diag(couplings), np.triu(couplings, 1)
    return lib.einsum("...i,i->...", spins, fields) + lib.einsum(
        "...i,ij,...j->...", spins, pairs, spins
    )


def exact_kl(log_q: np.ndarray, log_p: np.ndarray) -> float:
    log_q, log_p = log_q - logsumexp(log_q), log_p - logsumexp(log_p)
    return float(np.exp(log_q) @ (log_q - log_p))


def learned_kl(auxiliary: int, coupled: bool) -> float:
    """KL(q || p) after Algorithm 1, for q an RBM with so many auxiliary units."""
    posterior = make(auxiliary, sweeps=5, relaxed_sweeps=4)
    start = rbm(auxiliary, 0.1 if coupled else 0.0)
    variables = [tf.Variable(p) for p in start]
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, STEPS))
    chains = posterior.initial_chains([1, 100], seeds.make_seed(1))

    @tf.function(jit_compile=True)
    def gradients(chains, step):
        with tf.GradientTape() as tape:
            f_h, f_z, j = (v.read_value() for v in variables)
            phi = IsingRBM(f_h, f_z, j if coupled else tf.zeros_like(j))
            fixed = tf.nest.map_structure(tf.stop_gradient, phi)
            sample = posterior.sample(phi, chains, seeds.fold_in(seeds.make_seed(2), step))
            spins = 2 * sample.zeta - 1
            log_p = log_target(spins, tf)
            loss = tf.reduce_mean(posterior.log_q(fixed, sample) - log_p)
        return tape.gradient(loss, variables), sample.chains

    for step in range(STEPS):
        found, chains = gradients(chains, tf.constant(step))
        pairs = zip(found, variables, strict=True)
        optimizer.apply_gradients([(g, v) for g, v in pairs if g is not None])
    log_p = log_target(2 * STATES - 1, np)
    return exact_kl(log_marginal([v.numpy() for v in variables], STATES), log_p)


@pytest.mark.soak
def test_the_kl_to_an_enumerated_posterior_falls_with_auxiliary_units():
    assert learned_kl(16, coupled=True) < 0.6 * learned_kl(1, coupled=False)


@pytest.mark.soak
def test_the_kl_falls_with_their_number(capsys):
    found = {0: learned_kl(1, coupled=False), **{n: learned_kl(n, True) for n in (4, 8, 16)}}
    with capsys.disabled():
        print("KL by auxiliary units:", {n: round(kl, 3) for n, kl in found.items()})
    assert found[0] > found[4] > found[8] > found[16]


def test_what_no_posterior_can_be():
    with pytest.raises(ValueError, match="auxiliary: found 0; accepted: an integer of at least 1"):
        AuxiliaryPosterior(0)
