"""Any machine of bits or spins as lists of fields and couplings."""

import itertools
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler.families import Bernoulli, Spin
from sampler.io.errors import expect
from sampler.machines.graph import GraphMachine
from sampler.machines.machine import AnyMachine


class Pairs(NamedTuple):
    """p(x) ~ exp(sum_i fields_i x_i + sum_e values_e x_i x_j), (i, j) = edges_e; all float64.

    Attributes:
      lows: the smaller value of each unit, 0 or -1, [n]; the larger is 1.
      fields: [..., n], the blocks side by side.
      edges: int, [E, 2]; values: [..., E].
    """

    lows: np.ndarray
    fields: np.ndarray
    edges: np.ndarray
    values: np.ndarray


def pairs(machine: AnyMachine) -> Pairs:
    """The machine's fields and couplings; couplings of 0 are left out where they stood in matrices.

    Raises:
      ValueError: units that are neither bits nor spins.
    """
    plain = all(isinstance(family, (Bernoulli, Spin)) for family in machine.families)
    accepted = "Bernoulli() and Spin() alone"
    expect(plain, "machine", f"units {machine.families}", accepted)
    machine = machine.cast(tf.float64)
    lows = np.repeat([float(family.values[0]) for family in machine.families], machine.sizes)
    fields = np.concatenate([field.numpy() for field in machine.fields], -1)
    if isinstance(machine, GraphMachine):
        edges = machine.graph.place[machine.graph.edges]
        return Pairs(lows, fields, edges, machine.values.numpy())
    matrix = _matrix(machine)
    edges = np.argwhere(np.triu((matrix != 0).any(tuple(range(matrix.ndim - 2)))))
    return Pairs(lows, fields, edges, matrix[..., edges[:, 0], edges[:, 1]])


def labels(machine: AnyMachine) -> list[Hashable]:
    """The units' names, the blocks side by side: a graph's own, or 0 to n - 1."""
    if isinstance(machine, GraphMachine):
        return [machine.labels[unit] for block in machine.graph.blocks for unit in block]
    return list(range(sum(machine.sizes)))


def _matrix(machine: AnyMachine) -> np.ndarray:
    """All couplings, [..., n, n], those of the later block in the columns."""
    ends = np.cumsum((0, *machine.sizes))
    places = [slice(first, last) for first, last in itertools.pairwise(ends)]
    matrix = np.zeros([*machine.batch_shape, ends[-1], ends[-1]])
    for first, second in itertools.combinations(range(len(places)), 2):
        matrix[..., places[first], places[second]] = machine.matrix(first, second)
    return matrix
