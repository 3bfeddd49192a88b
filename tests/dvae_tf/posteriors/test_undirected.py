from __future__ import annotations

import numpy as np
import oracles
import pytest
import tensorflow as tf

from dvae_tf import relaxations
from dvae_tf.posteriors.backpropagation import ising_sweeps, relaxed_sweeps
from dvae_tf.posteriors.undirected import RBMPosterior
from sampler import seeds
from sampler.machines.ising import IsingRBM, LowRankIsingRBM, from_binary
from sampler.machines.rbm import RBM


def make(coupling_scale=1.5, sweeps=1, relaxed=1, name="pwl", rank=0) -> RBMPosterior:
    posterior = RBMPosterior(sweeps, relaxed, rank, coupling_scale)
    posterior.relaxation = relaxations.make(name, 4.0)
    posterior.attach((3, 5), 10, seed=0)
    return posterior


@pytest.fixture
def context() -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).normal(size=(200, 10)), tf.float32)


def test_head_speaks_of_spins(context):
    # J = 1.5 BN(c A) / sqrt(n), f = c B + b; W = 4J, b1 = 2 (f1 - J 1), b2 = 2 (f2 - J'1)
    posterior = make()
    phi = [t.numpy() for t in posterior(context, training=True).binary()]
    raw = context.numpy().astype(np.float64) @ posterior.couplings.kernel.numpy()
    gamma = posterior.batch_norm.gamma.numpy()
    normalised = gamma * (raw - raw.mean(0)) / np.sqrt(raw.var(0) + 1e-2)
    j = 1.5 * normalised.reshape(-1, 3, 5) / np.sqrt(np.sqrt(3 * 5))
    f = context.numpy() @ posterior.fields.kernel.numpy() + posterior.fields.bias.numpy()
    expected = [2 * (f[:, :3] - j.sum(2)), 2 * (f[:, 3:] - j.sum(1)), 4 * j]
    for value, truth in zip(phi, expected, strict=True):
        np.testing.assert_allclose(value, truth, rtol=1e-4, atol=1e-4)


def test_fluctuating_couplings_leave_an_unbiased_unit_alone(context):
    # with no fields, each spin's mean is zero whatever the couplings are
    posterior = make()
    posterior(context)
    posterior.fields.kernel.assign(tf.zeros_like(posterior.fields.kernel))
    phi = [t.numpy() for t in posterior(context[:5], training=False).binary()]
    assert abs(phi[0]).max() > 0.05
    for one in zip(*phi, strict=True):
        np.testing.assert_allclose(oracles.mean1(*one), 0.5, atol=1e-5)
        np.testing.assert_allclose(oracles.mean2(*one), 0.5, atol=1e-5)


def test_no_couplings_without_a_scale(context):
    phi = make(coupling_scale=0.0)(context)
    assert not np.any(phi.j)


@pytest.mark.parametrize(("sweeps", "relaxed"), [(1, 1), (3, 1), (2, 3)])
def test_hard_sweeps_keep_the_posterior(sweeps, relaxed):
    # chains start as its exact samples, and remain so
    count, generator = 20_000, np.random.default_rng(1)
    rbm = [generator.normal(size=s) for s in ((3,), (5,), (3, 5))]
    _, z2 = oracles.samples(*rbm, count, generator)
    copies = RBM(*(tf.constant(np.repeat(t[None], count, 0), tf.float32) for t in rbm))
    phi = from_binary(copies)
    posterior = make(sweeps=sweeps, relaxed=relaxed)
    sample = posterior.sample(phi, tf.constant(z2[:, None], tf.uint8), seeds.make_seed(3))
    assert sample.zeta.shape == (count, 1, 8) and sample.chains.dtype == tf.uint8
    chains = sample.chains.numpy()[:, 0]
    mean = oracles.mean2(*rbm)
    assert abs((chains.mean(0) - mean) / np.sqrt(mean * (1 - mean) / count)).max() < 5
    assert np.mean(np.any(chains != z2, 1)) > 0.5


@pytest.mark.parametrize("relaxed", [1, 2])
def test_gradient_flows_through_relaxed_sweeps_only(relaxed):
    # the hard chain that a sweep starts from is data: b2's gradient in zeta1 needs a second sweep
    generator = np.random.default_rng(2)
    values = [generator.normal(size=s) for s in ((50, 3), (50, 5), (50, 3, 5))]
    phi = IsingRBM(*(tf.constant(t, tf.float32) for t in values))
    posterior = make(relaxed=relaxed, name="concrete")
    with tf.GradientTape() as tape:
        tape.watch(phi)
        sample = posterior.sample(phi, tf.zeros([50, 1, 5], tf.uint8), seeds.make_seed(0))
        zeta1 = sample.zeta[..., :3]
    gradient = tape.gradient(zeta1, phi.f2, unconnected_gradients="zero").numpy()
    assert np.any(gradient != 0) == (relaxed == 2)


@pytest.mark.parametrize("relaxed", [1, 3])
@pytest.mark.parametrize("name", ["pwl", "concrete"])
@pytest.mark.parametrize(
    "kind, shapes",
    [(IsingRBM, [(6, 3, 5)]), (LowRankIsingRBM, [(6, 3, 2), (6, 5, 2)])],
    ids=["dense", "low_rank"],
)
def test_written_gradient_is_autodiff_s(relaxed, name, kind, shapes):
    generator = np.random.default_rng(3)
    values = [generator.normal(size=s) for s in ((6, 3), (6, 5), *shapes)]
    phi = kind(*(tf.constant(t, tf.float32) for t in values))
    hard = None, tf.constant(generator.choice([-1, 1], (6, 4, 5)), tf.float32)
    weights = [tf.constant(generator.normal(size=(6, 4, n)), tf.float32) for n in (3, 5)]
    draw = relaxations.make(name, 4.0).draw
    sweep_seeds = [seeds.make_seed(i) for i in range(relaxed)]

    gradients = []
    for sweeps in (relaxed_sweeps, ising_sweeps):
        with tf.GradientTape() as tape:
            tape.watch(phi)
            # a function in which both sides meet
            zeta1, zeta2 = sweeps(phi, hard, sweep_seeds, draw)
            loss = tf.reduce_sum(weights[0] * zeta1**2)
            loss += tf.reduce_sum(weights[1] * zeta2 * tf.reduce_sum(zeta1, -1, keepdims=True))
        gradients.append(tape.gradient(loss, phi))
    for autodiff, written in zip(*gradients, strict=True):
        assert abs(autodiff.numpy()).max() > 0.1
        np.testing.assert_allclose(written, autodiff, rtol=1e-4, atol=1e-4)


def test_low_rank_head_speaks_of_spins(context):
    # J = 1.5 U V' / sqrt(n r), U and V through one batch norm
    posterior = make(rank=2)
    phi = posterior(context, training=True)
    raw = context.numpy().astype(np.float64) @ posterior.couplings.kernel.numpy()
    gamma = posterior.batch_norm.gamma.numpy()
    normalised = gamma * (raw - raw.mean(0)) / np.sqrt(raw.var(0) + 1e-2)
    factors = normalised.reshape(-1, 8, 2)
    products = factors[:, :3] @ factors[:, 3:].swapaxes(1, 2)
    j = 1.5 * products / np.sqrt(np.sqrt(3 * 5) * 2)
    np.testing.assert_allclose(phi.u @ phi.v.numpy().swapaxes(1, 2), j, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", [0, 2])
def test_couplings_start_at_a_tenth_of_their_scale(rank, context):
    # 1.5 / sqrt(n r) x 0.1 x the spread of a sum of r products of two standard normals, sqrt(r)
    rms = float(make(rank=rank)(context, training=True).rms_coupling())
    np.testing.assert_allclose(rms, 0.15 / np.sqrt(np.sqrt(15)), rtol=0.3)
