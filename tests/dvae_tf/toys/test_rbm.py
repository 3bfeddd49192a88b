"""Fig. 4: the mixture, the exact KL and the gradient, against enumeration in NumPy."""

import csv
import re

import numpy as np
import oracles
import pytest
import tensorflow as tf

from dvae_tf.toys import mixture as mixtures
from dvae_tf.toys import rbm_report, rbm_runs
from dvae_tf.toys.mixture import BernoulliMixture
from dvae_tf.toys.rbm_runs import Runs
from dvae_tf.toys.settings import RBMSettings as Settings
from sampler import seeds
from sampler.machines import ising
from sampler.machines.rbm import RBM

N1, N2 = 3, 4


@pytest.fixture(scope="module")
def mixture():
    generator = np.random.default_rng(5)
    weights = np.array([0.5, 0.2, 0.3])
    return BernoulliMixture(
        tf.constant(np.log(weights)), tf.constant(2 * generator.normal(size=(3, N1 + N2)))
    )


@pytest.fixture(scope="module")
def rbms():
    return oracles.parameters(np.random.default_rng(6), N1, N2, scale=1.0, batch=(2,))


def component_tables(mixture):
    """alpha_i p_i(z1, z2) of every pair of states, [M, 2^N1, 2^N2], by products over the units."""
    s1, s2 = oracles.states(N1), oracles.states(N2)
    pairs = np.concatenate([np.repeat(s1, len(s2), 0), np.tile(s2, (len(s1), 1))], -1)
    tables = []
    for log_weight, nu in zip(mixture.log_weights.numpy(), mixture.logits.numpy(), strict=True):
        on = 1 / (1 + np.exp(-nu))
        tables.append(np.exp(log_weight) * np.where(pairs == 1, on, 1 - on).prod(-1))
    return np.reshape(tables, [-1, len(s1), len(s2)])


def test_mixture_is_the_sum_of_products(mixture):
    table = component_tables(mixture).sum(0)
    assert table.sum() == pytest.approx(1)
    s1, s2 = oracles.states(N1), oracles.states(N2)
    for i, j in ((0, 0), (5, 9), (7, 15)):
        log_p = mixture.log_prob(tf.constant(np.concatenate([s1[i], s2[j]])))
        assert float(log_p) == pytest.approx(np.log(table[i, j]))


def test_mixture_at_relaxed_units_is_linear_inside(mixture):
    zeta = np.random.default_rng(0).uniform(size=(2, N1 + N2))
    nu, log_weights = mixture.logits.numpy(), mixture.log_weights.numpy()
    exponents = log_weights + zeta @ nu.T - np.log1p(np.exp(nu)).sum(-1)
    expected = np.log(np.exp(exponents).sum(-1))
    np.testing.assert_allclose(mixture.log_prob(tf.constant(zeta)), expected)


def test_drawn_mixture_has_the_variance():
    drawn = mixtures.draw(8, 20, 0.04, seed=0)
    means = 1 / (1 + np.exp(-drawn.logits.numpy()))
    np.testing.assert_allclose(means * (1 - means), 0.04)
    np.testing.assert_allclose(np.minimum(means, 1 - means), 0.0417, atol=5e-5)
    np.testing.assert_allclose(np.exp(drawn.log_weights), 1 / 8)
    assert len(np.unique(means.round(2), axis=0)) == 8
    again, other = (mixtures.draw(8, 20, 0.04, seed).logits.numpy() for seed in (0, 1))
    np.testing.assert_array_equal(drawn.logits, again)
    assert np.any(again != other)


def test_exact_kl_is_the_enumerated_one(mixture, rbms):
    p = component_tables(mixture).sum(0)
    truth = [oracles.kl(oracles.probabilities(*one), p) for one in zip(*rbms, strict=True)]
    np.testing.assert_allclose(mixtures.compare(RBM(*rbms), mixture).kl, truth, rtol=1e-9)


def test_kl_of_the_mixture_of_one_is_zero(mixture):
    # a single product is an RBM without couplings
    nu = mixture.logits.numpy()[:1]
    single = BernoulliMixture(tf.zeros([1], tf.float64), tf.constant(nu))
    q = RBM(nu[:, :N1], nu[:, N1:], np.zeros([1, N1, N2]))
    np.testing.assert_allclose(mixtures.compare(q, single).kl, 0, atol=1e-12)


def test_exact_shares_are_mean_responsibilities(mixture, rbms):
    tables = component_tables(mixture)
    found = mixtures.compare(RBM(*rbms), mixture).shares
    for shares, one in zip(found, zip(*rbms, strict=True), strict=True):
        q = oracles.probabilities(*one)
        np.testing.assert_allclose(shares, (q * tables / tables.sum(0)).sum((1, 2)), rtol=1e-9)


def test_gradient_lowers_the_kl(mixture, rbms):
    # one relaxed sweep is biased; it has to point where the exact gradient does all the same
    phi = ising.from_binary(RBM(*rbms).cast())
    settings = Settings(num_units=N1, num_sweeps=20)
    chains = tf.zeros([2, 5000, N2])
    estimate, chains = rbm_runs.kl_gradient(
        phi, chains, mixture.cast(tf.float32), 1, settings, seeds.make_seed(0)
    )
    with tf.GradientTape() as tape:
        tape.watch(phi)
        total = tf.reduce_sum(mixtures.compare(phi.binary(), mixture).kl)
    exact = tape.gradient(total, list(phi))
    for run in range(2):
        ours = np.concatenate([np.ravel(t[run]) for t in estimate])
        truth = np.concatenate([np.ravel(t[run]) for t in exact])
        cosine = ours @ truth / np.linalg.norm(ours) / np.linalg.norm(truth)
        assert cosine > 0.9
        assert 0.5 < np.linalg.norm(ours) / np.linalg.norm(truth) < 2
        # the chains that come back follow the RBM
        one = [t[run] for t in rbms]
        mean, error = oracles.mean_and_stderr(chains[run])
        oracles.assert_within(mean, oracles.mean2(*one), error)


def test_the_command_writes_what_it_found(tmp_path, capsys):
    settings = Settings(
        num_units=4, num_components=2, num_steps=200, num_runs=2, num_chains=50, record_every=50
    )
    rbm_report.write(tmp_path, settings, sweeps=(1,))
    with (tmp_path / "rbm.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 5
    kl = np.array([float(r["kl"]) for r in rows]).reshape(2, 5)
    target = rbm_runs.draw_mixture(settings)
    s = oracles.states(8)
    start = -8 * np.log(2) - target.log_prob(tf.constant(s)).numpy().mean()
    np.testing.assert_allclose(kl[:, 0], start)  # of the uniform distribution
    assert np.all(kl[:, -1] < np.log(2) + 0.1)  # one component of the two at the worst
    reading = (tmp_path / "rbm.md").read_text()
    printed = re.search(r"t = 1: ([\d.]+) \(([\d.]+) to ([\d.]+)\)", reading).groups()
    final = kl[:, 1:].mean(1)
    expected = [final.mean(), final.min(), final.max()]
    np.testing.assert_allclose([float(v) for v in printed], expected, atol=6e-4)
    assert reading in capsys.readouterr().out


def test_spread_and_components():
    shares = np.array([[1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25]])
    kl = np.concatenate([np.full([5, 2], 9.0), np.full([rbm_report.LAST, 2], 1.0)])
    results = {1: Runs(kl, shares), 2: Runs(1.25 * kl, shares)}
    assert rbm_report.spread(results) == pytest.approx(0.25)
    np.testing.assert_allclose(rbm_report.effective_components(results[1]), [1, 4])
    assert "25.0% above the smallest: t matters" in rbm_report.reading(results, Settings())
