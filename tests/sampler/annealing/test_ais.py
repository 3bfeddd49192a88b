"""AIS for users against enumeration: whole runs, pieces, reverse, brackets, warnings, refusals."""

import machine_oracle
import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import seeds
from sampler.annealing import ais, schedules
from sampler.annealing import bridge as bridges
from sampler.annealing import chains as annealing
from sampler.annealing import pieces as chunks
from sampler.families import Bernoulli, Gaussian
from sampler.machines.general import Machine
from sampler.machines.rbm import RBM
from sampler.weights.estimates import Estimate
from sampler.weights.estimates import estimate as estimate_of

SEED = seeds.make_seed(0)
BETAS = schedules.linear(41)


@pytest.fixture(autouse=True)
def plain_graphs(monkeypatch):
    """XLA's compilation for each shape would take most of the time; its results are the same."""
    for module, name, function in (
        (annealing, "_anneal_compiled", annealing._anneal),
        (ais, "_sweeps_compiled", ais.gibbs.run),
    ):
        monkeypatch.setattr(module, name, tf.function(function, autograph=False))


def rbm_of(params):
    return RBM(*(tf.constant(p) for p in params))


def case(n1=5, n2=4, scale=1.0, batch=(2, 3), seed=0):
    params = oracles.parameters(np.random.default_rng(seed), n1, n2, scale, batch)
    return bridges.from_uniform(rbm_of(params)), params


def log_z_of_each(params):
    batch = params[0].shape[:-1]
    values = [oracles.log_z(*(p[i] for p in params)) for i in np.ndindex(*batch)]
    return np.reshape(values, batch)


def two_modes(field=0.0):
    """A ferromagnet of 6+6 units whose biases balance its couplings: all off, or all on.

    From its biases, AIS sees the mode of all units off alone.
    """
    bias = np.full(6, field - 6 * 1.5 / 2, np.float32)
    return bias, bias, np.full((6, 6), 1.5, np.float32)


# Calibration


def mixed_parameters(n1, n2, count, seed):
    """RBMs of scales 0.1 to 3, ferromagnetic and frustrated, of zero, strong, balancing biases."""
    rng = np.random.default_rng(seed)
    w = np.exp(rng.uniform(np.log(0.1), np.log(3), (count, 1, 1))) * rng.normal(
        size=(count, n1, n2)
    )
    w[::2] = abs(w[::2])
    b1, b2 = (3 * rng.normal(size=(count, n)) for n in (n1, n2))
    b1[::3], b2[::3] = 0, 0
    b1[1::3], b2[1::3] = -w[1::3].sum(2) / 2, -w[1::3].sum(1) / 2
    return tuple(x.astype(np.float32) for x in (b1, b2, w))


@pytest.mark.parametrize("n1, n2", [(1, 1), (4, 7), (8, 6)])
def test_errors_and_brackets_are_calibrated(n1, n2):
    """66 RBMs of a shape: z-scores' standard deviation is 1 within 5 errors of 1/sqrt(2 * 66)."""
    params = mixed_parameters(n1, n2, 66, n1)
    path, truth = bridges.from_uniform(rbm_of(params)), log_z_of_each(params)
    bracket = ais.log_z_bracket(path, schedules.linear(201), 200, SEED, num_sweeps=50)
    assert bracket.warnings() == []
    for estimate in bracket.forward, bracket.backward:
        oracles.assert_within(estimate.log_z, truth, estimate.stderr)
        z_scores = (estimate.log_z - truth) / estimate.stderr
        assert abs(np.std(z_scores, ddof=1) - 1) < 5 / np.sqrt(2 * 66)
    covered = (bracket.lower <= truth) & (truth <= bracket.upper)
    assert np.mean(covered) >= 0.95


# Runs


@pytest.mark.parametrize("elements", [None, 700, 20_000], ids=["whole", "chains", "machines"])
def test_a_run_in_pieces(monkeypatch, elements):
    """6 RBMs of 5+4 units, 1001 chains: one piece; each RBM in 8; or 4 RBMs and, filled up, 2."""
    if elements:
        monkeypatch.setattr(chunks, "ELEMENTS", elements)
    path, params = case()
    steps = []
    run = ais.run(path, BETAS, 1001, SEED, steps.append)
    assert run.samples.state[0].shape == (2, 3, 1001, 5) and run.samples.log_weights.shape == (
        2,
        3,
        1001,
    )
    assert run.log_z.dtype == tf.float64 and run.warnings() == []
    assert np.all(run.stderr < 0.1) and sum(steps) == 40
    oracles.assert_within(run.log_z, log_z_of_each(params), run.stderr)
    # chains of different pieces differ, and their weights are those of their own RBM
    again = estimate_of(run.samples.log_weights)
    np.testing.assert_allclose(again.log_z, run.log_z, rtol=1e-12)
    mean = run.samples.log_weights.numpy()
    assert len(np.unique(mean)) > 0.99 * mean.size


def test_pieces_keep_their_order(monkeypatch):
    monkeypatch.setattr(chunks, "ELEMENTS", 30)
    path, params = case(batch=(5,))
    z1 = tf.reshape(tf.range(5 * 7 * 5, dtype=tf.float32), [5, 7, 5])
    log_weights = tf.reshape(tf.range(35, dtype=tf.float64), [5, 7])
    pieces = chunks.cut(path, (z1,), log_weights)
    assert len(pieces) == 5 and len(pieces[0]) == 2
    joined = chunks.join([[p.state[0] for p in row] for row in pieces], tf.TensorShape([5]))
    np.testing.assert_array_equal(joined, z1)
    for i, row in enumerate(pieces):
        np.testing.assert_array_equal(row[0].bridge.machine.b1, params[0][i : i + 1])


def test_the_trace_follows_log_z_at_each_temperature():
    path, params = case(batch=(2,))
    run = ais.run(path, BETAS, 2000, SEED)
    np.testing.assert_array_equal(run.trace.betas, BETAS)
    assert run.trace.ess.shape == run.trace.log_mean_weight.shape == (2, 41)
    np.testing.assert_allclose(run.trace.ess[:, 0], 2000, rtol=1e-9)
    np.testing.assert_allclose(run.trace.ess[:, -1], run.ess, rtol=1e-9)
    np.testing.assert_allclose(run.trace.log_mean_weight[:, -1], run.log_z, rtol=1e-12)
    for i in range(2):
        truth = [oracles.log_z(*(beta * p[i] for p in params)) for beta in BETAS]
        stderr = np.sqrt(np.maximum(1 / run.trace.ess[i] - 1 / 2000, 0))
        oracles.assert_within(run.trace.log_mean_weight[i], truth, stderr, 1e-6)


def test_runs_repeat_with_their_seed_and_have_defaults():
    path, params = case(3, 2, batch=())
    first, again = (ais.run(path, num_chains=50) for _ in range(2))
    np.testing.assert_array_equal(first.samples.log_weights, again.samples.log_weights)
    assert len(first.trace.betas) == 1001 and first.log_z.shape == ()
    other = ais.run(path, num_chains=50, seed=seeds.make_seed(1))
    assert np.any(first.samples.log_weights != other.samples.log_weights)
    oracles.assert_within(first.log_z, oracles.log_z(*params), first.stderr)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e-3])
def test_almost_independent_units_have_an_honest_error(scale):
    """No statistical error to speak of: what is left is rounding, which the error includes."""
    b1, b2, w = oracles.parameters(np.random.default_rng(3), 6, 5, 2.0, (50,))
    params = b1, b2, np.float32(scale) * w
    for start in bridges.from_fields, bridges.from_uniform:
        run = ais.run(start(rbm_of(params)), schedules.linear(101), 100, SEED)
        oracles.assert_within(run.log_z, log_z_of_each(params), run.stderr)
    assert np.all(run.stderr > 0)


def test_frozen_chains_have_an_honest_error():
    """Biases of 60: all chains in one state, all weights equal, log Z of hundreds."""
    rng = np.random.default_rng(4)
    b1, b2 = (60 * rng.choice([-1, 1], (50, n)) for n in (6, 5))
    params = tuple(x.astype(np.float32) for x in (b1, b2, 3 * rng.normal(size=(50, 6, 5))))
    run = ais.run(bridges.from_fields(rbm_of(params)), BETAS, 100, SEED)
    assert np.all(run.stderr < 1e-4)
    oracles.assert_within(run.log_z, log_z_of_each(params), run.stderr)


def test_a_gaussian_block_that_is_summed_out_has_an_honest_error():
    """Means of 60: log Z of thousands of nats, of which float32 rounds off ten-thousandths."""
    rng = np.random.default_rng(8)
    fields = [rng.normal(size=(30, 3)), 60 * rng.normal(size=(30, 4))]
    fields, w = [np.float32(f) for f in fields], np.float32(1e-4 * rng.normal(size=(30, 3, 4)))
    machine = Machine((Bernoulli(), Gaussian()), fields, {(0, 1): w})
    kinds = ["bernoulli", ("gaussian", 1.0)]
    truth = [each.log_z for each in machine_oracle.solve_each(kinds, fields, {(0, 1): w})]
    run = ais.run(bridges.from_uniform(machine), schedules.linear(101), 100, SEED)
    assert np.all(run.stderr < 0.02) and np.max(abs(run.log_z - truth)) > 1e-5
    oracles.assert_within(run.log_z, truth, run.stderr)


def test_samples_of_the_end_states_follow_the_target():
    """Weighted end states of a short schedule, resampled: copies keep their expected number."""
    path, params = case(3, 2, batch=())
    run = ais.run(path, np.float32([0, 0.5, 1]), 100_000, SEED)
    law = oracles.probabilities(*params).ravel()
    for num_sweeps in 0, 3:
        z1, z2 = ais.swept(path.machine, run.samples, num_sweeps, seed=1)
        counts = np.bincount(oracles.index(z1) * 4 + oracles.index(z2), minlength=32)
        # chains carry weights of which ess / C is the effective share
        share = float(run.ess) / 100_000
        assert oracles.chi_square(share * counts, share * 100_000 * law) < 5


# Reverse


def test_reverse_from_exact_samples():
    path, params = case(batch=(3,))
    rng = np.random.default_rng(5)
    z1 = np.stack([oracles.samples(*(p[i] for p in params), 1000, rng)[0] for i in range(3)])
    run = ais.reverse(path, (tf.constant(z1),), BETAS, SEED)
    oracles.assert_within(run.log_z, log_z_of_each(params), run.stderr)
    np.testing.assert_array_equal(run.trace.betas, BETAS[::-1])


def test_reverse_is_unbiased_for_the_inverse():
    """E[exp(-log Z estimate)] = 1/Z along three temperatures: 2000 runs of 20 chains."""
    _, one = case(3, 3, batch=())
    params = tuple(np.stack([p] * 2000) for p in one)
    rng = np.random.default_rng(6)
    z1 = oracles.samples(*one, 2000 * 20, rng)[0].reshape(2000, 20, 3)
    run = ais.reverse(bridges.from_uniform(rbm_of(params)), (z1,), np.float32([0, 0.5, 1]), SEED)
    mean, stderr = oracles.mean_and_stderr(np.exp(oracles.log_z(*one) - run.log_z))
    oracles.assert_within(mean, 1, stderr)


def test_reverse_is_not_believed_where_the_base_ends_elsewhere():
    """Behind a first-order transition: exact samples, even weights, answers 6 nats too high.

    60 units of means 1/2, or, in e^8 times the weight, those that one more unit switches on.
    """
    size, coupling, advantage = 60, 3.0, 8.0
    field = advantage - size * (np.logaddexp(0, coupling) - np.log(2))
    params = np.zeros(size, "f"), np.float32([field]), np.full((size, 1), coupling, "f")
    rng = np.random.default_rng(7)
    on = rng.random([8, 1000, 1]) < 1 / (1 + np.exp(-advantage))
    z1 = rng.random([8, 1000, size]) < 1 / (1 + np.exp(-coupling * on))
    path = bridges.from_uniform(rbm_of(np.stack([p] * 8) for p in params))
    run = ais.reverse(path, (tf.constant(z1),), schedules.linear(21), SEED)
    errors = run.log_z - size * np.log(2) - np.logaddexp(0, advantage)
    assert np.median(run.ess) > 30 and np.median(errors / run.stderr) > 20
    assert not np.any(run.believable())
    assert "chains from the base don't confirm it" in run.doubts()[-1]


# Brackets


def test_a_mode_hidden_from_the_forward_run_is_shown_by_the_bracket():
    """From its biases the forward run misses almost log 2, certain of it; the bracket does not."""
    params = two_modes()
    truth, path = oracles.log_z(*params), bridges.from_fields(rbm_of(params))
    bracket = ais.log_z_bracket(path, schedules.linear(201), 200, SEED, 50)
    assert bracket.forward.log_z < truth - 0.6 < truth - 20 * bracket.forward.stderr
    assert bracket.forward.warnings() == []
    assert bracket.lower <= truth <= bracket.upper and not bracket.tight
    assert ["differ" in text for text in bracket.warnings()] == [True]


def test_samples_that_the_caller_brings():
    """Of one mode alone: the upper side is then half of Z, and knows nothing of the other."""
    params = two_modes()
    path = bridges.from_uniform(rbm_of(params))
    z1, _ = oracles.samples(*params, 2000, np.random.default_rng(7))
    off = z1[z1.mean(-1) < 0.5][:800].astype(np.float32)
    betas = schedules.linear(201)
    ends = [
        ais.log_z_bracket(path, betas, 1000, SEED, target_state=(tf.constant(s),)).backward.log_z
        for s in (z1, off)
    ]
    np.testing.assert_allclose(ends[0], oracles.log_z(*params), atol=0.1)
    assert np.isfinite(ends[1])


def test_temperatures_are_doubled_until_the_bracket_is_tight():
    path, params = case(6, 5, 2.0, batch=(4,))
    steps = []
    bracket, betas = ais.log_z_within(
        path, 0.3, schedules.linear(11), 300, SEED, 20, progress_fn=steps.append
    )
    truth = log_z_of_each(params)
    assert np.all(bracket.tight) and np.all(bracket.upper - bracket.lower <= 0.3)
    assert np.all(bracket.lower <= truth) and np.all(truth <= bracket.upper)
    attempts = np.log2((len(betas) - 1) / 10)
    assert attempts >= 1 and attempts == int(attempts)
    assert sum(steps) == 2 * 10 * (2 ** (attempts + 1) - 1)


def test_doubling_stops_at_the_largest_number():
    path, _ = case(6, 5, 2.0, batch=())
    bracket, betas = ais.log_z_within(
        path, 1e-4, schedules.linear(6), 100, SEED, 1, max_temperatures=20
    )
    assert len(betas) == 11 and not bracket.tight


# Warnings


def test_uneven_weights_are_warned_of():
    """Two temperatures for strong couplings: a few chains carry all."""
    path, _ = case(10, 10, 2.0, batch=(3,))
    hard = ais.run(path, np.float32([0, 1]), 1000, SEED)
    assert np.all(hard.ess < 30) and not np.any(hard.believable())
    (warning,) = hard.warnings()
    assert "effective sample size" in warning and "in 3 of 3 machines" in warning


def test_warnings_count_the_machines_and_take_no_infinity():
    values = tf.constant([1.0, 2, -np.inf], tf.float64), tf.ones([3], tf.float64)
    estimate = Estimate(*values, tf.constant([29.0, 500, 500], tf.float64))
    assert estimate.believable().numpy().tolist() == [False, True, False]
    assert "29" in estimate.warnings()[0] and "2 of 3" in estimate.warnings()[0]
    scalar = Estimate(*(tf.constant(x, tf.float64) for x in (1, 0.1, 31)))
    assert scalar.warnings() == []


# Refusals


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_chains": 0}, "num_chains: found 0"),
        ({"num_chains": 2.5}, "num_chains: found 2.5"),
        ({"betas": np.float32([0, 0.7, 0.5, 1])}, r"betas \(4,\): found 0 to 1, unsorted"),
        ({"betas": np.float32([0.1, 1])}, "betas .2,.: found 0.1 to 1"),
        ({"betas": np.zeros([2, 2])}, r"betas: found shape \(2, 2\)"),
    ],
)
@pytest.mark.parametrize("call", [ais.run, ais.log_z_bracket, ais.log_z_within])
def test_arguments_that_are_refused(call, arguments, message):
    path, _ = case()
    with pytest.raises(ValueError, match=message):
        call(path, **arguments)


@pytest.mark.parametrize("call", [ais.run, ais.log_z_bracket, ais.log_z_within])
def test_parameters_that_are_refused(call):
    path, (b1, _, w) = case()
    with pytest.raises(ValueError, match="w .2, 3, 5, 4. with 1 values that are NaN"):
        bad = w.copy()
        bad[0, 0, 0, 0] = np.nan
        call(path._replace(machine=path.machine._replace(w=tf.constant(bad))))
    with pytest.raises(ValueError, match="b1 .2, 3, 4."):
        call(path._replace(machine=path.machine._replace(b1=tf.constant(b1[..., :4]))))


def test_other_arguments_that_are_refused():
    path, _ = case()
    with pytest.raises(
        ValueError, match=r"state\[0\]: found \(2, 3, 9, 4\); accepted: \(2, 3, 'C', 5\)"
    ):
        ais.reverse(path, (tf.zeros([2, 3, 9, 4]),), BETAS)
    with pytest.raises(ValueError, match="tolerance: found 0"):
        ais.log_z_bracket(path, tolerance=0)
    with pytest.raises(ValueError, match="max_temperatures: found 10"):
        ais.log_z_within(path, betas=BETAS, max_temperatures=10)
    with pytest.raises(ValueError, match="num_sweeps: found -1"):
        ais.swept(path.machine, ais.run(path, BETAS, 3).samples, -1, SEED)
