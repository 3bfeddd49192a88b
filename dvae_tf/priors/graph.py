"""The prior on a graph: a Boltzmann machine whose couplings are the graph's edges."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.priors import annealers
from dvae_tf.priors.handed_in import HandedIn
from dvae_tf.priors.prior import Prior
from sampler.families import Bernoulli
from sampler.io.errors import expect
from sampler.machines.graph import GraphMachine, from_graph
from sampler.machines.topology import Graph


@keras.saving.register_keras_serializable(package="dvae_tf")
class GraphPrior(Prior):
    """Fields and couplings of Ising spins s = 2z - 1 on a graph, all zero at first.

    A sweep costs the edges, not all pairs of units. Latents stand in the order of the machine's
    blocks, which are the colours of the graph; `prior_machine().to_units` has the graph's order.

    Args:
      edges: pairs of nodes, or a networkx graph, such as `dwave.graphs.zephyr_graph(2)`; nodes are
        numbered in sorted order where they are numbers, else as they first appear.
      chains, sweeps, sampler: see `Prior`; or, as the sampler, any `dimod.Sampler`, whose samples
        are taken as they are, without sweeps. It is not saved with a model.
      parameters: what a `dimod.Sampler` is told in each call; of `num_reads` and `seed` it is told
        without, if it has them.
      beta: the inverse temperature at which it samples the energies that it is given: they are
        divided by it. See `sampler.temperature` for how that of the samples is estimated.
      nodes: all of them, where some may have no edges.

    Raises:
      ValueError: no edges, one from a node to itself, or one that is there twice; a beta of 0.
    """

    # of J: the penalty is on what acts on bits, W = 4J
    penalties = {"j": 16.0}

    def __init__(
        self,
        edges: Any,
        chains: int = 1000,
        sweeps: int = 5,
        sampler: Any = "pa",
        parameters: dict[str, Any] | None = None,
        beta: float = 1.0,
        nodes: Iterable | None = None,
    ):
        own = isinstance(sampler, str)
        super().__init__(chains, sweeps, sampler if own else "pa")
        accepted = "pairs of nodes, or a networkx graph"
        try:
            pairs = [(a, b) for a, b, *_ in _pairs(edges)]
            found = dict.fromkeys(n for pair in pairs for n in pair)
        except (TypeError, ValueError):
            expect(False, "edges", repr(edges), accepted)
        expect(pairs, "edges", "none", accepted)
        nodes = nodes if nodes is not None else getattr(edges, "nodes", found)
        is_whole = np.iterable(nodes) and {*found} <= {*nodes}
        expect(is_whole, "nodes", repr(nodes), "all nodes, those of the edges among them")
        nodes = list(nodes)
        self.numbered = all(isinstance(n, (int, np.integer)) for n in nodes)
        self.nodes = sorted(map(int, nodes)) if self.numbered else nodes
        place = {node: i for i, node in enumerate(self.nodes)}
        self.edges = [[place[a], place[b]] for a, b in pairs]
        self.num_nodes = len(place)
        self.handed_in = None if own else HandedIn(sampler, self.nodes, parameters, beta)
        # from_graph tells of edges that can't be
        zeros = np.zeros(self.num_nodes), (np.array(self.edges), np.zeros(len(self.edges)))
        self.graph: Graph = from_graph(*zeros, "BINARY").graph

    @classmethod
    def of_run(cls, config: Config) -> "GraphPrior":
        """A patch of the graph that the flag names, of as many units as there are latents."""
        graph = annealers.patch(config.prior, config.num_latents)
        return cls(graph, config.prior_chains, config.prior_sweeps, config.prior_sampler)

    def get_config(self) -> dict[str, Any]:
        """Nodes and edges, by numbers, and the sampling."""
        names = self.nodes if self.numbered else range(self.num_nodes)
        edges = [[names[a], names[b]] for a, b in self.edges]
        return {**super().get_config(), "edges": edges, "nodes": list(names)}

    def attach(self, num_latents: tuple[int, ...]) -> None:
        """See `Prior.attach`: as many latents as nodes."""
        if sum(num_latents) != self.num_nodes:
            raise ValueError(
                f"num_latents: found {num_latents}, {sum(num_latents)} in all; accepted by this "
                f"GraphPrior: its {self.num_nodes} nodes"
            )
        self.f = self.add_weight(name="f", shape=(self.num_nodes,), initializer="zeros")
        self.j = self.add_weight(name="j", shape=(len(self.edges),), initializer="zeros")

    def machine(self) -> GraphMachine:
        """The machine of bits: W = 4 J, b = 2 (f - the sum of a node's J)."""
        f, j = (tf.convert_to_tensor(v.value) for v in (self.f, self.j))
        ends = tf.constant(self.graph.edges)
        at_nodes = tf.math.unsorted_segment_sum(tf.repeat(j, 2), tf.reshape(ends, [-1]), f.shape[0])
        return _machine(self.graph, 2 * (f - at_nodes), 4 * j)

    @staticmethod
    def encode(machine: GraphMachine) -> dict[str, tf.Tensor]:
        """b [n] in the nodes' order, w [E], and the edges [E, 2]."""
        b = tf.gather(tf.concat(machine.fields, -1), machine.graph.place)
        return {"b": b, "w": machine.values, "edges": tf.constant(machine.graph.edges)}

    @staticmethod
    def decode(tensors: dict[str, tf.Tensor]) -> GraphMachine:
        """The machine of `encode`'s tensors."""
        edges = tf.get_static_value(tensors["edges"])
        graph = Graph(range(tensors["b"].shape[-1]), Bernoulli(), np.asarray(edges, np.int32))
        return _machine(graph, tensors["b"], tensors["w"])


def _machine(graph: Graph, b: tf.Tensor, w: tf.Tensor) -> GraphMachine:
    return GraphMachine(graph, [tf.gather(b, block) for block in graph.blocks], w)


def _pairs(edges: Any) -> Iterable:
    found = getattr(edges, "edges", edges)
    return found() if callable(found) else found
