"""The annealing path against enumeration: its ends, its conditionals, its weights, its sweep."""

import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy.special import expit

from sampler import seeds
from sampler.annealing import ais
from sampler.annealing import bridge as bridges
from sampler.machines.rbm import RBM

SEED = seeds.make_seed(0)
BATCHES = [(), (2,), (2, 3)]
N1, N2 = 4, 3


def path_of(start, batch=(), scale=1.0, n2=N2):
    params = oracles.parameters(np.random.default_rng(0), N1, n2, scale, batch)
    return start(RBM(*(tf.constant(p) for p in params)))


def enumerated(path, beta, i=()):
    """Parameters of member i of the batch at inverse temperature beta, float64."""
    at = tf.nest.map_structure(lambda t: t.numpy()[i].astype(np.float64), path)
    rbm, (base1, base2) = at
    return base1 + beta * (rbm.b1 - base1), base2 + beta * (rbm.b2 - base2), beta * rbm.w


def log_marginal(params):
    """log of the sum over z2 of exp(-E), for each state z1, [2^n1]."""
    return np.log(np.exp(-oracles.energies(*params)).sum(1))


@pytest.fixture(params=[bridges.from_fields, bridges.from_uniform], ids=["fields", "uniform"])
def start(request):
    return request.param


def test_from_fields_starts_at_the_fields_and_from_uniform_at_zero():
    path = path_of(bridges.from_fields)
    for base, field in zip(path.base, path.machine.fields, strict=True):
        np.testing.assert_array_equal(base, field)
    path = path_of(bridges.from_uniform)
    assert not any(np.any(base) for base in path.base)
    assert [base.shape for base in path.base] == [[N1], [N2]]


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_from_means_starts_at_the_means(batch):
    rbm = path_of(bridges.from_uniform, batch).machine
    generator = np.random.default_rng(3)
    means = [generator.uniform(0.02, 0.98, (*batch, n)).astype(np.float32) for n in (N1, N2)]
    path = bridges.from_means(rbm, means)
    for found, given in zip(path.machine, rbm, strict=True):
        np.testing.assert_array_equal(found, given)
    for base, mean in zip(path.base, means, strict=True):
        np.testing.assert_allclose(1 / (1 + np.exp(-base)), mean, rtol=1e-5)


def test_means_are_clipped():
    rbm = path_of(bridges.from_uniform).machine
    path = bridges.from_means(rbm, ([0, 1, 0.5, 1e-9], np.ones([N2])), clip=0.1)
    np.testing.assert_allclose(path.base[0], np.log(9) * np.array([-1, 1, 0, -1]), atol=1e-6)
    np.testing.assert_allclose(path.base[1], np.log(9), atol=1e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([(np.zeros(3), np.zeros(3))], r"means\[0\]: found \(3,\); accepted: \(4,\)"),
        ([(np.zeros(4), np.zeros([2, 3]))], r"means\[1\]: found \(2, 3\); accepted: \(3,\)"),
        ([(np.zeros(4), np.full(3, np.nan))], r"means\[1\] .3,.: found nan to nan; accepted"),
        ([(np.full(4, 1.5), np.zeros(3))], r"means\[0\] .4,.: found 1.5 to 1.5; accepted"),
        ([(np.zeros(4),)], "means: found 1; accepted: 2, one a block"),
        ([(np.zeros(4), np.zeros(3)), 0.5], "clip: found 0.5"),
    ],
)
def test_means_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        bridges.from_means(path_of(bridges.from_uniform).machine, *arguments)


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_log_z_base(start, batch):
    path = path_of(start, batch)
    log_z = path.log_z_base()
    assert log_z.dtype == tf.float64 and log_z.shape == batch
    for i in np.ndindex(*batch):
        np.testing.assert_allclose(log_z[i], oracles.log_z(*enumerated(path, 0, i)), rtol=1e-12)


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_samples_of_the_base(start, batch):
    path = path_of(start, batch)
    (z1,) = path.initial(10_000, SEED)
    assert z1.shape == (*batch, 10_000, N1)
    for i in np.ndindex(*batch):
        law = oracles.probabilities(*enumerated(path, 0, i)).sum(1)
        counts = np.bincount(oracles.index(z1[i]), minlength=2**N1)
        assert oracles.chi_square(counts, 10_000 * law) < 5


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_natural_parameters_are_those_of_the_rbm_at_beta(start, batch, beta):
    path, generator = path_of(start, batch), np.random.default_rng(1)
    z1, z2 = (generator.integers(0, 2, (*batch, 5, n)).astype(np.float32) for n in (N1, N2))
    eta1, eta2 = path.natural(0, (None, z2), beta), path.natural(1, (z1,), beta)
    for i in np.ndindex(*batch):
        b1, b2, w = enumerated(path, beta, i)
        np.testing.assert_allclose(eta1[i], z2[i] @ w.T + b1, atol=2e-6)
        np.testing.assert_allclose(eta2[i], z1[i] @ w + b2, atol=2e-6)


@pytest.mark.parametrize("betas", [(0.0, 0.3), (0.3, 1.0), (1.0, 0.2)])
@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_log_weight_is_the_ratio_of_marginals(start, batch, betas):
    path = path_of(start, batch)
    z1 = np.broadcast_to(oracles.states(N1), (*batch, 2**N1, N1)).astype(np.float32)
    log_weight = path.log_weight((tf.constant(z1),), *betas)
    assert log_weight.dtype == tf.float64 and log_weight.shape == (*batch, 2**N1)
    for i in np.ndindex(*batch):
        before, after = (log_marginal(enumerated(path, beta, i)) for beta in betas)
        np.testing.assert_allclose(log_weight[i], after - before, atol=3e-6)


def test_log_weights_of_ten_thousand_small_steps_add_up(start):
    """Rounding (float32 terms of order 1, 10^4 steps) stays under a thousandth of a nat."""
    path = path_of(start, scale=2.0)
    z1 = tf.constant(oracles.states(N1), tf.float32)
    betas = tf.constant(np.linspace(0, 1, 10_001), tf.float32)

    @tf.function(jit_compile=True)
    def total(path):
        def body(i, log_weight):
            return i + 1, log_weight + path.log_weight((z1,), betas[i], betas[i + 1])

        zero = tf.zeros([2**N1], tf.float64)
        return tf.while_loop(lambda i, _: i < 10_000, body, (0, zero))[1]

    expected = log_marginal(enumerated(path, 1)) - log_marginal(enumerated(path, 0))
    np.testing.assert_allclose(total(path), expected, atol=1e-3)


@pytest.mark.parametrize("beta", [0.4, 1.0])
def test_a_sweep_leaves_the_marginal_at_beta_as_it_is(start, beta):
    path, count = path_of(start), 100_000
    params = enumerated(path, beta)
    z1, _ = oracles.samples(*params, count, np.random.default_rng(2))
    (z1,) = path.sweep((tf.constant(z1, tf.float32),), beta, SEED)
    counts = np.bincount(oracles.index(z1), minlength=2**N1)
    assert oracles.chi_square(counts, count * oracles.probabilities(*params).sum(1)) < 5


def test_a_sweep_moves_chains_by_the_kernel():
    """From one fixed state, z1 follows the enumerated transition p(z2 | z1) p(z1' | z2).

    Sides of equal size, so that a seed used for both would give both the same numbers.
    """
    path, count, first = path_of(bridges.from_uniform, n2=N1), 100_000, 6
    b1, b2, w = enumerated(path, 0.7)
    law = oracles.sweep_kernel(b2, b1, w.T)[first]  # sides exchanged: the kernel of z1
    z1 = tf.tile(tf.constant(oracles.states(N1)[first][None], tf.float32), [count, 1])
    counts = np.bincount(oracles.index(path.sweep((z1,), 0.7, SEED)[0]), minlength=2**N1)
    assert oracles.chi_square(counts, count * law) < 5


def rbm_of(arrays):
    return RBM(*(tf.constant(a) for a in arrays))


def test_mean_field_base_is_the_fixed_point_of_weak_couplings():
    generator = np.random.default_rng(0)
    arrays = oracles.parameters(generator, 4, 6, 0.5, (3,))
    route = bridges.from_mean_field(rbm_of(arrays), num_sweeps=100)
    for b1, b2, w, base1, base2 in zip(*arrays, *route.base, strict=True):
        m1, m2 = (1 / (1 + np.exp(-np.asarray(base, np.float64))) for base in (base1, base2))
        np.testing.assert_allclose(base1, b1 + w @ m2, atol=1e-5)
        np.testing.assert_allclose(base2, b2 + w.T @ m1, atol=1e-5)
        # and nearer to the RBM than its biases are, by the free energies of both
        assert free_energy(b1, b2, w, m1, m2) < free_energy(b1, b2, w, expit(b1), expit(b2))


def free_energy(b1, b2, w, m1, m2):
    entropy = sum(oracles.entropy(p) for m in (m1, m2) for p in np.stack([m, 1 - m], -1))
    return -(b1 @ m1 + b2 @ m2 + m1 @ w @ m2) - entropy


def test_any_mean_field_base_gives_an_unbiased_estimate():
    # two temperatures and a base that one update leaves far from a fixed point
    arrays = oracles.parameters(np.random.default_rng(1), 4, 5, 1.0)
    route = bridges.from_mean_field(rbm_of(arrays), num_sweeps=1)
    run = ais.run(route, np.array([0.0, 1.0]), 100_000, seeds.make_seed(0))
    ratio = np.exp(run.samples.log_weights.numpy() - oracles.log_z(*arrays))
    mean, stderr = oracles.mean_and_stderr(ratio)
    oracles.assert_within(mean, 1.0, stderr)
    assert ratio.std() > 0.1
