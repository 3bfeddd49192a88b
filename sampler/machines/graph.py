"""The Boltzmann machine on any graph: units coloured into blocks, couplings for the edges alone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sampler.families import Bernoulli, Family, Spin
from sampler.io.errors import expect
from sampler.machines.machine import AnyMachine, State, turned
from sampler.machines.topology import Graph, Links


class GraphMachine(AnyMachine):
    """Bits or spins on a graph: p(x) ~ exp(sum_i f_i x_i + sum_(i,j) J_ij x_i x_j) over its edges.

    Made by `from_graph`. A sweep's work grows with the number of edges, not of pairs of units.

    Attributes:
      graph: the static part.
      fields: of each block, [..., n_k].
      values: the edges' couplings, [..., E].
      unit_axis: of states; see `AnyMachine`.
    """

    def __init__(
        self, graph: Graph, fields: Sequence[tf.Tensor], values: tf.Tensor, unit_axis: int = -1
    ):
        self.graph, self.fields, self.values = graph, tuple(fields), values
        self.unit_axis = unit_axis
        self.families = (graph.family,) * len(graph.blocks)

    def __tf_flatten__(self) -> tuple[tuple, tuple]:
        return (self.graph, self.unit_axis), (self.fields, self.values)

    @classmethod
    def __tf_unflatten__(cls, metadata: tuple, components: tuple) -> GraphMachine:
        (graph, unit_axis), (fields, values) = metadata, components
        return cls(graph, fields, values, unit_axis)

    @property
    def labels(self) -> tuple[Hashable, ...]:
        """The units' names, in the user's order."""
        return self.graph.labels

    def to_units(self, state: State) -> tf.Tensor:
        """States [..., n] of the units in the order of `labels`, from those of all blocks."""
        return tf.gather(tf.concat(state, -1), self.graph.place, axis=-1)

    def blocks_of(self, x: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The blocks' states from those of the units in the order of `labels`, [..., n]."""
        return tuple(tf.gather(x, block, axis=-1) for block in self.graph.blocks)

    def coupling(self, k: int, state: State) -> tf.Tensor | float:
        """sum_l W_kl x_l over the blocks that are there, [..., C, n_k]; 0.0 if none is coupled."""
        others = tuple(j for j, x in enumerate(state) if j != k and x is not None)
        links = self.graph.links(k, others)
        if links is None:
            return 0.0
        if self.unit_axis == -2:
            return _couple(self._weights(links), links, tf.concat([state[j] for j in others], -2))
        columns = tf.concat(turned([state[j] for j in others]), -2)
        return tf.linalg.matrix_transpose(_couple(self._weights(links), links, columns))

    def interaction(self, state: State) -> tf.Tensor:
        """As `AnyMachine.interaction`, with the chains last."""
        columns = self.columns(None)
        if columns is None:
            return super().interaction(state)
        return columns.interaction(turned(state))

    def columns(self, num_chains: int | None) -> GraphMachine | None:
        """The machine for states [..., n_k, C]: sweeps take a third of the time."""
        del num_chains
        if self.unit_axis == -2:
            return None
        return GraphMachine(self.graph, self.fields, self.values, -2)

    def with_fields(self, fields: Sequence[tf.Tensor]) -> GraphMachine:
        """The machine with other fields."""
        return GraphMachine(self.graph, fields, self.values, self.unit_axis)

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of J^2 over edges and batch, a scalar."""
        squares = self.values**2
        return tf.sqrt(tf.reduce_mean(squares)) if len(self.graph.edges) else tf.constant(0.0)

    def _weights(self, links: Links) -> tf.Tensor:
        """The couplings in the places of `links.edges`, 0 where there is no edge."""
        filled = tf.concat([self.values, tf.zeros_like(self.values[..., :1])], -1)
        return tf.gather(filled, links.edges, axis=-1)


def _couple(weights: Any, links: Links, columns: tf.Tensor) -> tf.Tensor:
    """Couplings times states [..., m, C]: [..., n_k, C].

    XLA fuses the sum of gathered rows into one loop, whose inner part runs along the chains.
    """
    if links.units is None:
        return tf.matmul(weights, columns)
    terms = (
        weights[..., i, None] * tf.gather(columns, units, axis=-2)
        for i, units in enumerate(links.units.T)
    )
    total = next(terms)
    for term in terms:
        total += term
    return total


def from_graph(h: Any, J: Any, vartype: Any) -> GraphMachine:
    """The machine p(x) ~ exp(sum_i h_i x_i + sum_(i,j) J_ij x_i x_j) of fields and couplings.

    Args:
      h: a dict {unit: field}, of which the keys are the units' labels; or an array [..., n], and
        the labels are 0 to n - 1.
      J: a dict {(unit, unit): coupling}, or a pair of arrays: edges [E, 2] and couplings [..., E].
      vartype: 'SPIN' for units in {-1, +1} or 'BINARY' for {0, 1}, or dimod's.

    Raises:
      ValueError: no units; another vartype; numbers that are not finite; an edge from a unit to
        itself, to one without a field, or given twice (in either order).
    """
    family = _family(vartype)
    labels = tuple(h if isinstance(h, Mapping) else range((0, *np.shape(h))[-1]))
    expect(labels, "h", "" if labels else h, "a field for each of one or more units")
    fields = _finite("h", list(h.values()) if isinstance(h, Mapping) else h)
    pairs, values = (J, list(J.values())) if isinstance(J, Mapping) else J
    edges = _edges(
        labels, list(pairs) if isinstance(pairs, Mapping) else np.asarray(pairs).tolist()
    )
    couplings = _finite("J", values)
    found = f"couplings {couplings.shape} for {len(edges)} edges"
    expect(couplings.shape[-1:] == (len(edges),), "J", found, "[..., E]")
    graph = Graph(labels, family, edges)
    blocks = tuple(tf.constant(fields[..., block]) for block in graph.blocks)
    return GraphMachine(graph, blocks, tf.constant(couplings))


def _family(vartype: Any) -> Family:
    families: dict[str, Family] = {"SPIN": Spin(), "BINARY": Bernoulli()}
    name = str(getattr(vartype, "name", vartype)).upper()
    expect(name in families, "vartype", repr(vartype), " or ".join(families))
    return families[name]


def _finite(name: str, values: Any) -> np.ndarray:
    """The numbers as float32."""
    numbers = np.asarray(values, np.float32)
    bad = numbers.size - np.isfinite(numbers).sum()
    expect(not bad, name, f"{bad} values that are NaN or infinite", "finite")
    return numbers


def _edges(labels: tuple[Hashable, ...], pairs: list[Any]) -> np.ndarray:
    """The edges by their units' places, int32 [E, 2]."""
    index = {label: i for i, label in enumerate(labels)}
    seen: set[frozenset] = set()
    for pair in pairs:
        listed = isinstance(pair, (tuple, list))
        found = f"the edge {tuple(pair) if listed else pair!r}"
        expect(listed and len(pair) == 2, "J", found, "pairs of units")
        for unit in set(pair) - index.keys():
            missing = f"{found}, but no unit {unit!r} in h"
            expect(False, "J", missing, "edges between units of h (a field may be 0)")
        expect(pair[0] != pair[1], "J", found, "edges between two units")
        once = "each pair of units once, in either order (add the couplings)"
        expect(frozenset(pair) not in seen, "J", f"{found} a second time", once)
        seen.add(frozenset(pair))
    return np.array([[index[u], index[v]] for u, v in pairs], np.int32).reshape(-1, 2)
