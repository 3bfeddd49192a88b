"""Elimination against enumeration and against dwave-samplers' own tree decomposition."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from sampler import elimination, from_graph
from sampler.families import Bernoulli, Gaussian, Spin
from sampler.machines.general import Machine
from sampler.machines.ising import IsingRBM
from sampler.machines.rbm import RBM

graphs = pytest.importorskip("dwave.graphs")
solvers = pytest.importorskip("dwave.samplers")


def square(side):
    """Edges of a square lattice with open ends."""
    return [
        (at, to)
        for at in itertools.product(range(side), repeat=2)
        for to in ((at[0] + 1, at[1]), (at[0], at[1] + 1))
        if max(to) < side
    ]


def triangular(side):
    """Those of a square lattice and a diagonal in each square."""
    diagonals = [((i, j), (i + 1, j + 1)) for i in range(side - 1) for j in range(side - 1)]
    return square(side) + diagonals


LATTICES = {
    "square 12 x 12": square(12),
    "triangular 8 x 8": triangular(8),
    "Chimera 3 x 3 x 4": list(graphs.chimera_graph(3, 3, 4).edges),
    "Pegasus 2": list(graphs.pegasus_graph(2).edges),
    "Zephyr 3, tile 1": list(graphs.zephyr_graph(3, 1).edges),
    "Zephyr 1": list(graphs.zephyr_graph(1).edges),
}


def glass(edges, scale=1.0, seed=0, field=0.0, vartype="SPIN"):
    """Couplings +-scale, and fields of a normal distribution."""
    rng = np.random.default_rng(seed)
    units = sorted({unit for edge in edges for unit in edge})
    h = {unit: field * rng.normal() for unit in units}
    return from_graph(h, {edge: scale * rng.choice([-1.0, 1.0]) for edge in edges}, vartype)


def brute_force(fields, couplings, low):
    """log Z, means and E[x x'] of all pairs, by all states."""
    x = np.array(list(itertools.product((low, 1.0), repeat=len(fields))))
    exponent = x @ fields + np.einsum("si,ij,sj->s", x, np.triu(couplings, 1), x)
    total = np.logaddexp.reduce(exponent)
    p = np.exp(exponent - total)
    return total, p @ x, np.einsum("s,si,sj->ij", p, x, x)


def random_couplings(num_units, chance, seed):
    rng = np.random.default_rng(seed)
    w = np.triu(rng.normal(size=(num_units, num_units)), 1)
    w *= rng.random(w.shape) < chance
    return rng.normal(size=num_units).astype(np.float32), w.astype(np.float32)


@pytest.mark.parametrize("chance", [0.0, 0.15, 0.5, 1.0])
@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
def test_against_all_states(vartype, chance):
    fields, couplings = random_couplings(11, chance, 1)
    edges = np.argwhere(couplings)
    values = couplings[edges[:, 0], edges[:, 1]]
    machine = from_graph(fields, (edges, values), vartype)
    low = -1.0 if vartype == "SPIN" else 0.0
    total, means, pairs = brute_force(fields.astype(float), couplings.astype(float), low)
    assert elimination.log_z(machine) == pytest.approx(total, rel=1e-13)
    found = elimination.moments(machine)
    np.testing.assert_allclose(machine.to_units(found.means), means, atol=1e-13)
    np.testing.assert_allclose(found.pairs, pairs[edges[:, 0], edges[:, 1]], atol=1e-13)


@pytest.mark.parametrize("beta", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("name", LATTICES)
def test_against_a_second_tree_decomposition(name, beta):
    machine = glass(LATTICES[name], beta, field=0.3)
    other = solvers.TreeDecompositionSampler().sample(machine.to_bqm(), beta=1.0, marginals=True)
    truth = other.info["log_partition_function"]
    assert elimination.log_z(machine) == pytest.approx(truth, rel=1e-12)
    found = elimination.moments(machine)
    means = machine.to_units(found.means).numpy()
    up = np.array([other.info["variable_marginals"][unit] for unit in machine.labels])
    np.testing.assert_allclose(means, 2 * up - 1, atol=1e-9)


@pytest.mark.parametrize("beta", [0.3, 1.0, 3.0])
def test_samples_have_the_exact_moments(beta):
    machine, num_samples = glass(square(8), beta, seed=2, field=0.3), 20_000
    x = np.concatenate(elimination.sample(machine, num_samples, seed=3), -1)
    truth = elimination.moments(machine)
    means = np.concatenate(truth.means)
    # a spin of mean m has variance 1 - m^2, a product of spins alike
    errors = (x.mean(0) - means) / np.sqrt((1 - means**2) / num_samples + 1e-12)
    pairs = (x[:, truth.edges[:, 0]] * x[:, truth.edges[:, 1]]).mean(0) - truth.pairs
    errors = np.append(errors, pairs / np.sqrt((1 - truth.pairs**2) / num_samples + 1e-12))
    assert abs(errors).max() < 5
    assert np.mean(errors**2) == pytest.approx(1, abs=0.5)


def test_samples_of_few_units_have_the_law():
    fields, couplings = random_couplings(5, 0.6, 4)
    edges = np.argwhere(couplings)
    machine = from_graph(fields, (edges, couplings[edges[:, 0], edges[:, 1]]), "BINARY")
    x = machine.to_units(elimination.sample(machine, 40_000, seed=5)).numpy()
    states = np.array(list(itertools.product((0.0, 1.0), repeat=5)))
    exponent = states @ fields + np.einsum("si,ij,sj->s", states, couplings, states)
    p = np.exp(exponent) / np.exp(exponent).sum()
    counts = np.bincount((x @ (2 ** np.arange(5)[::-1])).astype(int), minlength=32)
    assert (((counts - 40_000 * p) ** 2) / (40_000 * p)).sum() < 31 + 5 * np.sqrt(62)


def test_other_machines_and_batches():
    rng = np.random.default_rng(6)
    parts = [rng.normal(size=shape).astype(np.float32) for shape in ((2, 4), (2, 3), (2, 4, 3))]
    for kind, low in ((RBM, 0.0), (IsingRBM, -1.0)):
        machine = kind(*map(tf.constant, parts))
        truth = []
        for f1, f2, w in zip(*parts, strict=True):
            both = np.zeros([7, 7])
            both[:4, 4:] = w
            truth.append(brute_force(np.concatenate([f1, f2]).astype(float), both, low))
        np.testing.assert_allclose(elimination.log_z(machine), [t[0] for t in truth], rtol=1e-13)
        means = np.concatenate(elimination.moments(machine).means, -1)
        np.testing.assert_allclose(means, [t[1] for t in truth], atol=1e-13)
        assert [x.shape for x in elimination.sample(machine, 6)] == [(2, 6, 4), (2, 6, 3)]


def test_bits_and_spins_together():
    w = np.array([[0.7, -1.2], [0.4, 0.9], [-0.5, 0.3]], np.float32)
    machine = Machine((Spin(), Bernoulli()), (np.zeros(3), np.array([0.2, -0.3])), {(0, 1): w})
    spins, bits = (
        np.array(list(itertools.product((low, 1.0), repeat=n))) for low, n in ((-1, 3), (0, 2))
    )
    exponent = spins @ w.astype(float) @ bits.T + bits @ np.float32([0.2, -0.3]).astype(float)
    assert elimination.log_z(machine) == pytest.approx(
        np.logaddexp.reduce(exponent, None), rel=1e-13
    )


@pytest.mark.parametrize(
    ("edges", "most"),
    [(square(12), 12), (triangular(8), 8), (list(graphs.chimera_graph(4, 4, 4).edges), 19)],
)
def test_lattices_have_small_widths(edges, most):
    assert elimination.width(glass(edges)) <= most


def test_refusals():
    complete = list(itertools.combinations(range(12), 2))
    with pytest.raises(ValueError, match="12 units and 66 edges.*accepted: up to max_width = 10"):
        elimination.log_z(glass(complete), max_width=10)
    assert elimination.width(glass(complete)) == 11
    gaussian = Machine((Gaussian(), Bernoulli()), ([0.0], [0.0]), {(0, 1): [[1.0]]})
    with pytest.raises(ValueError, match="machine: found units .*Gaussian.*accepted: Bernoulli"):
        elimination.log_z(gaussian)
    with pytest.raises(ValueError, match="NaN or infinite"):
        elimination.log_z(RBM(tf.constant([0.0]), tf.constant([np.nan]), tf.constant([[1.0]])))
    with pytest.raises(ValueError, match="num_samples: found 0"):
        elimination.sample(glass(complete), 0)
