"""A `dimod.Sampler` in the place of our own: an annealer, or a simulation of one."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from dvae_tf.registry import PRIOR_SAMPLERS
from sampler.io.errors import expect, expect_number
from sampler.machines.graph import GraphMachine
from sampler.temperature import EffectiveBeta, effective_beta


class HandedIn:
    """Draws a machine's samples by somebody else's sampler, and looks how warm they are.

    Args:
      sampler: of dimod's interface.
      nodes: the names under which it is told of the units.
      parameters: of each of its calls, beside what it has of `seed` and of `num_reads`.
      beta: the inverse temperature at which it samples: energies are divided by it.
    """

    def __init__(self, sampler: Any, nodes: list, parameters: dict[str, Any] | None, beta: float):
        expect_number(beta, "beta", positive=True)
        samples = hasattr(sampler, "sample") and hasattr(sampler, "parameters")
        expect(
            samples, "sampler", repr(sampler), f"a dimod.Sampler, or {', '.join(PRIOR_SAMPLERS)}"
        )
        is_dict = parameters is None or isinstance(parameters, dict)
        expect(is_dict, "parameters", repr(parameters), "a dictionary")
        self.sampler, self.nodes = sampler, nodes
        self.parameters, self.beta = parameters or {}, beta
        self._told = False

    def __call__(
        self, machine: GraphMachine, num_chains: int, seed: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, ...], EffectiveBeta]:
        """States of all blocks, [num_chains, n_k], and their effective beta; in a graph too.

        More or fewer samples than `num_chains`, and weighted ones, are resampled.
        """

        def draw(fields: np.ndarray, values: np.ndarray, seed: np.ndarray) -> tuple:
            return self._draw(machine.graph, fields, values, num_chains, seed)

        fields = machine.to_units(machine.fields)
        kinds = (tf.float32,) * 3
        x, *found = tf.numpy_function(draw, (fields, machine.values, seed), kinds)
        x = tf.ensure_shape(x, [num_chains, len(self.nodes)])
        return machine.blocks_of(x), EffectiveBeta(*(tf.ensure_shape(t, []) for t in found))

    def _draw(
        self, graph: Any, fields: np.ndarray, values: np.ndarray, count: int, seed: np.ndarray
    ) -> tuple[np.ndarray, np.float32, np.float32]:
        """Rows [count, n] in the order of the nodes, beta and its error, on the host."""
        rows, weights = self._asked(graph.edges, fields, values, count, int(abs(seed[0])))
        blocks = tuple(tf.constant(fields[block]) for block in graph.blocks)
        machine = GraphMachine(graph, blocks, tf.constant(values))
        found = effective_beta(machine, machine.blocks_of(tf.constant(rows)), tf.constant(weights))
        self._tell(found)
        if len(rows) != count or np.ptp(weights):
            ends = np.cumsum(weights) / np.sum(weights)
            places = (np.arange(count) + np.random.default_rng(seed).random()) / count
            rows = rows[np.minimum(np.searchsorted(ends, places), len(rows) - 1)]
        return rows, np.float32(found.beta), np.float32(found.stderr)

    def _asked(
        self, edges: np.ndarray, fields: np.ndarray, values: np.ndarray, count: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the sampler answers: rows [C, n], float32, and their weights [C]."""
        import dimod

        fields, values = (-x.astype(np.float64) / self.beta for x in (fields, values))
        pairs = ((self.nodes[a], self.nodes[b]) for a, b in edges.tolist())
        bqm = dimod.BinaryQuadraticModel(
            dict(zip(self.nodes, fields.tolist(), strict=True)),
            dict(zip(pairs, values.tolist(), strict=True)),
            dimod.BINARY,
        )
        own = {"num_reads": count, "seed": seed}
        own = {k: v for k, v in own.items() if k in self.sampler.parameters}
        answer = self.sampler.sample(bqm, **{**own, **self.parameters})
        answer = answer.change_vartype(dimod.BINARY, inplace=False)
        place = {name: i for i, name in enumerate(answer.variables)}
        rows = answer.record.sample[:, [place[node] for node in self.nodes]]
        copies = answer.record.num_occurrences
        weights = getattr(answer.record, "weight", np.ones(len(rows)))
        rows, weights = np.repeat(rows, copies, 0), np.repeat(weights, copies)
        return rows.astype(np.float32), weights

    def _tell(self, found: EffectiveBeta) -> None:
        """Warns when samples become those of another temperature; once, until they are not."""
        told = found.warnings()
        if told and not self._told:
            again = self.beta * found.beta
            warnings.warn(
                f"{told[0]}; GraphPrior(beta={again:.3g}) would bring it to 1", stacklevel=2
            )
        self._told = bool(told)
