"""Machines of blocks: energies by hand, what equals what, structures for TensorFlow, refusals."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import checks, exact, gibbs, mean_field, seeds
from sampler.annealing import ais, bridge, schedules
from sampler.families import Bernoulli, Categorical, Gaussian, Spin
from sampler.machines import ising
from sampler.machines.couplings import LowRank
from sampler.machines.general import Machine
from sampler.machines.ising import IsingRBM, LowRankIsingRBM
from sampler.machines.rbm import RBM, LowRankRBM
from sampler.populations import pcd, population, population_annealing
from sampler.tempering import parallel_tempering

SEED = seeds.make_seed(0)
CLOSE = {"rtol": 5e-6, "atol": 5e-6}
MIXED = (Bernoulli(), Categorical(3), Gaussian(2.0), Spin())
SIZES = (3, 6, 2, 4)


def mixed(seed=0, batch=(), scale=0.5, as_tensors=True):
    """Four blocks of all families; factors couple the first two, nothing the last two."""
    rng = np.random.default_rng(seed)
    fields = [scale * rng.normal(size=(*batch, n)) for n in SIZES]
    pairs = [(0, 2), (0, 3), (1, 2), (1, 3)]
    couplings = {(k, l): scale * rng.normal(size=(*batch, SIZES[k], SIZES[l])) for k, l in pairs}
    u, v = (scale * rng.normal(size=(*batch, SIZES[k], 2)) for k in (0, 1))
    couplings[0, 1] = LowRank(u, v)
    if not as_tensors:
        return Machine(MIXED, [f.tolist() for f in fields], couplings)
    return Machine(MIXED, *tf.nest.map_structure(as_float32, (fields, couplings)))


def as_float32(x):
    return tf.constant(x, tf.float32)


def dense(machine):
    """The same with a matrix where it has factors."""
    couplings = dict(machine.couplings)
    couplings[0, 1] = machine.matrix(0, 1)
    return Machine(machine.families, machine.fields, couplings)


MACHINES = {
    "Machine": mixed,
    "RBM": lambda: RBM(*map(tf.constant, oracles.parameters(np.random.default_rng(0), 3, 4, 1.0))),
    "LowRankRBM": lambda: LowRankRBM(*low_rank_values()),
    "IsingRBM": lambda: IsingRBM(
        *map(tf.constant, oracles.parameters(np.random.default_rng(1), 3, 4, 0.5))
    ),
    "LowRankIsingRBM": lambda: LowRankIsingRBM(*low_rank_values()),
}
EVERY = pytest.mark.parametrize("kind", MACHINES)


def low_rank_values():
    rng = np.random.default_rng(2)
    return [tf.constant(0.5 * rng.normal(size=s), tf.float32) for s in ((3,), (4,), (3, 2), (4, 2))]


def random_state(machine, num_chains=5, seed=3):
    return gibbs.initial(machine, num_chains, seed)


# The definition


def test_energy_by_hand():
    machine, (b, c, x, s) = mixed(), random_state(mixed())
    fields = [np.float64(f) for f in machine.fields]
    total = sum(f @ np.float64(z).T for f, z in zip(fields, (b, c, x, s), strict=True))
    blocks = [np.float64(z) for z in (b, c, x, s)]
    for k in range(4):
        for l in range(k + 1, 4):
            w = np.zeros((SIZES[k], SIZES[l])) if (k, l) == (2, 3) else machine.matrix(k, l)
            total = total + np.einsum("ci,ij,cj->c", blocks[k], np.float64(w), blocks[l])
    base = (np.log(2.0 / (2 * np.pi)) - 2.0 * np.float64(x) ** 2).sum(-1) / 2
    np.testing.assert_allclose(machine.energy((b, c, x, s)), -(total + base), **CLOSE)
    np.testing.assert_allclose(machine.interaction((b, c, x, s)), total, **CLOSE)


def test_matrices_have_both_orientations():
    machine = mixed(batch=(2,))
    for k, l in machine.couplings:
        np.testing.assert_allclose(machine.matrix(l, k), np.swapaxes(machine.matrix(k, l), 1, 2))
    np.testing.assert_allclose(machine.matrix(0, 2), machine.couplings[0, 2])
    np.testing.assert_array_equal(machine.matrix(2, 3), np.zeros((2, 2, 4)))


@pytest.mark.parametrize("block", range(4))
def test_natural_parameters_are_the_gradient_of_the_interaction(block):
    machine, state = mixed(batch=(2,)), random_state(mixed(batch=(2,)))
    with tf.GradientTape() as tape:
        tape.watch(state[block])
        total = tf.reduce_sum(machine.interaction(state))
    truth = tape.gradient(total, state[block])
    np.testing.assert_allclose(machine.natural(block, state), truth, **CLOSE)
    missing = tuple(None if k == block else x for k, x in enumerate(state))
    np.testing.assert_array_equal(machine.natural(block, missing), machine.natural(block, state))


@pytest.mark.parametrize("block", [0, 1, 3])
def test_log_marginal_sums_a_discrete_block_out(block):
    machine, state = mixed(), random_state(mixed())
    family, units = MIXED[block], SIZES[block] // MIXED[block].width
    values = np.array(family.values, np.float32).reshape(-1, family.width)
    rows = values[np.array(list(np.ndindex((len(values),) * units)))].reshape(-1, SIZES[block])
    energies = [
        machine.energy(
            tuple(tf.tile([row], [5, 1]) if k == block else x for k, x in enumerate(state))
        )
        for row in rows
    ]
    truth = np.log(np.sum(np.exp(-np.float64(energies)), 0))
    np.testing.assert_allclose(machine.log_marginal(state, block), truth, **CLOSE)


def test_log_marginal_integrates_a_gaussian_block_out():
    machine = Machine((Bernoulli(), Gaussian(2.0)), ([0.3, -0.2], [0.5]), {(0, 1): [[1.0], [-2]]})
    x = np.linspace(-15, 15, 30_001)
    for row in oracles.states(2):
        state = tf.tile(as_float32([row]), [len(x), 1]), as_float32(x[:, None])
        truth = np.log(np.sum(np.exp(-np.float64(machine.energy(state)))) * (x[1] - x[0]))
        np.testing.assert_allclose(machine.log_marginal((as_float32([row]),)), [truth], rtol=1e-5)


def test_energy_change_keeps_a_small_change_of_large_energies():
    old = mixed(scale=30.0)
    new = old.map(lambda t: t + 1e-4 * tf.cast(tf.math.cos(1e3 * t), tf.float32))
    state = random_state(mixed())
    truth = new.cast(tf.float64).interaction(tuple(tf.cast(x, tf.float64) for x in state))
    truth -= old.cast(tf.float64).interaction(tuple(tf.cast(x, tf.float64) for x in state))
    found = old.energy_change(new, state)
    assert float(tf.reduce_max(abs(truth))) > 1e-3
    np.testing.assert_allclose(found, -truth, rtol=1e-3, atol=1e-6)


def test_rms_coupling_is_that_of_the_coupled_pairs():
    machine = mixed(batch=(3,))
    matrices = [np.ravel(machine.matrix(k, l)) for k, l in machine.couplings]
    truth = np.sqrt(np.mean(np.concatenate(matrices) ** 2))
    np.testing.assert_allclose(machine.rms_coupling(), truth, rtol=1e-5)
    alone = Machine((Spin(),), ([0.1],), {})
    assert alone.rms_coupling() == 0


def test_split_and_sizes_and_batch_shape():
    machine = mixed(batch=(2,))
    assert machine.sizes == SIZES and machine.batch_shape == (2,)
    state = random_state(machine)
    blocks = machine.split(tf.concat(state, -1))
    for block, x in zip(blocks, state, strict=True):
        np.testing.assert_array_equal(block, x)


# What equals what


def test_two_blocks_of_bits_are_an_rbm_bit_for_bit():
    b1, b2, w = map(tf.constant, oracles.parameters(np.random.default_rng(4), 5, 4, 1.0))
    rbm, machine = RBM(b1, b2, w), Machine((Bernoulli(), Bernoulli()), (b1, b2), {(0, 1): w})
    for made in (
        lambda m: gibbs.run(m, gibbs.initial(m, 1000, 1), 5, 2),
        lambda m: ais.run(bridge.from_uniform(m), schedules.linear(11), 100, 3).samples,
        lambda m: ais.run(bridge.from_fields(m), schedules.linear(11), 100, 3).samples,
        lambda m: exact.sample(m, 100, 4),
        lambda m: population.update(m, m, population.of_fields(m, 50, 5), 6, 2)[0],
    ):
        tf.nest.map_structure(np.testing.assert_array_equal, made(rbm), made(machine))
    # traced for shapes that are open after other tests, a product may round otherwise
    for found, expected in zip(
        *(mean_field.fixed_point(m, mean_field.of_fields(m)) for m in (rbm, machine)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_spins_are_their_bits_up_to_a_constant():
    """log Z of spins less that of bits is the energy at the bits' zero: f's less sums of J."""
    spins = IsingRBM(*map(tf.constant, oracles.parameters(np.random.default_rng(5), 4, 3, 0.7)))
    constant = tf.reduce_sum(spins.j) - tf.reduce_sum(spins.f1) - tf.reduce_sum(spins.f2)
    gap = exact.log_z(spins) - exact.log_z(spins.binary())
    np.testing.assert_allclose(gap, constant, rtol=1e-5)
    back = ising.from_binary(spins.binary())
    np.testing.assert_allclose(exact.log_z(back), exact.log_z(spins), rtol=1e-5)


def test_factors_are_the_matrix_that_they_make():
    for batch in ((), (2,)):
        machine, state = mixed(batch=batch), random_state(mixed(batch=batch))
        other = dense(machine)
        np.testing.assert_allclose(machine.energy(state), other.energy(state), **CLOSE)
        np.testing.assert_allclose(machine.rms_coupling(), other.rms_coupling(), rtol=1e-5)
        np.testing.assert_allclose(exact.log_z(machine), exact.log_z(other), rtol=1e-6)
        for found, truth in zip(
            gibbs.run(machine, state, 3, 1), gibbs.run(other, state, 3, 1), strict=True
        ):
            np.testing.assert_allclose(found, truth, **CLOSE)


# Structures for TensorFlow


@EVERY
def test_tf_nest_takes_machines_apart_and_puts_them_together(kind):
    machine = MACHINES[kind]()
    stopped = tf.nest.map_structure(tf.stop_gradient, machine)
    assert type(stopped) is type(machine) and stopped.families == machine.families
    again = tf.nest.pack_sequence_as(machine, tf.nest.flatten(machine))
    state = random_state(machine)
    for other in (stopped, again, machine.map(tf.identity), machine.cast()):
        np.testing.assert_array_equal(other.energy(state), machine.energy(state))
    copies = machine.copies(3)
    assert copies.batch_shape == (3,) and copies.sizes == machine.sizes
    states = tuple(tf.stack([x] * 3) for x in state)
    np.testing.assert_allclose(copies.energy(states)[2], machine.energy(state), **CLOSE)


@EVERY
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "XLA"])
def test_tf_function_takes_and_returns_machines_and_is_traced_once(kind, jit_compile):
    traces = []

    @tf.function(jit_compile=jit_compile, autograph=False)
    def doubled(machine, state):
        traces.append(1)
        return tf.nest.map_structure(lambda t: 2 * t, machine), machine.natural(0, state)

    machine, state = MACHINES[kind](), random_state(MACHINES[kind]())
    for _ in range(2):
        twice, natural = doubled(machine, state)
        assert type(twice) is type(machine)
    np.testing.assert_allclose(natural, machine.natural(0, state), **CLOSE)
    for new, old in zip(tf.nest.flatten(twice), tf.nest.flatten(machine), strict=True):
        np.testing.assert_array_equal(new, 2 * old)
    assert len(traces) == 1


@EVERY
def test_gradients_of_the_energy_are_those_of_finite_differences(kind):
    machine = MACHINES[kind]().cast(tf.float64)
    state = tuple(tf.cast(x, tf.float64) for x in random_state(machine.cast()))
    with tf.GradientTape() as tape:
        tape.watch(machine)
        total = tf.reduce_sum(machine.energy(state))
    gradient = tape.gradient(total, machine)
    assert type(gradient) is type(machine)
    direction = machine.map(lambda t: tf.math.cos(1e3 * t))
    ends = [
        tf.reduce_sum(
            tf.nest.map_structure(lambda t, d, h=h: t + h * d, machine, direction).energy(state)
        )
        for h in (-1e-5, 1e-5)
    ]
    pairs = zip(tf.nest.flatten(gradient), tf.nest.flatten(direction), strict=True)
    along = sum(tf.reduce_sum(g * d) for g, d in pairs)
    np.testing.assert_allclose(along, (ends[1] - ends[0]) / 2e-5, rtol=1e-6)


@EVERY
def test_a_while_loop_carries_machines(kind):
    machine = MACHINES[kind]()

    @tf.function(autograph=False)
    def halved(machine):
        def body(i, machine):
            return i + 1, tf.nest.map_structure(lambda t: t / 2, machine)

        return tf.while_loop(lambda i, _: i < 3, body, (0, machine))[1]

    found = halved(machine)
    assert type(found) is type(machine)
    for new, old in zip(tf.nest.flatten(found), tf.nest.flatten(machine), strict=True):
        np.testing.assert_allclose(new, old / 8)


# Seeds, and machines of NumPy arrays

CALLS = {
    "exact.sample": lambda m, seed: exact.sample(m, 10, seed),
    "gibbs.initial": lambda m, seed: gibbs.initial(m, 10, seed),
    "gibbs.run": lambda m, seed: gibbs.run(m, gibbs.initial(m, 10, 1), 2, seed),
    "ais.run": lambda m, seed: ais.run(bridge.from_uniform(m), [0, 0.5, 1], 10, seed).samples,
    "ais.reverse": lambda m, seed: (
        ais.reverse(bridge.from_fields(m), gibbs.initial(m, 10, 1), [0, 0.5, 1], seed).samples
    ),
    "ais.log_z_bracket": lambda m, seed: (
        ais.log_z_bracket(bridge.from_mean_field(m), [0, 0.5, 1], 10, seed, 2).backward.samples
    ),
    "population_annealing.run": lambda m, seed: (
        population_annealing.run(bridge.from_uniform(m), [0, 1], 10, 2, seed).samples
    ),
    "population.update": lambda m, seed: population.update(
        m, m, population.of_fields(m, 10, 1), seed, 2
    ),
    "pcd.update": lambda m, seed: pcd.update(m, m, population.of_fields(m, 10, 1), seed, 2)[0],
    "parallel_tempering.run": lambda m, seed: (
        parallel_tempering.run(bridge.from_uniform(m), [0, 1], 2, 10, seed).draws
    ),
    "schedules.adaptive": lambda m, seed: schedules.adaptive(
        bridge.from_uniform(m), num_chains=20, seed=seed
    ),
}
EVERY_CALL = pytest.mark.parametrize("call", CALLS)


@pytest.fixture(autouse=True)
def plain_graphs(monkeypatch):
    """XLA's compilations would take most of the time; their results are the same."""
    for module, names in (
        (ais, ["_sweeps_compiled"]),
        (ais.chains, ["_anneal_compiled"]),
        (population_annealing, ["_begin", "_step"]),
        (parallel_tempering, ["_walk"]),
    ):
        for name in names:
            function = getattr(module, name).python_function
            monkeypatch.setattr(module, name, tf.function(function, autograph=False))


@EVERY_CALL
def test_integers_are_seeds_like_tensors(call):
    machine = mixed()
    results = [CALLS[call](machine, s) for s in (7, seeds.make_seed(7), seeds.make_seed(8))]
    tf.nest.map_structure(np.testing.assert_array_equal, *results[:2])
    rest = zip(tf.nest.flatten(results[0]), tf.nest.flatten(results[2]), strict=True)
    assert any(np.shape(a) != np.shape(b) or np.any(np.asarray(a) != b) for a, b in rest)


@EVERY_CALL
@pytest.mark.parametrize("kind", ["Machine", "RBM"])
def test_machines_of_arrays_are_taken(call, kind):
    """Float64 arrays and lists do what float32 tensors do."""
    machine = {"Machine": mixed, "RBM": MACHINES["RBM"]}[kind]()
    if kind == "RBM":
        arrays = machine.map(lambda t: t.numpy().astype(np.float64))
    else:
        arrays = mixed(as_tensors=False)
    found, truth = CALLS[call](arrays, 3), CALLS[call](machine, 3)
    for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(truth), strict=True):
        np.testing.assert_array_equal(a, b)


def test_mean_field_and_exact_answers_take_arrays():
    arrays, machine = MACHINES["RBM"]().map(np.asarray), MACHINES["RBM"]()
    means = mean_field.fixed_point(arrays, mean_field.of_fields(arrays))
    log_z = exact.log_z(arrays)
    np.testing.assert_array_equal(log_z, exact.log_z(machine))
    np.testing.assert_array_less(-1e-5, mean_field.kl(arrays, means, log_z))
    assert exact.moments(arrays).pairs[0, 1].shape == (3, 4)


# What is refused


@pytest.mark.parametrize(
    "families, fields, couplings, message",
    [
        ((), (), {}, "fields: found 0 for 0 families"),
        ((Spin(),), ([0.0], [0.0]), {}, "fields: found 2 for 1 families; accepted: one for each"),
        ((Spin(), Spin()), ([0.0],), {}, "fields: found 1 for 2 families"),
        ((Categorical(3),), (np.zeros(4),), {}, r"fields\[0\]: found shape \(4,\).*multiple of 3"),
        ((Spin(),), (0.0,), {}, r"fields\[0\]: found shape \(\)"),
        ((Spin(),), ([],), {}, r"fields\[0\]: found shape \(0,\).*n a positive multiple of 1"),
        (
            (Spin(), Spin()),
            ([0.0], [0.0]),
            {(1, 1): [[1.0]]},
            r"the pair \(1, 1\), which couples units inside a block; accepted: pairs",
        ),
        ((Spin(), Spin()), ([0.0], [0.0]), {(0, 2): [[1.0]]}, r"pair \(0, 2\).*0 <= k < l < 2"),
        ((Spin(), Spin()), ([0.0], [0.0]), {(1, 0): [[1.0]]}, r"pair \(1, 0\)"),
        ((Spin(), Spin()), ([0.0], [0.0]), {(-1, 1): [[1.0]]}, r"pair \(-1, 1\)"),
        (
            (Spin(), Spin()),
            ([0.0], [0.0, 0]),
            {(0, 1): np.zeros((2, 1))},
            r"couplings\[\(0, 1\)\]: found 2 x 1; accepted: 1 x 2 units",
        ),
        ((Spin(), Spin()), ([0.0], [0.0]), {(0, 1): [1.0]}, r"couplings\[\(0, 1\)\]: found"),
        (
            (Spin(), Spin()),
            ([0.0], [0.0]),
            {(0, 1): LowRank([[1.0]], [[1.0, 2.0]])},
            r"couplings\[\(0, 1\)\]: found factors of ranks 1 and 2",
        ),
        (
            (Spin(), Spin()),
            (np.zeros([2, 1]), np.zeros([3, 1])),
            {},
            r"fields\[1\]: found batch shape \(3,\); accepted: \(2,\), that of fields\[0\]",
        ),
        (
            (Spin(), Spin()),
            (np.zeros([2, 1]), np.zeros([2, 1])),
            {(0, 1): np.zeros([1, 1])},
            r"couplings\[\(0, 1\)\]: found batch shape \(\); accepted: \(2,\)",
        ),
        (
            (Gaussian((1.0, 2.0)), Spin()),
            (np.zeros(3), np.zeros(1)),
            {},
            r"fields\[0\]: found 3 units; accepted: 2, as many as precision",
        ),
    ],
)
def test_structures_that_do_not_fit_are_refused(families, fields, couplings, message):
    with pytest.raises(ValueError, match=message):
        Machine(families, fields, couplings)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    fields = np.array([value, 0]), np.zeros(2)
    machine = Machine((Spin(), Spin()), fields, {(0, 1): np.full((2, 2), value)})
    with pytest.raises(ValueError, match=r"machine: .* with 1 values that are NaN or infinite"):
        checks.check_machine(machine)
    for call in (
        exact.log_z,
        lambda m: ais.run(bridge.from_uniform(m)),
        lambda m: population_annealing.run(bridge.from_uniform(m)),
        lambda m: parallel_tempering.run(bridge.from_uniform(m), [0, 1], 2, 10, 0),
        lambda m: schedules.adaptive(bridge.from_uniform(m)),
    ):
        with pytest.raises(ValueError, match="NaN or infinite; accepted: finite numbers"):
            call(machine)


def gaussians(coupling):
    """Two pairs of units coupled in a chain: the precision's least eigenvalue is 1 - coupling."""
    families = Gaussian(), Spin(), Gaussian(4.0)
    w = 2 * coupling * np.eye(2)
    return Machine(families, (np.zeros(2), np.zeros(1), np.zeros(2)), {(0, 2): w})


@pytest.mark.parametrize("coupling", [1.0, -1.01, 5.0])
def test_couplings_between_gaussians_that_cannot_be_normalised_are_refused(coupling):
    message = r"found couplings between the Gaussian blocks \[0, 2\].*: Z is infinite; accepted:"
    for call in (
        exact.log_z,
        exact.moments,
        lambda m: exact.sample(m, 1, 0),
        lambda m: ais.run(bridge.from_uniform(m)),
        lambda m: population_annealing.run(bridge.from_uniform(m)),
        lambda m: parallel_tempering.run(bridge.from_uniform(m), [0, 1], 2, 10, 0),
    ):
        with pytest.raises(ValueError, match=message):
            call(gaussians(coupling))


def test_couplings_just_within_positive_definiteness_are_taken():
    machine = gaussians(0.99)
    # each pair of coupled units is a normal law of correlation 0.99
    truth = np.log(2.0) - np.log(1 - 0.99**2)
    np.testing.assert_allclose(exact.log_z(machine), truth, rtol=1e-5)


def test_a_discrete_state_space_beyond_enumeration_is_refused():
    machine = Machine((Categorical(4), Categorical(4)), (np.zeros(44), np.zeros(80)), {})
    with pytest.raises(
        ValueError, match=r"machine: found blocks of \(44, 80\) numbers, .*; accepted"
    ):
        exact.log_z(machine)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", None, True])
def test_seeds_that_are_refused(seed):
    with pytest.raises(ValueError, match="seed: found .*; accepted: an integer, 0 or more, or an"):
        gibbs.initial(mixed(), 3, seed)
