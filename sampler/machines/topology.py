"""The static part of a machine on a graph: its units, its edges, and the colours of its blocks."""

import heapq
import itertools
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from sampler.families import Family

_MOST_TERMS = 64
_GATHERED_COST = 6
"""Time of a gathered product to that of one in a dense matrix (measured with 1000 chains)."""


class Links(NamedTuple):
    """What couples a block to others that stand one below another, m units in all.

    Attributes:
      edges: int32 [n_k, d], the edges of each unit, filled up with the number E; or [n_k, m] for
        dense products.
      units: int32 [n_k, d], the units at their other ends; None for dense products.
    """

    edges: np.ndarray
    units: np.ndarray | None


class Graph:
    """Units coloured into blocks, none of which has an edge inside.

    Two graphs are equal if labels, family and edges are.

    Attributes:
      labels: the units' names, in the user's order.
      family: of all units.
      edges: int32 [E, 2], pairs of units by their places in `labels`.
      blocks: of each block the units' places in `labels`, the largest block last.
      place: int32 [n], of each unit its place where all blocks stand side by side.
    """

    def __init__(self, labels: Sequence[Hashable], family: Family, edges: np.ndarray):
        self.labels, self.family, self.edges = tuple(labels), family, edges
        self._key = self.labels, family, edges.tobytes()
        self._hash = hash(self._key)
        colours = np.array(dsatur(self.neighbours()))
        blocks = [np.flatnonzero(colours == colour) for colour in range(colours.max() + 1)]
        self.blocks = tuple(sorted(blocks, key=len))
        self.place = np.argsort(np.concatenate(self.blocks)).astype(np.int32)
        self._links: dict[tuple[int, tuple[int, ...]], Links | None] = {}

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Graph) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash

    def neighbours(self) -> list[set[int]]:
        """Of each unit, those that it is coupled to."""
        found: list[set[int]] = [set() for _ in self.labels]
        for first, second in self.edges.tolist():
            found[first].add(second)
            found[second].add(first)
        return found

    def links(self, k: int, others: tuple[int, ...]) -> Links | None:
        """What couples block k to the blocks `others`; None if nothing does."""
        if (k, others) not in self._links:
            self._links[k, others] = self._find_links(k, others)
        return self._links[k, others]

    def _find_links(self, k: int, others: tuple[int, ...]) -> Links | None:
        if not others:
            return None
        below = np.concatenate([self.blocks[other] for other in others])
        row, column = (_places(units, len(self.labels)) for units in (self.blocks[k], below))
        ends = np.concatenate([self.edges, self.edges[:, ::-1]])
        found = np.flatnonzero((row[ends[:, 0]] >= 0) & (column[ends[:, 1]] >= 0))
        if not len(found):
            return None
        rows, columns = row[ends[found, 0]], column[ends[found, 1]]
        order = np.lexsort((columns, rows))
        edges, rows, columns = (x[order] for x in (found % len(self.edges), rows, columns))
        degrees = np.bincount(rows, minlength=len(self.blocks[k]))
        shape, missing = (len(degrees), int(degrees.max())), len(self.edges)
        if shape[1] > _MOST_TERMS or shape[1] * _GATHERED_COST > len(below):
            return Links(_table((len(degrees), len(below)), rows, columns, edges, missing), None)
        slots = np.arange(len(rows)) - (np.cumsum(degrees) - degrees)[rows]
        units = _table(shape, rows, slots, columns, 0)
        return Links(_table(shape, rows, slots, edges, missing), units)


def _places(units: np.ndarray, count: int) -> np.ndarray:
    """Of each of `count` units its place in `units`, or -1."""
    places = np.full(count, -1)
    places[units] = np.arange(len(units))
    return places


def _table(
    shape: tuple[int, int], rows: np.ndarray, columns: np.ndarray, values: np.ndarray, missing: int
) -> np.ndarray:
    table = np.full(shape, missing, np.int32)
    table[rows, columns] = values
    return table


def dsatur(neighbours: Sequence[set[int]]) -> list[int]:
    """A colour 0, 1, ... for each unit: DSATUR (Brelaz 1979), which finds bipartite graphs' two.

    The next unit is one whose neighbours have the most colours already, of these one of the most
    neighbours; it takes the first colour that none of them has.
    """
    colours: dict[int, int] = {}
    taken: list[set[int]] = [set() for _ in neighbours]
    heap = [(0, -len(found), unit) for unit, found in enumerate(neighbours)]
    heapq.heapify(heap)
    while heap:
        saturation, _, unit = heapq.heappop(heap)
        if unit in colours or -saturation != len(taken[unit]):
            continue  # an entry from before a neighbour was coloured
        colour = next(c for c in itertools.count() if c not in taken[unit])
        colours[unit] = colour
        for other in neighbours[unit]:
            if other not in colours and colour not in taken[other]:
                taken[other].add(colour)
                heapq.heappush(heap, (-len(taken[other]), -len(neighbours[other]), other))
    return [colours[unit] for unit in range(len(neighbours))]
