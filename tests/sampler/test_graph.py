"""Machines on graphs against enumeration: energies, laws of sweeps; labels, colours, refusals."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from sampler import ais, bridge, elimination, from_graph, gibbs, seeds
from sampler.machines import topology
from sampler.machines.general import Machine

LOWS = {"SPIN": -1.0, "BINARY": 0.0}
run_compiled = tf.function(gibbs.run, jit_compile=True)


def random_graph(num_units, chance, seed, scale=0.7):
    rng = np.random.default_rng(seed)
    pairs = [p for p in itertools.combinations(range(num_units), 2) if rng.random() < chance]
    return rng.normal(size=num_units) * scale, {p: rng.normal() * scale for p in pairs}


def all_states(num_units, vartype):
    return np.array(list(itertools.product((LOWS[vartype], 1.0), repeat=num_units)), np.float32)


def exponent(h, couplings, x):
    """sum h x + sum J x x of states [S, n], in float64."""
    x = x.astype(np.float64)
    return x @ np.asarray(h) + sum(j * x[:, u] * x[:, v] for (u, v), j in couplings.items())


@pytest.fixture(params=["gathered", "dense"])
def layout(request, monkeypatch):
    """Both ways to multiply by the couplings: graphs this small would take the dense one."""
    monkeypatch.setattr(topology, "_GATHERED_COST", 0 if request.param == "gathered" else 1000)


@pytest.mark.parametrize("vartype", LOWS)
def test_energies_are_those_of_the_definition(layout, vartype):
    h, couplings = random_graph(9, 0.5, 0)
    machine = from_graph(h, couplings, vartype)
    x = all_states(9, vartype)
    state = machine.blocks_of(x)
    np.testing.assert_allclose(machine.energy(state), -exponent(h, couplings, x), atol=1e-5)
    np.testing.assert_array_equal(machine.to_units(state), x)
    assert [block.shape[-1] for block in state] == list(machine.sizes)


@pytest.mark.parametrize("vartype", LOWS)
def test_the_last_block_is_summed_out(layout, vartype):
    h, couplings = random_graph(8, 0.4, 1)
    machine = from_graph(h, couplings, vartype)
    kept = np.concatenate(machine.blocks_of(all_states(8, vartype))[:-1], -1)
    state = tuple(np.split(np.unique(kept, axis=0), np.cumsum(machine.sizes[:-2]), -1))
    total = np.logaddexp.reduce(exponent(h, couplings, all_states(8, vartype)))
    found = np.logaddexp.reduce(machine.log_marginal(state).numpy().astype(np.float64))
    assert found == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("vartype", LOWS)
def test_sweeps_have_the_enumerated_law(layout, vartype):
    h, couplings = random_graph(7, 0.5, 2)
    machine = from_graph(h, couplings, vartype)
    num_chains = 20_000
    start = gibbs.initial(machine, num_chains, 1)
    x = machine.to_units(run_compiled(machine, start, 40, seeds.make_seed(2))).numpy()
    states = all_states(7, vartype)
    p = np.exp(exponent(h, couplings, states))
    p /= p.sum()
    low = LOWS[vartype]
    code = ((x - low) / (1 - low)) @ (2 ** np.arange(7)[::-1])
    counts = np.bincount(code.astype(int), minlength=128)
    chi = (counts - num_chains * p) ** 2 / (num_chains * p)
    frequent = num_chains * p > 5
    # a chi-square variable of that many degrees of freedom, to five standard deviations
    assert chi[frequent].sum() < frequent.sum() + 5 * np.sqrt(2 * frequent.sum())


def test_one_sweep_draws_from_the_conditionals(layout):
    """From a given state, the law of the next one is the product of the blocks' conditionals."""
    h, couplings = random_graph(6, 0.6, 3)
    machine = from_graph(h, couplings, "SPIN")
    x = np.array([[1, -1, -1, 1, 1, -1]], np.float32)
    states = all_states(6, "SPIN")
    p, law = np.exp(exponent(h, couplings, states)), {tuple(x[0]): 1.0}
    for block in machine.graph.blocks:
        law = redraw(law, block, dict(zip(map(tuple, states), p, strict=True)))
    num_chains = 50_000
    start = machine.blocks_of(np.repeat(x, num_chains, 0))
    drawn = machine.to_units(run_compiled(machine, start, 1, seeds.make_seed(3))).numpy()
    truth = sum(q * np.outer(s, s) for s, q in law.items())
    found = drawn.T @ drawn / num_chains
    np.testing.assert_allclose(found, truth, atol=5 / np.sqrt(num_chains))


def redraw(law, block, p):
    new = {}
    for state, q in law.items():
        options = []
        for values in itertools.product((-1.0, 1.0), repeat=len(block)):
            option = np.array(state)
            option[block] = values
            options.append(tuple(option))
        total = sum(p[option] for option in options)
        for option in options:
            new[option] = new.get(option, 0.0) + q * p[option] / total
    return new


def test_batches_and_gradients(layout):
    h, couplings = random_graph(8, 0.5, 4)
    edges = np.array(list(couplings)), np.array(list(couplings.values()))
    batch = from_graph(np.stack([h, 2 * h]), (edges[0], np.stack([edges[1], -edges[1]])), "BINARY")
    x = np.stack([all_states(8, "BINARY")[:50]] * 2)
    with tf.GradientTape() as tape:
        tape.watch(batch.values)
        energy = batch.energy(batch.blocks_of(x))
    truth = [
        -exponent(h, couplings, x[0]),
        -exponent(2 * h, {p: -j for p, j in couplings.items()}, x[1]),
    ]
    np.testing.assert_allclose(energy, truth, atol=1e-5)
    both = x[0][:, edges[0][:, 0]] * x[0][:, edges[0][:, 1]]
    np.testing.assert_allclose(tape.gradient(energy, batch.values)[1], -both.sum(0), atol=1e-4)
    swept = gibbs.run(batch, batch.blocks_of(x), 3, 0)
    assert [block.shape for block in swept] == [(2, 50, n) for n in batch.sizes]


def test_a_machine_is_a_structure_of_tensors():
    h, couplings = random_graph(6, 0.5, 5)
    machine, other = from_graph(h, couplings, "SPIN"), from_graph(2 * h, couplings, "SPIN")
    assert machine.graph == other.graph and hash(machine.graph) == hash(other.graph)
    assert machine.graph != from_graph(h, couplings, "BINARY").graph
    assert len(tf.nest.flatten(machine)) == len(machine.sizes) + 1
    change = machine.difference(other)
    np.testing.assert_allclose(change.to_units(change.fields), h, rtol=1e-6)
    energy = tf.function(lambda m, state: m.energy(state), jit_compile=True)
    for one in (machine, other):
        energy(one, one.blocks_of(all_states(6, "SPIN")))
    assert energy.experimental_get_tracing_count() == 1


def test_labels_and_edges_come_in_any_form():
    by_name = from_graph(
        {"c": 0.5, "a": -1.0, "b": 0.0}, {("a", "b"): 1.0, ("c", "a"): 2.0}, "spin"
    )
    by_place = from_graph([0.5, -1.0, 0.0], ([[1, 2], [0, 1]], [1.0, 2.0]), "Spin")
    assert by_name.labels == ("c", "a", "b") and by_place.labels == (0, 1, 2)
    x = all_states(3, "SPIN")
    np.testing.assert_array_equal(
        by_name.energy(by_name.blocks_of(x)), by_place.energy(by_place.blocks_of(x))
    )


def test_colours_are_proper_and_few():
    _, couplings = random_graph(60, 0.1, 6)
    machine = from_graph(np.zeros(60), couplings, "SPIN")
    colour = {unit: k for k, block in enumerate(machine.graph.blocks) for unit in block.tolist()}
    assert sorted(colour) == list(range(60))
    assert all(colour[u] != colour[v] for u, v in couplings)
    assert machine.sizes[-1] == max(machine.sizes)
    ring = from_graph(np.zeros(10), {(i, (i + 1) % 10): 1.0 for i in range(10)}, "SPIN")
    assert ring.sizes == (5, 5)


def test_units_without_couplings():
    machine = from_graph([0.5, -1.0], {}, "BINARY")
    assert machine.sizes == (2,)
    drawn = gibbs.run(machine, gibbs.initial(machine, 20_000, 0), 2, 1)[0]
    np.testing.assert_allclose(np.mean(drawn, 0), 1 / (1 + np.exp([-0.5, 1.0])), atol=0.02)


def test_agrees_with_a_dense_machine():
    h, couplings = random_graph(12, 0.6, 7)
    graph = from_graph(h, couplings, "BINARY")
    blocks = range(len(graph.sizes))
    matrices = {(k, m): graph.matrix(k, m) for k, m in itertools.combinations(blocks, 2)}
    dense = Machine(graph.families, graph.fields, matrices)
    state = graph.blocks_of(all_states(12, "BINARY")[::7])
    np.testing.assert_allclose(graph.energy(state), dense.energy(state), atol=1e-5)
    for k in blocks:
        np.testing.assert_allclose(graph.natural(k, state), dense.natural(k, state), atol=1e-5)


@pytest.mark.parametrize(
    ("h", "couplings", "vartype", "words"),
    [
        ([0.0, 0.0], {(0, 1): 1.0}, "POTTS", "vartype: found 'POTTS'; accepted: SPIN or BINARY"),
        ([0.0, 0.0], {(1, 1): 1.0}, "SPIN", r"J: found the edge \(1, 1\); accepted: edges between"),
        ([0.0, 0.0], {(0, 2): 1.0}, "SPIN", r"J: found the edge \(0, 2\), but no unit 2 in h"),
        ([0.0, 0.0], {(0, 1): 1.0, (1, 0): 1.0}, "SPIN", r"the edge \(1, 0\) a second time"),
        ([0.0, np.nan], {(0, 1): 1.0}, "SPIN", "h: found 1 values that are NaN or infinite"),
        ([0.0, 0.0], {(0, 1): np.inf}, "SPIN", "J: found 1 values that are NaN or infinite"),
        ([], {}, "SPIN", r"h: found \[\]; accepted: a field for each"),
        ({}, {}, "SPIN", r"h: found {}; accepted: a field for each"),
        ([0.0, 0.0], {0: 1.0}, "SPIN", "J: found the edge 0; accepted: pairs of units"),
        ([0.0, 0.0], ([[0, 1]], [1.0, 2.0]), "SPIN", r"J: found couplings \(2,\) for 1 edges"),
    ],
)
def test_refusals_name_the_argument(h, couplings, vartype, words):
    with pytest.raises(ValueError, match=words):
        from_graph(h, couplings, vartype)


def test_annealing_finds_log_z():
    h, couplings = random_graph(40, 0.1, 8, scale=0.5)
    machine = from_graph(h, couplings, "SPIN")
    found = ais.run(bridge.from_uniform(machine), num_chains=500, seed=1)
    error = found.log_z - elimination.log_z(machine)
    assert abs(error) < 5 * found.stderr
