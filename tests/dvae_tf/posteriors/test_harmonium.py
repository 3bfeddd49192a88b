"""Posteriors and priors of two kinds of units against enumeration and closed forms."""

from __future__ import annotations

import csv

import machine_oracle
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import relaxations
from dvae_tf.posteriors.harmonium import HarmoniumPosterior, Scaled
from dvae_tf.posteriors.posterior import Sample
from dvae_tf.priors import prior as priors
from dvae_tf.priors.harmonium import HarmoniumPrior
from dvae_tf.toys import harmonium_report, harmonium_runs
from dvae_tf.toys.settings import HarmoniumSettings
from sampler import seeds
from sampler.annealing import schedules
from sampler.machines import harmonium

SIZES = {"binary": 3, "gaussian": 2, "potts3": 6}
ORACLE = {"binary": "bernoulli", "gaussian": ("gaussian", 1.0), "potts3": ("categorical", 3)}
PAIRS = [("binary", "gaussian"), ("gaussian", "gaussian"), ("potts3", "binary")]
every_pair = pytest.mark.parametrize("names", PAIRS, ids=lambda names: "-".join(names))


def make(names) -> tuple[HarmoniumPosterior, Scaled, machine_oracle.Exact]:
    """A posterior, a phi of batch size one with scales that matter, and the exact answers."""
    sizes = tuple(SIZES[name] for name in names)
    posterior = HarmoniumPosterior(names, sweeps=5)
    posterior.relaxation = relaxations.make("concrete", 10.0)
    posterior.attach(sizes, 3, seed=0)
    noise = np.random.default_rng(0)
    f = [0.5 * noise.normal(size=(1, n)).astype(np.float32) for n in sizes]
    j = 0.6 * noise.normal(size=(1, *sizes)).astype(np.float32)
    machine = harmonium.from_centred(posterior.kinds, *f, j)
    scale = posterior.real * tf.constant(noise.normal(size=(1, sum(sizes))), tf.float32)
    values = [t.numpy()[0] for t in (*machine.fields, machine.couplings[0, 1])]
    exact = machine_oracle.solve([ORACLE[n] for n in names], values[:2], {(0, 1): values[2]})
    return posterior, Scaled(machine, 0.3 * scale), exact


@every_pair
def test_draws_are_weighted_samples(names):
    posterior, phi, exact = make(names)
    draws = posterior.draw(phi, 20_000, tf.constant(schedules.linear(5)), seeds.make_seed(0))
    weights = np.exp(draws.log_weights[0].numpy())
    scale = np.exp(phi.log_scale[0].numpy())
    z = draws.z[0].numpy()
    rows = [
        (np.ones(len(z)), 1.0),
        *zip(z.T, scale * exact.means, strict=True),
        *zip((z**2).T, scale**2 * np.diag(exact.second), strict=True),
    ]
    for values, truth in rows:
        products = weights * values
        stderr = products.std() / np.sqrt(len(products))
        assert abs(products.mean() - truth * np.exp(exact.log_z)) < 5 * stderr + 1e-4


@every_pair
def test_log_prob_is_normalised_with_the_scales_in_it(names):
    # E over draws of an arbitrary density over q: 1, wherever the units are real
    posterior, phi, exact = make(names)
    draws = posterior.draw(phi, 20_000, tf.constant(schedules.linear(5)), seeds.make_seed(1))
    z = draws.z[0].numpy().astype(np.float64)
    real, count = posterior.real.numpy() > 0, 2 ** (names.count("binary") * SIZES["binary"])
    count *= 9 ** names.count("potts3")
    log_other = -0.5 * np.sum((z[:, real] / 0.7) ** 2 + np.log(2 * np.pi * 0.7**2), -1)
    log_weights, log_prob = draws.log_weights[0].numpy(), draws.log_prob[0].numpy()
    ratios = np.exp(log_weights + log_other - np.log(count) - log_prob)
    stderr = ratios.std() / np.sqrt(len(ratios))
    assert abs(ratios.mean() - 1) < 5 * stderr < 0.3
    chains = posterior.initial_chains([1, 20_000], seeds.make_seed(2))
    log_q = posterior.log_q(phi, Sample(draws.z, chains))
    np.testing.assert_allclose(log_q, draws.log_prob, rtol=1e-4, atol=1e-4)


@every_pair
def test_samples_are_the_machines_and_the_gradient_of_log_z_is_right(names):
    posterior, phi, exact = make(names)
    chains = posterior.initial_chains([1, 20_000], seeds.make_seed(3))
    for step in range(4):
        found = posterior.sample(phi, chains, seeds.make_seed(10 + step))
        chains = found.chains
    with tf.GradientTape() as tape:
        tape.watch(phi)
        # at latents of no interest: their energy's gradient is known, and taken off
        log_q = tf.reduce_mean(posterior.log_q(phi, found))
        value = log_q - tf.reduce_mean(posterior.log_unnormalised(phi.machine, _units(phi, found)))
    gradients = tape.gradient(value, phi.machine.fields)
    means = -np.concatenate([g.numpy()[0] for g in gradients])
    tolerance = 5 * np.sqrt(np.diag(exact.second) - exact.means**2 + 1e-3) / np.sqrt(20_000)
    assert np.all(abs(means - exact.means) < tolerance + 2e-3)


def _units(phi: Scaled, found: Sample) -> tf.Tensor:
    return tf.stop_gradient(found.zeta * tf.exp(-phi.log_scale)[:, None])


def harmonium_prior(names):
    """The machine of a prior with random parameters."""
    prior = HarmoniumPrior(names)
    prior.attach(tuple(SIZES[name] for name in names))
    noise = np.random.default_rng(4)
    for variable in prior.trainable_variables:
        variable.assign(0.6 * noise.normal(size=variable.shape))
    return prior.machine()


def test_the_priors_log_z_and_samples():
    # the other pairs go through the conformance suite, or through the sampler's own tests
    names = ("gaussian", "gaussian")
    theta = harmonium_prior(names)
    values = [t.numpy() for t in (*theta.fields, theta.couplings[0, 1])]
    exact = machine_oracle.solve([ORACLE[n] for n in names], values[:2], {(0, 1): values[2]})
    bracket = priors.log_z_bracket(theta, 200, seeds.make_seed(5), lambda done: None)
    assert bracket.lower < exact.log_z < bracket.upper < bracket.lower + 0.2
    z = priors.sample(theta, tf.constant(1000), seeds.make_seed(6)).numpy()
    deviation = np.sqrt(np.diag(exact.second) - exact.means**2)
    np.testing.assert_allclose(z.mean(0), exact.means, atol=0.2 * deviation.max())


@every_pair
def test_the_priors_parameters_come_back(names):
    theta = harmonium_prior(names)
    again = HarmoniumPrior.decode(HarmoniumPrior.encode(theta))
    assert again.families == theta.families
    for one, other in zip(tf.nest.flatten(again), tf.nest.flatten(theta), strict=True):
        np.testing.assert_array_equal(one, other)


def test_potts_units_need_a_relaxation_of_theirs():
    posterior, phi, _ = make(("potts3", "binary"))
    posterior.relaxation = relaxations.make("pwl", 4.0)
    chains = posterior.initial_chains([1, 2], seeds.make_seed(0))
    with pytest.raises(ValueError, match="one of bits alone for units of Categorical"):
        posterior.sample(phi, chains, seeds.make_seed(1))


SETTINGS = HarmoniumSettings(
    num_steps=100, num_runs=3, num_samples=10, bias_samples=20_000, num_units=3, record_every=50
)


def test_the_toys_closed_forms():
    p = harmonium_runs.target(3, 0)
    q = harmonium_runs.Parameters(p.f1 + 0.3, p.f2, 0.5 * p.j)
    ours, theirs = (harmonium_runs.moments(x.machine()) for x in (q, p))
    cov, other = (np.linalg.inv(m.precision.numpy().astype(np.float64)) for m in (ours, theirs))
    shift = ours.mean.numpy() - theirs.mean.numpy()
    inverse = np.linalg.inv(other)
    logs = np.linalg.slogdet(other)[1] - np.linalg.slogdet(cov)[1]
    truth = (np.trace(inverse @ cov) - 6 + shift @ inverse @ shift + logs) / 2
    assert float(harmonium_runs.kl(q, p)) == pytest.approx(truth, rel=1e-3)
    z = harmonium_runs.exact_sample(q, tf.random.stateless_normal([100_000, 6], (1, 2)))
    np.testing.assert_allclose(np.cov(z.numpy().T), cov, atol=0.05)
    singular = np.linalg.svd(p.machine().couplings[0, 1].numpy(), compute_uv=False)
    np.testing.assert_allclose(np.sort(singular), np.linspace(0.05, 0.9, 3), rtol=1e-4)


def test_the_bias_vanishes_as_sweeps_grow():
    # 65% and 22% for this p, by the chain's means and covariances, which are linear recursions
    p = harmonium_runs.target(3, 0)
    found = {
        name: harmonium_runs.bias(harmonium_runs.ESTIMATORS[name], p, SETTINGS)
        for name in ("Gibbs, t = 1", "Gibbs, t = 4", "reparameterised", "REINFORCE")
    }
    one, four, exact, plain = found.values()
    assert abs(one[0] - 0.654) < 5 * one[1] and abs(four[0] - 0.221) < 5 * four[1]
    for bias, stderr, _ in (exact, plain):
        assert bias < 4 * stderr
    assert plain[2] > 2 * exact[2]


def test_the_toy_learns_and_writes(tmp_path, monkeypatch):
    chosen = {name: harmonium_runs.ESTIMATORS[name] for name in ("REINFORCE", "Gibbs, t = 1")}
    monkeypatch.setattr(harmonium_runs, "ESTIMATORS", chosen)
    monkeypatch.setattr(harmonium_runs, "SWEEPS", (1,))
    harmonium_report.write(tmp_path, SETTINGS)
    assert {p.name for p in tmp_path.iterdir()} == {f"harmonium.{k}" for k in ("csv", "md", "png")}
    with (tmp_path / "harmonium.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["estimator"] == "Gibbs, t = 1"]
    assert float(rows[-1]["kl_median"]) < 0.5 * float(rows[0]["kl_median"])
