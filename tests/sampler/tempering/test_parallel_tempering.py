"""Parallel tempering against enumeration: what exchanges leave alone, what ladders bring about."""

import numpy as np
import oracles
import pytest
import tensorflow as tf
from scipy import special

from sampler import gibbs, seeds
from sampler.annealing import bridge as bridges
from sampler.machines.rbm import RBM
from sampler.tempering import ladder, parallel_tempering

SEED = seeds.make_seed(0)
BETAS = np.linspace(0, 1, 4, dtype=np.float32)


def rbm_of(params):
    return RBM(*(tf.constant(p) for p in params))


def at_beta(params, beta):
    """The path from the uniform law: every parameter times beta."""
    return [np.float64(p) * np.float64(beta) for p in params]


def exact_ladder(params, betas, num_chains, generator):
    """z1 of exact samples at each temperature, [T, C, n1]."""
    rows = [oracles.samples(*at_beta(params, b), num_chains, generator)[0] for b in betas]
    return tf.constant(np.stack(rows), tf.float32)


def log_marginal(params, beta, z1):
    """log of the sum over z2 of exp(-E) at each z1 [..., n1]."""
    b1, b2, w = at_beta(params, beta)
    return z1 @ b1 + np.logaddexp(0, b2 + z1 @ w).sum(-1)


def state_of(z1, step=0):
    return ladder.Ladders((z1,), tf.zeros(z1.shape[:-1], tf.int32), tf.constant(step))


def assert_mean1(z1, params, betas):
    """The mean of z1 [T, C, n1] at each temperature, C independent chains."""
    for i, beta in enumerate(betas):
        mean, _ = oracles.mean_and_stderr(z1[i])
        truth = oracles.mean1(*at_beta(params, beta))
        oracles.assert_within(mean, truth, np.sqrt(truth * (1 - truth) / z1.shape[1]))


# Exchanges


@pytest.mark.parametrize("step", [0, 1])
def test_an_exchange_leaves_exact_samples_exact(step):
    params = oracles.parameters(np.random.default_rng(0), 3, 4, 1.5)
    z1 = exact_ladder(params, BETAS, 50_000, np.random.default_rng(1))
    path = bridges.from_uniform(rbm_of(params))
    state, counts = ladder.swap(path, tf.constant(BETAS), state_of(z1, step), SEED)
    assert_mean1(state.state[0], params, BETAS)
    np.testing.assert_array_equal(counts.offered, [1, 0, 1] if step == 0 else [0, 1, 0])
    # pairs whose turn it is exchange, more often than the least of these rates; others never
    moved = np.any(state.state[0] != z1, -1).mean(-1)
    assert np.all((moved > 0.3) == ([1, 1, 1, 1] if step == 0 else [0, 1, 1, 0]))


def test_exchange_probabilities_by_hand():
    """The frequency of each pair's exchanges is min(1, ratio) of marginals, state by state."""
    params = oracles.parameters(np.random.default_rng(2), 3, 3, 2.0)
    betas = np.array([0, 0.4, 1], np.float32)
    states = oracles.states(3)
    low, high = (states[i.ravel()] for i in np.meshgrid(range(8), range(8), indexing="ij"))
    idle = np.zeros_like(low)
    log_ratio = (
        log_marginal(params, betas[2], low)
        + log_marginal(params, betas[1], high)
        - log_marginal(params, betas[1], low)
        - log_marginal(params, betas[2], high)
    )
    repeats = 5000
    z1 = tf.constant(np.repeat(np.stack([idle, low, high]), repeats, 1), tf.float32)
    path = bridges.from_uniform(rbm_of(params))
    state, counts = ladder.swap(path, tf.constant(betas), state_of(z1, 1), SEED)
    (moved,) = state.state
    exchanged = np.all(moved[1] == z1[2], -1) & np.all(moved[2] == z1[1], -1)
    kept = np.all(moved == z1, (0, 2))
    assert np.all(exchanged | kept)
    different = np.any(low != high, -1)
    rates = exchanged.reshape(64, repeats).mean(1)[different]
    truth = np.exp(np.minimum(log_ratio, 0))
    stderr = np.sqrt(truth * (1 - truth) / repeats)[different]
    oracles.assert_within(rates, truth[different], stderr, 1e-6)
    np.testing.assert_allclose(counts.accepted, [0, truth.mean()], rtol=1e-5)


# Whole runs


@pytest.mark.parametrize("start", [bridges.from_uniform, bridges.from_fields])
def test_moments_of_a_batch(start):
    """Last samples of 4000 independent ladders, of two RBMs at once; also over all samples."""
    params = oracles.parameters(np.random.default_rng(3), 4, 3, 1.0, (2,))
    result = parallel_tempering.run(
        start(rbm_of(params)), BETAS, 4000, 40, SEED, burn_in=40, thinning=20
    )
    z1, z2 = result.draws
    assert z1.shape == (2, 2, 4000, 4) and z2.shape == (2, 2, 4000, 3)
    assert [x.shape for x in result.samples.state] == [(2, 8000, 4), (2, 8000, 3)]
    assert [x.shape for x in result.ladders.state] == [(2, 4, 4000, 4)]
    for i in range(2):
        member = [p[i] for p in params]
        truth = oracles.moments(*member)
        statistics = oracles.statistics(z1[i, -1], z2[i, -1])
        oracles.assert_within(statistics.mean(0), truth, np.sqrt(truth * (1 - truth) / 4000))
        # of a ladder's samples the mean, so that their correlation counts
        over_time = oracles.statistics(z1[i], z2[i]).mean(0)
        oracles.assert_within(*at_truth(over_time, truth))
    assert result.warnings() == []


def at_truth(values, truth):
    mean, stderr = oracles.mean_and_stderr(values)
    return mean, truth, stderr


def test_all_temperatures_energies_and_swap_rates():
    params = oracles.parameters(np.random.default_rng(4), 3, 4, 1.0)
    result = parallel_tempering.run(
        bridges.from_uniform(rbm_of(params)), BETAS, 4000, 20, SEED, burn_in=40, thinning=10
    )
    assert_mean1(result.ladders.state[0], params, BETAS)
    laws = [oracles.probabilities(*at_beta(params, beta)) for beta in BETAS]
    energies = oracles.energies(*params)
    truth = np.array([(law * energies).sum() for law in laws])
    variance = np.array([(law * energies**2).sum() for law in laws]) - truth**2
    # two samples of each ladder, as if they were one
    oracles.assert_within(result.energies, truth, np.sqrt(variance / 4000))
    # the mean of min(1, ratio) over both marginals; at most 1, so a standard deviation of 1/2
    rates = [exact_rate(params, *pair) for pair in zip(BETAS, BETAS[1:], strict=False)]
    oracles.assert_within(result.swap_rates, rates, 0.5 / np.sqrt(4000))


def exact_rate(params, low, high):
    """Mean acceptance of exchanges between two temperatures, over all pairs of states."""
    first, second = (oracles.probabilities(*at_beta(params, b)).sum(1) for b in (low, high))
    joint, exchanged = np.outer(first, second), np.outer(second, first)
    return np.minimum(joint, exchanged).sum()


def test_log_z_and_its_error_are_calibrated():
    """z-scores of 200 RBMs: an error from 30 ladders makes them Student's t, of deviation 1.04.

    A mean of 200 has a standard error of 0.07, a standard deviation of 200 one of 0.05.
    """
    params = oracles.parameters(np.random.default_rng(8), 5, 4, 1.0, (200,))
    path = bridges.from_uniform(rbm_of(params))
    result = parallel_tempering.run(path, BETAS, 30, 60, SEED, thinning=3)
    truth = [oracles.log_z(*(p[i] for p in params)) for i in range(200)]
    assert result.log_z.dtype == tf.float64 and np.all(result.stderr < 0.1)
    z_scores = (result.log_z - truth) / result.stderr
    assert abs(np.mean(z_scores)) < 5 * 0.07
    assert abs(np.std(z_scores, ddof=1) - 1.04) < 5 * 0.05


def test_without_barriers_replicas_travel_in_a_circle():
    """Equal temperatures exchange always: of T replicas each is back after 2 T steps.

    Every replica that has been at the target is there again 2 T steps later, by way of the base:
    one round trip each in 2 T steps, once all of them have been there, which takes 2 T steps.
    """
    b1, b2, w = oracles.parameters(np.random.default_rng(5), 3, 3, 1.0, (2,))
    path = bridges.from_fields(rbm_of((b1, b2, 0 * w)))
    for count in 2, 5:
        betas = np.linspace(0, 1, count, dtype=np.float32)
        result = parallel_tempering.run(path, betas, 3, 4 * count, SEED, 2 * count, 2 * count)
        np.testing.assert_array_equal(result.swap_rates, np.ones((2, count - 1)))
        np.testing.assert_array_equal(result.round_trips, [2 * 3 * count] * 2)


def test_a_run_goes_on_from_its_ladders():
    params = oracles.parameters(np.random.default_rng(6), 3, 4, 1.0)
    path, steps = bridges.from_uniform(rbm_of(params)), []
    whole = parallel_tempering.run(path, BETAS, 7, 24, SEED, 5, 8, progress_fn=steps.append)
    assert steps == [5, 8, 8, 8]
    half = parallel_tempering.run(path, BETAS, 7, 8, SEED, 5, 8)
    rest = parallel_tempering.run(path, BETAS, 7, 16, SEED, thinning=8, ladders=half.ladders)
    for mine, theirs in zip(rest.draws, whole.draws, strict=True):
        np.testing.assert_array_equal(mine, theirs[1:])
    tf.nest.map_structure(np.testing.assert_array_equal, rest.ladders, whole.ladders)
    trips = half.round_trips + rest.round_trips
    np.testing.assert_array_equal(trips, whole.round_trips)
    other = parallel_tempering.run(path, BETAS, 7, 24, seeds.make_seed(1), 5, 8)
    assert np.any(other.draws[0] != whole.draws[0])


# Two modes


def ferromagnet(n, coupling, field):
    """Curie-Weiss in spins of +-1: every pair coupled by coupling / n, every spin in a field."""
    bias = np.full(n, 2 * (field - coupling), np.float32)
    return rbm_of((bias, bias, np.full((n, n), 4 * coupling / n, np.float32)))


def share_up(n, coupling, field):
    """P(more than half of z1 are on): states of z1 grouped by how many are."""
    on = np.arange(n + 1)
    ways = special.gammaln(n + 1) - special.gammaln(on + 1) - special.gammaln(n - on + 1)
    bias = 2 * (field - coupling)
    log_p = ways + bias * on + n * np.logaddexp(0, bias + 4 * coupling / n * on)
    p = np.exp(log_p - log_p.max())
    return p[on > n / 2].sum() / p.sum()


def test_modes_get_their_weights_where_gibbs_sweeps_keep_them():
    n, coupling, field = 40, 1.6, 0.01
    rbm, truth = ferromagnet(n, coupling, field), share_up(n, coupling, field)
    assert 0.75 < truth < 0.85
    path = bridges.from_uniform(rbm)
    betas = np.array([0, 0.56, 0.64, 0.72, 0.8, 0.9, 1], np.float32)
    result = parallel_tempering.run(path, betas, 400, 400, SEED, thinning=100)
    assert result.warnings() == []
    up = np.mean(np.mean(result.draws[0], -1) > 0.5, 0)  # a ladder's mean over time
    mean, stderr = oracles.mean_and_stderr(up)
    assert stderr < 0.03
    oracles.assert_within(mean, truth, stderr)
    # as many sweeps of chains that begin in the lesser mode
    z1, _ = gibbs.run(rbm, (None, tf.zeros([400, n])), 400, SEED)
    assert np.mean(np.mean(z1, -1) > 0.5) < truth - 0.3


def test_a_cut_ladder_warns():
    path = bridges.from_uniform(ferromagnet(200, 1.6, 0.01))
    result = parallel_tempering.run(path, np.array([0, 1]), 20, 20, SEED)
    cut, idle = result.warnings()
    assert cut.startswith("the ladder is cut between beta 0 and 1: swap rate")
    assert idle == "no replica made a round trip in 20 sweeps"


# Schedules


@pytest.mark.parametrize("swap_rate", [0.4, 0.6])
def test_a_tuned_schedule_is_even_and_has_as_many_temperatures_as_asked_for(swap_rate):
    path, rounds = bridges.from_uniform(ferromagnet(60, 1.5, 0.0)), []
    betas = parallel_tempering.tune_schedule(path, SEED, swap_rate, progress_fn=rounds.append)
    assert betas.dtype == np.float32 and betas[0] == 0 and betas[-1] == 1
    assert np.all(np.diff(betas) > 0) and 2 <= len(rounds) <= 8
    rates = parallel_tempering.run(path, betas, 50, 200, seeds.make_seed(1)).swap_rates
    # rounding the number of temperatures up raises the rates a little
    assert np.all(rates > swap_rate - 0.1) and np.all(rates < swap_rate + 0.15)


def test_a_schedule_for_weak_couplings_is_short():
    params = oracles.parameters(np.random.default_rng(7), 4, 4, 0.05, (2,))
    betas = parallel_tempering.tune_schedule(bridges.from_fields(rbm_of(params)), SEED)
    np.testing.assert_array_equal(betas, [0, 1])


# What is refused


@pytest.mark.parametrize(
    "change, message",
    [
        ({"betas": np.array([0, 0.7, 0.5, 1])}, r"betas \(4,\): found 0 to 1, unsorted"),
        ({"num_chains": 0}, "num_chains: found 0; accepted: an integer of at least 1"),
        ({"num_sweeps": 5}, "num_sweeps: found 5; accepted: an integer of at least 10"),
        ({"burn_in": -1}, "burn_in: found -1; accepted: an integer of at least 0"),
        ({"thinning": 0}, "thinning: found 0; accepted: an integer of at least 1"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    path = bridges.from_uniform(rbm_of(oracles.parameters(np.random.default_rng(0), 2, 3, 1.0)))
    arguments = {"betas": BETAS, "num_chains": 2, "num_sweeps": 10, "seed": SEED} | change
    with pytest.raises(ValueError, match=message):
        parallel_tempering.run(path, **arguments)


def test_bad_parameters_and_ladders_are_refused():
    params = oracles.parameters(np.random.default_rng(0), 2, 3, 1.0)
    path = bridges.from_uniform(rbm_of((np.float32([np.nan, 0]), *params[1:])))
    with pytest.raises(
        ValueError, match=r"bridge.machine: found b1 \(2,\) with 1 values that are NaN"
    ):
        parallel_tempering.run(path, BETAS, 2, 10, SEED)
    ladders = ladder.initial(path, 5, 2, SEED)
    path = bridges.from_uniform(rbm_of(params))
    with pytest.raises(
        ValueError, match=r"ladders: found states \[\(5, 2, 2\)\]; accepted: \[\(4, 2, 2\)\]"
    ):
        parallel_tempering.run(path, BETAS, 2, 10, SEED, ladders=ladders)


@pytest.mark.parametrize("swap_rate", [0.0, 1.0, np.nan])
def test_a_swap_rate_out_of_range_is_refused(swap_rate):
    path = bridges.from_uniform(ferromagnet(2, 1.0, 0.0))
    with pytest.raises(ValueError, match="swap_rate: found .*; accepted: between 0.05 and 0.95"):
        parallel_tempering.tune_schedule(path, SEED, swap_rate)
