"""Population annealing from scratch against enumeration: log Z, its error, families, warnings."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import schedules
from sampler.machines.rbm import RBM
from sampler.populations import population_annealing as pa

SEED = seeds.make_seed(0)


def rbm_of(params):
    return RBM(*(tf.constant(p, tf.float32) for p in params))


def log_z_of_each(params):
    return np.array([oracles.log_z(*(p[i] for p in params)) for i in range(len(params[0]))])


def member(params, i):
    return [p[i] for p in params]


def many_rbms(n1, n2, count):
    """Weights' scales from 0.1 to 3; frustrated and ferromagnetic; strong biases and none."""
    generator = np.random.default_rng(n1)
    b1, b2, w = (p.astype(np.float64) for p in oracles.parameters(generator, n1, n2, 1.0, (count,)))
    i = np.arange(count)[:, None]
    scale, strength = 0.1 * 30 ** (i / (count - 1)), np.array([0.0, 1.0, 3.0])[i % 3]
    w = np.where((i % 2 == 0)[..., None], w, abs(w) / np.sqrt(n1 + n2)) * scale[..., None]
    return [p.astype(np.float32) for p in (strength * b1, strength * b2, w)]


def z_scores(n1, n2, count=50):
    params = many_rbms(n1, n2, count)
    betas = schedules.linear(41)
    result = pa.run(bridges.from_uniform(rbm_of(params)), betas, 200, 20, SEED)
    doubtful = np.any(list(result.doubts().values()), 0)
    scores = (result.log_z - log_z_of_each(params)) / result.stderr
    return scores[~doubtful], np.mean(doubtful)


@pytest.mark.soak  # test_machines_exact has fewer
def test_the_error_of_log_z_is_calibrated():
    """200 RBMs: z-scores within 5, of standard deviation near that of Student's t, 19 degrees.

    That is sqrt(19/17) = 1.06; its error over 200 is 0.055.
    """
    sizes = [(1, 1), (2, 6), (6, 5), (9, 4)]
    scores, doubtful = zip(*(z_scores(*size) for size in sizes), strict=True)
    scores = np.concatenate(scores)
    assert np.mean(doubtful) < 0.1 and len(scores) > 180
    assert np.max(abs(scores)) < 5
    assert 0.8 < np.std(scores) < 1.25 and abs(np.mean(scores)) < 5 * 1.06 / np.sqrt(len(scores))


@pytest.mark.parametrize("resampling", ["systematic", "residual", "multinomial"])
def test_the_mean_estimate_is_z(resampling):
    """2000 small runs along three temperatures: E[Z^] = Z, for any scheme."""
    params = oracles.parameters(np.random.default_rng(1), 4, 3, 1.0)
    betas = [0, 0.5, 1]
    result = pa.run(bridges.from_uniform(rbm_of(params)), betas, 20, 2000, SEED, 1, 0.9, resampling)
    mean, stderr = oracles.mean_and_stderr(np.exp(result.run_log_z - oracles.log_z(*params)))
    assert stderr < 0.02 and np.mean(result.trace.resampled[1:]) > 0.5
    oracles.assert_within(mean, 1, stderr)


def test_moments_and_their_error():
    params = oracles.parameters(np.random.default_rng(2), 4, 3, 1.0, (2, 3))
    result = pa.run(bridges.from_fields(rbm_of(params)), schedules.linear(11), 300, 20, SEED)
    assert result.log_z.shape == (2, 3) and result.run_log_z.shape == (2, 3, 20)
    assert result.samples.state[0].shape == (2, 3, 6000, 4)
    values = oracles.statistics(*result.samples.state)
    mean, stderr = result.mean(values)
    truth = [oracles.moments(*(p[i] for p in params)) for i in np.ndindex(2, 3)]
    # two values of each z, whose errors are not 0: 1/6000 of a probability counts
    oracles.assert_within(mean, np.reshape(truth, mean.shape), stderr)
    assert np.min(stderr) > 0 and np.max(stderr) < 0.02
    log_z = np.log(np.mean(np.exp(result.samples.log_weights), -1))
    np.testing.assert_allclose(log_z, result.log_z, rtol=1e-12)


def test_the_trace_at_each_temperature():
    params = oracles.parameters(np.random.default_rng(3), 4, 3, 1.5, (2,))
    betas, steps = schedules.linear(21), []
    result = pa.run(
        bridges.from_uniform(rbm_of(params)), betas, 300, 20, SEED, progress_fn=steps.append
    )
    trace = result.trace
    assert trace.log_z.shape == trace.rho_t.shape == trace.mean_energy.shape == (21, 2, 20)
    assert steps == [1] * 20 and trace.energies is None
    for t, beta in enumerate(betas.astype(np.float64)):
        for i in range(2):
            tempered = [beta * np.float64(p) for p in member(params, i)]
            energies = oracles.energies(*map(np.float64, member(params, i)))
            table = oracles.probabilities(*tempered)
            mean, stderr = oracles.mean_and_stderr(trace.mean_energy[t, i])
            truth = np.sum(table * energies)
            oracles.assert_within(mean, truth, stderr)
            mean, stderr = oracles.mean_and_stderr(trace.energy_variance[t, i])
            # a population's variance is low by about rho_t / C of itself
            variance = np.sum(table * (energies - truth) ** 2)
            oracles.assert_within(mean, variance, stderr, 2 * variance / 300)
    np.testing.assert_allclose(trace.rho_t[0], 1, rtol=1e-12)
    np.testing.assert_array_equal(trace.num_families[0], 300)
    assert np.all(np.diff(trace.num_families, axis=0) <= 0)


def test_families_by_hand():
    families = tf.constant([[0, 0, 0, 3, 4], [1, 1, 1, 1, 1]])
    log_weights = tf.math.log(tf.constant([[1.0, 1, 2, 3, 1], [1, 2, 3, 4, 5]], tf.float64))
    rho_t = pa.mean_square_family(families, log_weights)
    np.testing.assert_allclose(rho_t, [5 * (16 + 9 + 1) / 64, 5], rtol=1e-12)
    np.testing.assert_array_equal(pa.num_distinct(families), [3, 1])


def test_without_couplings_the_answer_is_exact():
    """No spread of the runs: the error is float64's rounding, and not 0."""
    b1, b2, w = oracles.parameters(np.random.default_rng(4), 5, 3, 2.0, (3,))
    result = pa.run(bridges.from_fields(rbm_of((b1, b2, 0 * w))), [0, 0.5, 1], 50, 5, SEED)
    np.testing.assert_allclose(result.log_z, log_z_of_each((b1, b2, 0 * w)), rtol=1e-12)
    assert np.all((result.stderr > 1e-15) & (result.stderr < 1e-12))


def test_a_batch_is_resampled_each_on_its_own_decision():
    """A target without couplings beside one with strong ones: one never, one often resampled."""
    b1, b2, w = oracles.parameters(np.random.default_rng(5), 4, 3, 2.0, (2,))
    w[0] = 0
    result = pa.run(
        bridges.from_fields(rbm_of((b1, b2, w))), schedules.linear(6), 300, 20, SEED, threshold=0.9
    )
    resampled = result.trace.resampled.mean((0, 2))
    assert resampled[0] == 0 and resampled[1] > 0.1
    np.testing.assert_array_equal(result.trace.num_families[:, 0], 300)
    oracles.assert_within(result.log_z, log_z_of_each((b1, b2, w)), result.stderr)


def test_seeds():
    params = oracles.parameters(np.random.default_rng(6), 4, 3, 1.0)
    path = bridges.from_uniform(rbm_of(params))
    one, same, other = (
        pa.run(path, [0, 0.5, 1], 300, 20, seeds.make_seed(s)).run_log_z for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.all(one != other) and len(set(one)) == 20


def test_the_default_schedule_is_adaptive():
    params = oracles.parameters(np.random.default_rng(7), 4, 3, 2.0)
    result = pa.run(bridges.from_uniform(rbm_of(params)), num_chains=300, seed=SEED, threshold=0.9)
    assert 4 < len(result.trace.betas) < 100 and result.ess > 0.8 * 300
    oracles.assert_within(result.log_z, oracles.log_z(*params), result.stderr)


# Warnings


def ferromagnet(coupling, field, n=20):
    bias = np.full(n, field - coupling * n / 2, np.float32)
    return bias, bias, np.full((n, n), coupling, np.float32)


def test_no_warning_when_there_are_chains_enough():
    params = oracles.parameters(np.random.default_rng(8), 4, 3, 0.5)
    assert pa.run(bridges.from_uniform(rbm_of(params)), [0, 0.5, 1], 300, 20, SEED).warnings() == []


def test_a_population_too_small_for_its_families_is_told():
    path = bridges.from_uniform(rbm_of(ferromagnet(0.5, 0.02)))
    result = pa.run(path, schedules.linear(101), 100, 20, SEED)
    assert result.rho_t > 1.5
    assert any("rho_t reaches" in w and "found 100" in w for w in result.warnings())


def test_steps_too_long_are_told_for_those_machines():
    strong, weak = ferromagnet(0.5, 0.02), [0.01 * p for p in ferromagnet(0.5, 0.02)]
    params = [np.stack(p) for p in zip(strong, weak, strict=True)]
    result = pa.run(bridges.from_uniform(rbm_of(params)), [0, 1], 1000, 20, SEED)
    assert any("too long" in w and "1 of 2 machines" in w for w in result.warnings())


# Input


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_chains": 1}, "num_chains: found 1"),
        ({"num_runs": 1}, "num_runs: found 1"),
        ({"num_sweeps": 0}, "num_sweeps: found 0"),
        ({"betas": [0, 0.7, 0.3, 1]}, "betas .*unsorted"),
        ({"betas": [0, 0.5]}, "betas .*exactly 1"),
        ({"resampling": "best"}, "resampling: found 'best'; accepted: systematic"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    path = bridges.from_uniform(rbm_of(oracles.parameters(np.random.default_rng(9), 2, 2, 1.0)))
    with pytest.raises(ValueError, match=message):
        pa.run(**({"bridge": path, "betas": [0, 1], "seed": SEED} | change))


def test_parameters_that_are_not_finite_are_refused():
    b1, b2, w = oracles.parameters(np.random.default_rng(9), 2, 2, 1.0)
    w[0, 1] = np.nan
    with pytest.raises(ValueError, match="bridge.machine: found w .*NaN"):
        pa.run(bridges.from_uniform(rbm_of((b1, b2, w))), [0, 1], seed=SEED)
