"""RBMs with factored couplings do what the dense ones do with W = u v', never forming W."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import checks, exact, gibbs, seeds
from sampler.annealing import ais, bridge, schedules
from sampler.annealing import pieces as chunks
from sampler.machines import ising
from sampler.machines.ising import IsingRBM, LowRankIsingRBM
from sampler.machines.rbm import RBM, LowRankRBM
from sampler.populations import population, population_annealing
from sampler.weights import resampling

N1, N2, RANK, CHAINS = 3, 5, 2, 4
BATCHES = [(), (2,), (2, 3)]
CLOSE = {"rtol": 5e-6, "atol": 5e-6}  # float32 rounds to 6e-8; sums of some ten terms of order 1
SEED = seeds.make_seed(0)


def random_values(seed=0, batch=(), n1=N1, n2=N2, rank=RANK):
    """Biases (or fields) and factors of couplings."""
    generator = np.random.default_rng(seed)
    shapes = ((*batch, n1), (*batch, n2), (*batch, n1, rank), (*batch, n2, rank))
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]


def random_states(seed=1, batch=(), n1=N1, n2=N2):
    """Relaxed states, in [0, 1], of both sides."""
    generator = np.random.default_rng(seed)
    shapes = ((*batch, CHAINS, n) for n in (n1, n2))
    return [tf.constant(generator.uniform(size=shape), tf.float32) for shape in shapes]


def dense_values(values):
    """The same with the product of the factors, float64."""
    f1, f2, u, v = (np.float64(value) for value in values)
    return f1, f2, np.einsum("...ik,...jk->...ij", u, v)


def value_of(kind, values):
    return kind(*(tf.constant(value, tf.float32) for value in values))


@pytest.fixture(params=BATCHES, ids=str)
def batch(request):
    return request.param


@pytest.fixture
def pair(batch):
    """A low-rank RBM and the dense one."""
    values = random_values(batch=batch)
    return value_of(LowRankRBM, values), value_of(RBM, dense_values(values))


METHODS = {
    "coupling of 0": lambda rbm, z1, z2: rbm.coupling(0, (None, z2)),
    "coupling of 1": lambda rbm, z1, z2: rbm.coupling(1, (z1, None)),
    "natural of 0": lambda rbm, z1, z2: rbm.natural(0, (None, z2)),
    "natural of 1": lambda rbm, z1, z2: rbm.natural(1, (z1, None)),
    "log_marginal": lambda rbm, z1, z2: rbm.log_marginal((z1,)),
    "log_marginal of 0": lambda rbm, z1, z2: rbm.log_marginal((None, z2), 0),
    "energy": lambda rbm, z1, z2: rbm.energy((z1, z2)),
    "mean_energy": lambda rbm, z1, z2: rbm.mean_energy((z1, z2), z1[..., 0] * z2[..., 0]),
    "copies": lambda rbm, *z: rbm.copies(6).energy(tuple(tf.stack([x] * 6) for x in z)),
    "matrix": lambda rbm, z1, z2: rbm.matrix(0, 1),
    "rms_coupling": lambda rbm, z1, z2: rbm.rms_coupling(),
}


@pytest.mark.parametrize("method", METHODS)
def test_methods_are_those_of_the_dense_rbm(pair, batch, method):
    found, expected = (METHODS[method](rbm, *random_states(batch=batch)) for rbm in pair)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_cast_takes_arrays_and_keeps_the_type():
    values = random_values()
    rbm = LowRankRBM(*(value.tolist() for value in values)).cast(tf.float64)
    assert isinstance(rbm, LowRankRBM)
    for value, original in zip(rbm, values, strict=True):
        assert value.dtype == tf.float64
        np.testing.assert_array_equal(value, original)


def test_mean_energy_has_the_gradient_of_the_dense_one():
    values = random_values()
    z1, z2 = random_states()
    gradients = []
    for kind in LowRankRBM, RBM:
        factors = [tf.constant(value) for value in values]
        with tf.GradientTape() as tape:
            tape.watch(factors)
            couplings = factors[2:]
            if kind is RBM:
                couplings = [tf.matmul(*couplings, transpose_b=True)]
            mean = kind(*factors[:2], *couplings).mean_energy((z1, z2), z1[:, 0])
        gradients.append(tape.gradient(mean, factors))
    for found, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(found, expected, **CLOSE)


def test_energy_change(batch):
    old, new = random_values(0, batch), random_values(2, batch)
    z1, z2 = random_states(batch=batch)
    found = value_of(LowRankRBM, old).energy_change(value_of(LowRankRBM, new), (z1, z2))
    dense = (value_of(RBM, dense_values(values)) for values in (old, new))
    np.testing.assert_allclose(found, next(dense).energy_change(next(dense), (z1, z2)), **CLOSE)


def test_energy_change_keeps_a_small_change_of_large_energies():
    """Energies of order 1000 are rounded to 1e-4, as are those of [u', u] [v', -v]'."""
    generator = np.random.default_rng(3)
    old = random_values(3, n1=100, n2=100, rank=8)
    new = [(p + 1e-6 * generator.normal(size=p.shape)).astype(np.float32) for p in old]
    z1, z2 = (generator.integers(0, 2, (CHAINS, 100)) for _ in range(2))
    rbms = [value_of(LowRankRBM, values) for values in (old, new)]
    found = rbms[0].energy_change(rbms[1], tuple(tf.constant(z, tf.float32) for z in (z1, z2)))
    pairs = [
        [oracles.energy(*dense_values(values), z1[c], z2[c]) for c in range(CHAINS)]
        for values in (old, new)
    ]
    expected = np.subtract(pairs[1], pairs[0])
    assert abs(expected).max() > 1e-4
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-8)


def test_rms_coupling_of_factors_that_cancel_is_zero():
    """The sum over the Gram matrices is a rounding error, which may be negative."""
    generator = np.random.default_rng(0)
    for _ in range(10):
        a, b, c = generator.normal(size=(3, 50, 1))
        factors = np.concatenate([a, b, a + b], -1), np.concatenate([c, c, -c], -1)
        rms = value_of(LowRankRBM, [np.zeros(50), np.zeros(50), *factors]).rms_coupling()
        assert 0 <= float(rms) < 5e-3  # the root of float32's rounding


def test_a_value_keeps_its_type_in_a_compiled_function(pair):
    @tf.function(jit_compile=True)
    def doubled(rbm):
        twice = tf.nest.map_structure(lambda t: 2 * t, rbm)
        return twice, type(rbm)(*twice)

    for rbm in pair:
        for value in doubled(rbm):
            assert type(value) is type(rbm)
            for new, old in zip(value, rbm, strict=True):
                np.testing.assert_array_equal(new, 2 * old)


@pytest.mark.parametrize(
    "field, shape",
    [("u", (3, N1, 3)), ("v", (3, N2 + 1, RANK)), ("b1", (2, N1)), ("v", (RANK,))],
)
def test_shapes_that_do_not_fit_are_refused(field, shape):
    rbm = value_of(LowRankRBM, random_values(batch=(3,)))
    checks.check_machine(rbm)
    message = rf"machine: found .*{field} \({', '.join(map(str, shape))},?\).*u \[..., n1, r\]"
    with pytest.raises(ValueError, match=message):
        checks.check_machine(rbm._replace(**{field: tf.zeros(shape)}))


def test_values_that_are_not_finite_are_refused():
    rbm = value_of(LowRankRBM, random_values())
    with pytest.raises(ValueError, match=r"target: found u \(3, 2\) with 6 values that are NaN"):
        checks.check_machine(rbm._replace(u=np.full((N1, RANK), np.nan)), "target")


# Samplers


def test_sweeps_give_the_states_of_the_dense_rbm(batch):
    rbms = value_of(LowRankRBM, (v := random_values(batch=batch))), value_of(RBM, dense_values(v))
    state = gibbs.initial(rbms[0], 1000, SEED)  # as many as `run` splits into groups
    runs = [gibbs.run(rbm, state, 5, SEED) for rbm in rbms]
    for found, expected in zip(*runs, strict=True):
        assert found.shape[:-1] == (*batch, 1000)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("sides", [(3, 6), (6, 3)], ids=str)
def test_enumeration(batch, sides):
    values = random_values(0, batch, *sides)
    rbm = value_of(LowRankRBM, values)
    log_z, moments = exact.log_z(rbm), exact.moments(rbm)
    z1, z2 = exact.sample(rbm, 50, SEED)
    log_prob = exact.log_prob(rbm, (z1, z2))
    for i in np.ndindex(*batch):
        dense = [value[i] for value in dense_values(values)]
        np.testing.assert_allclose(log_z[i], oracles.log_z(*dense), rtol=1e-12)
        np.testing.assert_allclose(moments.pairs[0, 1][i], oracles.pairs(*dense), rtol=1e-10)
        rows = oracles.index(z1[i]), oracles.index(z2[i])
        table = np.log(oracles.probabilities(*dense))
        np.testing.assert_allclose(log_prob[i], table[rows], rtol=1e-9)


def test_annealing_against_enumeration(monkeypatch):
    """Three RBMs of unequal sides in pieces of two, the last filled up; from both ends."""
    values = random_values(0, (3,))
    monkeypatch.setattr(chunks, "ELEMENTS", 2 * 1000 * N2)
    target = bridge.from_uniform(rbm := value_of(LowRankRBM, values))
    ends = exact.sample(rbm, 1000, SEED)
    bracket = ais.log_z_bracket(target, schedules.linear(51), 1000, SEED, target_state=ends)
    truth = [oracles.log_z(*(value[i] for value in dense_values(values))) for i in range(3)]
    assert bracket.warnings() == []
    for estimate in bracket.forward, bracket.backward:
        assert np.all(estimate.stderr < 0.1)
        oracles.assert_within(estimate.log_z, truth, estimate.stderr)


def test_population_annealing_against_enumeration():
    """Equal RBMs along a batch axis are independent runs: their mean Z is Z."""
    values = random_values(1)
    target = bridge.from_fields(value_of(LowRankRBM, values).copies(40))
    population = population_annealing.anneal(target, schedules.linear(11), 200, SEED)
    z = np.exp(resampling.log_mean_exp(population.log_weights))
    mean, stderr = oracles.mean_and_stderr(z / np.exp(oracles.log_z(*dense_values(values))))
    assert stderr < 0.05
    oracles.assert_within(mean, 1, stderr)


def test_an_update_is_that_of_the_dense_rbm():
    values, moved = random_values(0), [1.1 * value for value in random_values(0)]
    updates = []
    for kind, convert in ((LowRankRBM, list), (RBM, dense_values)):
        old, new = (value_of(kind, convert(v)) for v in (values, moved))
        updates.append(population.update(old, new, population.of_fields(old, 100, SEED), SEED, 2))
    for found, expected in zip(*map(tf.nest.flatten, updates), strict=True):
        np.testing.assert_allclose(found, expected, **CLOSE)


# Spins


@pytest.fixture
def spins(batch):
    values = random_values(batch=batch)
    return value_of(LowRankIsingRBM, values), value_of(IsingRBM, dense_values(values))


def test_spins_are_those_of_the_dense_value(spins, batch):
    z1, z2 = random_states(batch=batch)
    found, expected = (
        (*(s.natural(k, (z1, z2)) for k in range(2)), s.energy((z1, z2)), s.rms_coupling())
        for s in spins
    )
    for value, truth in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, truth, rtol=1e-5, atol=1e-5)


def test_binary_is_that_of_the_dense_value_and_from_binary_its_inverse(spins):
    binary = spins[0].binary()
    factored = dense_values([value.numpy() for value in binary])
    for value, truth in zip(factored, spins[1].binary(), strict=True):
        np.testing.assert_allclose(value, truth, rtol=1e-5, atol=1e-5)
    for value, original in zip(ising.from_binary(binary), spins[0], strict=True):
        np.testing.assert_allclose(value, original, rtol=1e-5, atol=1e-5)


def test_pull_back_is_the_gradient_of_weighted_natural_parameters(spins, batch):
    value = spins[0]
    z1, z2 = random_states(batch=batch)
    g1, g2 = (2 * z - 1 for z in random_states(seed=2, batch=batch))
    with tf.GradientTape() as tape:
        tape.watch(value)
        total = tf.reduce_sum(g1 * value.natural(0, (None, z2)))
        total += tf.reduce_sum(g2 * value.natural(1, (z1, None)))
    truth = tape.gradient(total, value)
    pulled = value.pull_back(z2, g1, z1, g2)
    assert isinstance(pulled, LowRankIsingRBM)
    for found, expected in zip(pulled, truth, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_no_method_forms_the_couplings():
    """With 10^5 units on each side W would fill 40 GB."""
    n, generator = 100_000, np.random.default_rng(0)
    values = random_values(0, (), n, n, 1)
    value = value_of(LowRankIsingRBM, [values[0], values[1], *(f / 300 for f in values[2:])])
    z1, z2 = (tf.constant(generator.integers(0, 2, (2, n)), tf.float32) for _ in range(2))
    rbm = value.binary()
    other = ising.from_binary(LowRankRBM(rbm.b2, rbm.b1, rbm.v, rbm.u)).binary()
    changed, energy = rbm.energy_change(other, (z1, z2)), other.energy((z1, z2))
    scale = float(tf.reduce_max(abs(energy)))
    np.testing.assert_allclose(changed, energy - rbm.energy((z1, z2)), atol=1e-4 * scale)
    pulled = value.pull_back(z2, z1, z1, z2)
    assert [t.shape for t in pulled] == [t.shape for t in value]
    u, v = (np.float64(f) for f in value[2:])
    truth = np.sqrt((u**2).sum() * (v**2).sum()) / n
    np.testing.assert_allclose(value.rms_coupling(), truth, rtol=1e-4)
