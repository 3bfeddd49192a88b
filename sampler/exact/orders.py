"""Orders in which to eliminate a graph's units, so that the tables that this takes stay small."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_STARTS = 64
_WORK = 20_000


class Order(NamedTuple):
    """Units in the order of elimination, and of each those that its table is over."""

    units: list[int]
    others: list[list[int]]

    @property
    def width(self) -> int:
        """The largest number of others."""
        return max(map(len, self.others))


def best(count: int, edges: np.ndarray, limit: int | None = None) -> Order | None:
    """The best of the orders tried: min-fill, and sweeps over the graph from up to 64 units.

    Min-fill is good for trees and for irregular graphs, sweeps for lattices: 12 for a square
    lattice of 12 x 12 units, where min-fill finds 16. None if none has a width within `limit`.
    """
    around = [0] * count  # neighbours are the bits of an integer: sets meet in one operation
    for first, second in edges.tolist():
        around[first] |= 1 << second
        around[second] |= 1 << first
    starts = np.linspace(0, count - 1, min(count, _STARTS, 1 + _WORK // count)).astype(int)
    lists = [_min_fill(around, limit), *(_sweep(around, start) for start in starts.tolist())]
    orders = [order for order in (_tables(around, units, limit) for units in lists) if order]
    sizes = [(order.width, sum(2.0 ** len(others) for others in order.others)) for order in orders]
    return orders[sizes.index(min(sizes))] if orders else None


def _min_fill(around: Sequence[int], limit: int | None) -> list[int]:
    """Takes next the unit whose elimination couples the fewest pairs that were not coupled.

    Stops where a table grows beyond the limit.
    """
    around, units = list(around), []
    stale, fill = set(range(len(around))), dict.fromkeys(range(len(around)), 0)
    while fill:
        fill.update({unit: _fill(unit, around) for unit in stale})
        unit = min(fill, key=lambda u: (fill[u], around[u].bit_count(), u))
        del fill[unit]
        units.append(unit)
        near = _remove(unit, around)
        if limit is not None and len(near) > limit:
            break
        stale = set(near).union(*(_members(around[other]) for other in near))
    return units


def _fill(unit: int, around: Sequence[int]) -> int:
    """Twice the number of pairs of the unit's neighbours that are not coupled."""
    near = around[unit]
    return sum((near & ~around[other]).bit_count() - 1 for other in _members(near))


def _sweep(around: Sequence[int], start: int) -> list[int]:
    """Takes next the unit that adds the fewest to the front between the units taken and the rest.

    Of equals, one that is not in the front, and then the one within reach for the longest time.
    """
    rest, front, units = (1 << len(around)) - 1, 0, []
    reach: dict[int, None] = {}  # in the order in which they came
    while rest:
        if not reach:
            reach[start if rest >> start & 1 else _members(rest)[0]] = None
        added = {unit: around[unit] & rest & ~front for unit in reach}
        inside = {unit: front >> unit & 1 for unit in reach}
        unit = min(reach, key=lambda u: (added[u].bit_count() - inside[u], inside[u]))
        units.append(unit)
        rest &= ~(1 << unit)
        front = (front | added[unit]) & rest
        del reach[unit]
        for near in _members(added[unit]):
            reach.update(dict.fromkeys(_members((around[near] | 1 << near) & rest)))
    return units


def _tables(around: Sequence[int], units: list[int], limit: int | None) -> Order | None:
    """The order with its tables; None if one is larger than the limit."""
    around, found = list(around), []
    for unit in units:
        found.append(_remove(unit, around))
        if limit is not None and len(found[-1]) > limit:
            return None
    place = {unit: i for i, unit in enumerate(units)}
    return Order(units, [sorted(others, key=place.__getitem__) for others in found])


def _remove(unit: int, around: list[int]) -> list[int]:
    """Couples the unit's neighbours to one another, and takes it away; returns them."""
    near = _members(around[unit])
    for other in near:
        around[other] = (around[other] | around[unit]) & ~(1 << other) & ~(1 << unit)
    return near


def _members(bits: int) -> list[int]:
    members = []
    while bits:
        lowest = bits & -bits
        members.append(lowest.bit_length() - 1)
        bits ^= lowest
    return members
