"""Machines from and to dimod's models: the energies of all states."""

import builtins
import itertools

import numpy as np
import pytest
import tensorflow as tf

from sampler import elimination, from_bqm, from_graph
from sampler.families import Bernoulli, Categorical, Spin
from sampler.machines.general import Machine
from sampler.machines.ising import IsingRBM
from sampler.machines.rbm import RBM, LowRankRBM

dimod = pytest.importorskip("dimod")


def model(vartype, num_units=7):
    rng = np.random.default_rng(0)
    names = [f"unit {i}" for i in range(num_units)]
    h = {name: rng.normal() for name in names}
    couplings = {p: rng.normal() for p in itertools.combinations(names, 2) if rng.random() < 0.6}
    return dimod.BinaryQuadraticModel(h, couplings, 1.5, vartype)


def all_states(count, low):
    return np.array(list(itertools.product((low, 1), repeat=count)), np.float32)


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
def test_a_model_becomes_a_machine_and_comes_back(vartype, beta):
    bqm = model(vartype)
    machine = from_bqm(bqm, beta)
    assert machine.labels == tuple(bqm.variables)
    x = all_states(7, -1 if vartype == "SPIN" else 0)
    energies = beta * bqm.energies((x, list(bqm.variables)))
    found = machine.energy(machine.blocks_of(x))
    np.testing.assert_allclose(found, energies - beta * 1.5, atol=1e-5)
    log_z = np.logaddexp.reduce(-energies)
    assert elimination.log_z(machine) - beta * 1.5 == pytest.approx(log_z, abs=1e-5)
    back = machine.to_bqm()
    assert list(back.variables) == list(bqm.variables) and back.vartype is bqm.vartype
    np.testing.assert_allclose(back.energies((x, list(bqm.variables))), found, atol=1e-5)


def test_dimods_vartypes_are_taken():
    for vartype, family in ((dimod.SPIN, Spin()), (dimod.BINARY, Bernoulli())):
        assert from_graph([0.0, 1.0], {}, vartype).families == (family,)


@pytest.mark.parametrize("kind", [RBM, IsingRBM, LowRankRBM])
def test_dense_machines_become_models(kind):
    rng = np.random.default_rng(1)
    shapes = ((4,), (3,), (4, 2), (3, 2)) if kind is LowRankRBM else ((4,), (3,), (4, 3))
    machine = kind(*(tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes))
    bqm = machine.to_bqm()
    assert list(bqm.variables) == list(range(7))
    x = all_states(7, -1 if kind is IsingRBM else 0)
    np.testing.assert_allclose(
        bqm.energies((x, range(7))), machine.energy(machine.split(x)), atol=1e-5
    )


def test_refusals():
    one = tf.zeros([1, 1])
    with pytest.raises(ValueError, match="machine: found a batch .* accepted: one machine"):
        RBM(one, one, one[None]).to_bqm()
    mixed = Machine((Spin(), Bernoulli()), ([0.0], [0.0]), {(0, 1): [[1.0]]})
    with pytest.raises(ValueError, match="found both bits and spins"):
        mixed.to_bqm()
    potts = Machine((Categorical(3), Spin()), ([0.0] * 3, [0.0]), {})
    with pytest.raises(ValueError, match="machine: found units .*Categorical"):
        potts.to_bqm()
    with pytest.raises(ValueError, match="bqm: found <class 'dict'>"):
        from_bqm({})
    with pytest.raises(ValueError, match="beta: found nan"):
        from_bqm(model("SPIN"), float("nan"))
    with pytest.raises(ValueError, match="h: found {}"):
        from_bqm(dimod.BinaryQuadraticModel("SPIN"))


def test_without_dimod_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "dimod":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install"):
        from_graph([0.0], {}, "SPIN").to_bqm()
