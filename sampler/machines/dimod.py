"""Machines of bits or spins from and to dimod's binary quadratic models."""

import math
from typing import Any

from sampler.io.errors import expect
from sampler.machines.graph import GraphMachine, from_graph
from sampler.machines.machine import AnyMachine
from sampler.machines.pairs import labels, pairs


def from_bqm(bqm: Any, beta: float = 1.0) -> GraphMachine:
    """The machine p(x) ~ exp(-beta E(x)) of a binary quadratic model, its variables the labels.

    The model's offset is left out: log Z of exp(-beta E) is the machine's less beta * offset.

    Args:
      bqm: a `dimod.BinaryQuadraticModel`.
      beta: inverse temperature, finite.

    Raises:
      ValueError: no binary quadratic model, no variables, another beta.
    """
    fit = all(hasattr(bqm, name) for name in ("linear", "quadratic", "vartype"))
    expect(fit, "bqm", type(bqm), "a dimod.BinaryQuadraticModel")
    expect(math.isfinite(beta), "beta", repr(beta), "a finite number")
    h = {unit: -beta * bias for unit, bias in bqm.linear.items()}
    return from_graph(h, {pair: -beta * j for pair, j in bqm.quadratic.items()}, bqm.vartype)


def to_bqm(machine: AnyMachine) -> Any:
    """The `dimod.BinaryQuadraticModel` of which the energy is the machine's.

    Its variables are a graph's labels, or 0 to n - 1 with the blocks side by side.

    Raises:
      ValueError: a batch of machines; units that are not all bits or all spins.
      ImportError: dimod is not installed.
    """
    try:
        import dimod
    except ImportError as error:
        raise ImportError("to_bqm needs dimod: pip install 'dvae-tf[dimod]'") from error
    batch = machine.batch_shape
    expect(not batch.rank, "machine", f"a batch {batch}", "one machine")
    found, names = pairs(machine), labels(machine)
    expect(len(set(found.lows)) == 1, "machine", "both bits and spins", "units of one family")
    biases = dict(zip(names, (-found.fields).tolist(), strict=True))
    bqm = dimod.BinaryQuadraticModel(dimod.SPIN if found.lows[0] < 0 else dimod.BINARY)
    bqm.add_linear_from({unit: biases[unit] for unit in getattr(machine, "labels", names)})
    for (first, second), value in zip(found.edges, found.values.tolist(), strict=True):
        bqm.add_quadratic(names[first], names[second], -value)
    return bqm
