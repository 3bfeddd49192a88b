"""Population annealing against enumeration.

For any number of chains and any threshold the estimate of Z is unbiased, and so is the estimate of
Z times a weighted mean; independent repeated runs tell the standard errors.
"""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import schedules
from sampler.machines.rbm import RBM
from sampler.populations import pcd
from sampler.populations import population_annealing as pa
from sampler.weights import resampling

SEED = seeds.make_seed(0)
RUNS = 150
CHAINS = 100
POPULATION_TYPES = pa.Population((tf.float32, tf.float32), tf.float64, tf.float64)
INFO_TYPES = pa.Info(tf.float32, tf.float32, tf.float32, tf.float64)


def rbm_of(params):
    return RBM(*(tf.constant(p, tf.float32) for p in params))


def population_of(z1, z2, log_z=0.0):
    log_weights = tf.zeros([len(z1)], tf.float64)
    z1, z2 = (tf.constant(z, tf.float32) for z in (z1, z2))
    return pa.Population((z1, z2), log_weights, tf.constant(log_z, tf.float64))


def repeated(run, count, jit_compile=False):
    """Independent runs, each with a seed of its own: (population, info) stacked in a first axis."""

    def runs(*args):
        def one(number):
            return run(*args, seeds.fold_in(SEED, number))

        return tf.map_fn(one, tf.range(count), fn_output_signature=(POPULATION_TYPES, INFO_TYPES))

    return tf.function(runs, jit_compile=jit_compile, autograph=False)


def weighted_mean(population, values):
    """Weighted means of values [R, C, ...] of R stacked populations, [R, ...]."""
    log_weights = population.log_weights.numpy()
    weights = np.exp(log_weights - log_weights.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return np.einsum("rc,rc...->r...", weights, values)


def assert_unbiased(population, info, params):
    """The mean of Z^ is Z, and the mean of Z^ times weighted moments is Z times the moments."""
    ratios = np.exp(info.log_z - oracles.log_z(*params))
    mean, stderr = oracles.mean_and_stderr(ratios)
    assert 0 < stderr < 0.05
    oracles.assert_within(mean, 1, stderr)
    moments = weighted_mean(population, oracles.statistics(*population.state))
    mean, stderr = oracles.mean_and_stderr(ratios[:, None] * moments)
    oracles.assert_within(mean, oracles.moments(*params), stderr)


# From scratch


def anneal(path, threshold, seed):
    samples = pa.anneal(path, schedules.linear(6), CHAINS, seed, 1, threshold)
    log_z = resampling.log_mean_exp(samples.log_weights)
    population = pa.Population(*samples, tf.zeros([], tf.float64))
    return population, pa.Info(*(tf.zeros([], tf.float32),) * 3, log_z)


anneal_repeatedly = repeated(anneal, RUNS)


@pytest.mark.parametrize(
    "start, threshold",
    [
        (bridges.from_fields, 0.9),
        (bridges.from_uniform, 0.0),
        (bridges.from_uniform, 0.8),
        (bridges.from_uniform, 1.1),
    ],
    ids=["fields, sometimes", "never", "sometimes", "always resampled"],
)
def test_anneal_is_unbiased(start, threshold):
    params = oracles.parameters(np.random.default_rng(0), 4, 3, 1.0)
    results = anneal_repeatedly(start(rbm_of(params)), tf.constant(threshold, tf.float64))
    assert_unbiased(*results, params)


def test_initial_is_exact_without_couplings():
    params = oracles.parameters(np.random.default_rng(1), 3, 3, 1.0)
    uncoupled = params[0], params[1], 0 * params[2]
    population = pa.of_fields(rbm_of(params), 20_000, SEED)
    np.testing.assert_allclose(population.log_z, oracles.log_z(*uncoupled), rtol=1e-12)
    np.testing.assert_array_equal(population.log_weights, np.zeros(20_000))
    truth = oracles.moments(*uncoupled)
    stderr = np.sqrt(truth * (1 - truth) / 20_000)
    values = oracles.statistics(*population.state)
    oracles.assert_within(values.mean(0), truth, stderr)


# Along a sequence of parameters


def follow(update, sequence, population, num_sweeps, seed):
    """`update` along RBMs stacked in a leading axis."""

    def at(i):
        return tf.nest.map_structure(lambda t: t[i], sequence)

    def body(i, population, _):
        return i + 1, *update(at(i - 1), at(i), population, seeds.fold_in(seed, i), num_sweeps)

    count = sequence.b1.shape[0]
    info = pa.Info(*(tf.zeros([], dtype) for dtype in INFO_TYPES))
    return tf.while_loop(lambda i, *_: i < count, body, (1, population, info))[1:]


def test_a_population_tracks_a_random_walk_of_parameters():
    """From an RBM of zeros, as a prior begins, by 40 random steps; compiled, as in training."""
    steps = oracles.parameters(np.random.default_rng(2), 3, 4, 0.15, (40,))
    walk = [np.cumsum(np.concatenate([0 * s[:1], s]), 0) for s in steps]
    final = [p[-1] for p in walk]
    assert np.std(final[2]) > 0.5

    def run(sequence, seed):
        first = RBM(*(t[0] for t in sequence))
        population = pa.of_fields(first, CHAINS, seeds.fold_in(seed, 0))
        return follow(pa.update, sequence, population, 1, seed)

    assert_unbiased(*repeated(run, 100, jit_compile=True)(rbm_of(walk)), final)


def two_modes(field):
    """A ferromagnet of 8 + 8 units: all off, or all on with log-odds of about 16 `field`."""
    coupling = 1.0
    bias = np.full(8, field - 4 * coupling)
    return bias, bias, np.full((8, 8), coupling)


def is_on(z1, z2):
    """1 for states with more than half of the units on, 1/2 with half of them."""
    total = np.sum(z1, -1) + np.sum(z2, -1)
    return (total > 8) + 0.5 * (total == 8)


def share_of_on(params):
    s1, s2 = oracles.states(8)[:, None], oracles.states(8)[None]
    return np.sum(oracles.probabilities(*params) * is_on(s1, s2))


def exact_population(params, count):
    """A function of a seed: exact samples of an 8 + 8 RBM, by inversion of the table's sum."""
    cumulated = tf.constant(np.cumsum(oracles.probabilities(*params)))
    states, log_z = tf.constant(oracles.states(8), tf.float32), oracles.log_z(*params)

    def draw(seed):
        u = tf.cast(seeds.uniform(seed, [count]), tf.float64)
        rows = tf.searchsorted(cumulated, u * cumulated[-1])
        z1, z2 = tf.gather(states, rows // 256), tf.gather(states, rows % 256)
        log_weights = tf.zeros([count], tf.float64)
        return pa.Population((z1, z2), log_weights, tf.constant(log_z, tf.float64))

    return draw


def test_shares_of_two_modes_follow_the_parameters_where_pcd_keeps_the_old():
    """The field turns around in 25 steps, too fast for 2 sweeps a step to carry chains across."""
    fields = np.linspace(0.08, -0.08, 26)
    first, last = two_modes(fields[0]), two_modes(fields[-1])
    sequence = rbm_of([np.stack(p) for p in zip(*map(two_modes, fields), strict=True)])
    draw, old, new = exact_population(first, 400), share_of_on(first), share_of_on(last)
    assert old > 0.75 and new < 0.25

    def shares(update):
        def run(seed):
            return follow(update, sequence, draw(seed), 2, seeds.fold_in(seed, 0))

        population, info = repeated(run, 40)()
        return info, weighted_mean(population, is_on(*population.state))

    info, share = shares(pa.update)
    ratios = np.exp(info.log_z - oracles.log_z(*last))
    for values, truth in (ratios, 1), (ratios * share, new):
        mean, stderr = oracles.mean_and_stderr(values)
        assert 0 < stderr < 0.03
        oracles.assert_within(mean, truth, stderr)
    mean, stderr = oracles.mean_and_stderr(shares(pcd.update)[1])
    assert mean - new > 20 * stderr and mean > (old + new) / 2


# One update


def random_population(params, count, seed=4):
    z1, z2 = oracles.samples(*params, count, np.random.default_rng(seed))
    return population_of(z1, z2, oracles.log_z(*params))


def two_rbms(scale):
    generator = np.random.default_rng(5)
    old = oracles.parameters(generator, 3, 4, 0.5)
    return old, [p + scale * generator.normal(size=p.shape) for p in old]


def log_weights_by_hand(population, old, new):
    """-(E_new - E_old) of each chain, added to the weights it has."""
    change = [np.float64(n) - np.float64(o) for n, o in zip(new, old, strict=True)]
    energies = [oracles.energy(*change, *z) for z in zip(*population.state, strict=True)]
    return population.log_weights - np.array(energies)


@pytest.mark.parametrize("count", [100, 500])
@pytest.mark.parametrize("threshold", [0.0, 1.1], ids=["kept", "resampled"])
def test_update_reweights(threshold, count):
    old, new = two_rbms(0.3)
    start = random_population(old, count)
    spread = np.random.default_rng(6).normal(size=count)
    start = start._replace(log_weights=tf.constant(spread))
    end, info = pa.update(rbm_of(old), rbm_of(new), start, SEED, 1, threshold)
    expected = log_weights_by_hand(start, old, new)
    weights = np.exp(expected)
    ess = weights.sum() ** 2 / (weights**2).sum()
    log_z = oracles.log_z(*old) + np.log(weights.mean())
    np.testing.assert_allclose(info.ess, ess, rtol=1e-5)
    np.testing.assert_allclose(info.log_z, log_z, atol=1e-5)
    assert info.log_z.dtype == tf.float64 and end.log_weights.dtype == tf.float64
    assert [x.shape for x in end.state] == [(count, 3), (count, 4)]
    total = end.log_z + resampling.log_mean_exp(end.log_weights)
    np.testing.assert_allclose(total, log_z, atol=1e-5)
    if threshold > 1:
        assert info.resampled == 1 and 0 < info.survivors < count
        np.testing.assert_array_equal(end.log_weights, np.zeros(count))
    else:
        assert info.resampled == 0 and info.survivors == count
        np.testing.assert_allclose(end.log_weights, expected, atol=1e-5)


def test_the_threshold_decides():
    old, new = two_rbms(0.3)
    start = random_population(old, 100)

    def resampled(threshold):
        return pa.update(rbm_of(old), rbm_of(new), start, SEED, 1, threshold)[1].resampled == 1

    ess = float(pa.update(rbm_of(old), rbm_of(new), start, SEED, 1)[1].ess) / 100
    assert 0.1 < ess < 0.99
    assert resampled(ess + 0.01) and not resampled(ess - 0.01)


def test_no_change_of_parameters_changes_no_weight():
    old, _ = two_rbms(0)
    start = random_population(old, 100)
    end, info = pa.update(rbm_of(old), rbm_of(old), start, SEED, 1)
    np.testing.assert_allclose(info.ess, 100, rtol=1e-6)
    assert info.resampled == 0 and info.survivors == 100
    np.testing.assert_array_equal(end.log_weights, np.zeros(100))
    np.testing.assert_allclose(info.log_z, oracles.log_z(*old), rtol=1e-12)
    assert np.any(end.state[1] != start.state[1])  # sweeps follow all the same


def test_survivors_are_the_chains_that_the_new_parameters_leave_possible():
    """A bias of -60 on unit 0 kills the chains that have it on; the others share their places."""
    old = np.zeros(2), np.zeros(3), np.zeros((2, 3))
    new = np.array([-60.0, 0]), np.zeros(3), np.zeros((2, 3))
    start = random_population(old, 200)
    alive = float(np.mean(start.state[0][:, 0] == 0))
    end, info = pa.update(rbm_of(old), rbm_of(new), start, SEED, 1, 0.9)
    np.testing.assert_allclose([info.ess, info.survivors], 200 * alive, rtol=1e-6)
    np.testing.assert_allclose(info.log_z, 5 * np.log(2) + np.log(alive), rtol=1e-9)
    assert info.resampled == 1 and not np.any(end.state[0][:, 0])


def test_resampling_keeps_chains_in_proportion_to_their_weights():
    """Chains frozen (by couplings of 400) in two modes of weights 1 and 9: copies 1 to 9."""
    on = np.arange(100) >= 50
    frozen = [np.full(n, -600.0) for n in (3, 3)] + [np.full((3, 3), 400.0)]
    start = population_of(*(np.tile(on[:, None], (1, 3)) for _ in range(2)))
    start = start._replace(log_weights=tf.constant(np.log(1 + 8.0 * on)))
    end, info = pa.update(rbm_of(frozen), rbm_of(frozen), start, SEED, 2, 1.1)
    # the comb's 100 teeth in 50 + 450 parts: 10 in the first mode, to within one
    assert abs(np.sum(end.state[0][:, 0]) - 90) <= 1
    np.testing.assert_array_equal(*end.state)
    np.testing.assert_allclose(info.log_z, np.log(5), rtol=1e-9)


def test_normalised_weights():
    log_weights = tf.constant([1e4, 1e4 + np.log(2), 1e4], tf.float64)
    population = random_population(two_rbms(0)[0], 3)._replace(log_weights=log_weights)
    assert population.weights().dtype == tf.float32
    np.testing.assert_allclose(population.weights(), [0.25, 0.5, 0.25], rtol=1e-6)
