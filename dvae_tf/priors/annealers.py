"""Graphs of quantum annealers, and patches of them with a given number of units."""

import itertools
from typing import Any

from dvae_tf.config import ConfigError


def patch(name: str, num_units: int) -> Any:
    """`num_units` nodes of the smallest graph of a kind that has as many, a networkx graph.

    Nodes are added one after another, each the one with the most edges to those that are there, so
    that a patch of any size is connected and as dense as the graph inside.

    Args:
      name: chimera, pegasus or zephyr: a function <name>_graph of dwave.graphs.

    Raises:
      ConfigError: dwave-graphs is not installed.
    """
    try:
        import dwave.graphs
    except ImportError:
        raise ConfigError(
            f"--prior={name}: needs dwave-graphs: pip install 'dvae-tf[dimod]'"
        ) from None
    make = getattr(dwave.graphs, f"{name}_graph")
    # the smallest Pegasus graph is of size 2
    graphs = (make(size) for size in itertools.count(1 + (name == "pegasus")))
    whole = next(graph for graph in graphs if len(graph) >= num_units)
    return whole.subgraph(_grown(whole, num_units))


def _grown(graph: Any, num_units: int) -> list[Any]:
    edges_to = {max(sorted(graph), key=graph.degree): 0}
    chosen: dict[Any, None] = {}
    while len(chosen) < num_units:
        # of equals the one that was met first: the patch grows evenly
        node = max(edges_to, key=lambda n: edges_to[n])
        del edges_to[node]
        chosen[node] = None
        for other in sorted(graph[node]):
            if other not in chosen:
                edges_to[other] = edges_to.get(other, 0) + 1
    return list(chosen)
