"""Exact answers for sparse graphs by eliminating units one after another, in float64.

Summing out a unit leaves a table over those that it was coupled to, 2^w numbers for w of them, and
couples these to one another. The largest w is the width of the order, 12 for a square lattice of
12 x 12 units (`orders` seeks a small one). The unit's law given the others of its table can be
kept: going back in the opposite order it gives exact samples and moments.
"""

from typing import NamedTuple, cast

import numpy as np
import tensorflow as tf
from scipy.special import expit

from sampler import checks, seeds
from sampler.exact import orders
from sampler.exact.orders import Order
from sampler.io.errors import expect
from sampler.machines.machine import AnyMachine
from sampler.machines.pairs import Pairs, pairs

MAX_WIDTH = 20
"""Tables of up to 2^20 float64 numbers, of which a unit has one."""


class Moments(NamedTuple):
    """Expectations, float64.

    Attributes:
      means: of each block, [..., n_k].
      pairs: E[x_i x_j] of the coupled pairs, [..., E], in the order of `edges`.
      edges: int, [E, 2]: places of the pairs' units where all blocks stand side by side; of a
        `GraphMachine` in the order of its `values`.
    """

    means: tuple[np.ndarray, ...]
    pairs: np.ndarray
    edges: np.ndarray


def width(machine: AnyMachine) -> int:
    """The width of the order found, an upper bound of the graph's treewidth."""
    found = pairs(machine)
    order = orders.best(len(found.lows), found.edges)
    assert order is not None, "there is no limit"
    return order.width


def log_z(machine: AnyMachine, max_width: int = MAX_WIDTH) -> np.ndarray:
    """log Z, float64, of the machine's batch shape [...].

    Args:
      machine: of bits or spins, any batch shape.
      max_width: of the elimination; time and memory grow as 2^width.

    Raises:
      ValueError: a larger width, other units, or malformed parameters.
    """
    found, order = _prepare(machine, max_width)
    totals = [_eliminate(one, order, keep=False)[0] for one in _each(found)]
    return np.reshape(totals, found.fields.shape[:-1])


def sample(
    machine: AnyMachine, num_samples: int, seed: int | tf.Tensor = 0, max_width: int = MAX_WIDTH
) -> tuple[tf.Tensor, ...]:
    """Independent samples, float32, of each block [..., num_samples, n_k]; raises as `log_z`."""
    checks.check_count(num_samples, "num_samples")
    found, order = _prepare(machine, max_width)
    shape = [*found.fields.shape[:-1], num_samples, len(found.lows)]
    draws = seeds.fine_uniform(seeds.as_seed(seed), shape).numpy()
    drawn = [
        _draw(one, order, _eliminate(one, order)[1], uniforms)
        for one, uniforms in zip(_each(found), draws.reshape(-1, *shape[-2:]), strict=True)
    ]
    return machine.split(tf.constant(np.reshape(drawn, shape), tf.float32))


def moments(machine: AnyMachine, max_width: int = MAX_WIDTH) -> Moments:
    """Means of all units and of all coupled pairs; raises as `log_z`."""
    found, order = _prepare(machine, max_width)
    results = [_expect(one, order, _eliminate(one, order)[1]) for one in _each(found)]
    means = np.reshape([mean for mean, _ in results], found.fields.shape)
    both = np.reshape([pair for _, pair in results], found.values.shape)
    blocks = np.split(means, np.cumsum(machine.sizes)[:-1], -1)
    return Moments(tuple(blocks), both, found.edges)


def _prepare(machine: AnyMachine, max_width: int) -> tuple[Pairs, Order]:
    found = pairs(machine)
    for name, values in (("fields", found.fields), ("couplings", found.values)):
        bad = f"{name} that are NaN or infinite"
        expect(np.isfinite(values).all(), "machine", bad, "finite")
    order = orders.best(len(found.lows), found.edges, max_width)
    counts = f"{len(found.lows)} units and {len(found.edges)} edges"
    wide = f"{counts}, whose elimination has a width above {max_width}"
    expect(order, "machine", wide, f"up to max_width = {max_width}")
    return found, cast(Order, order)


def _each(found: Pairs) -> list[Pairs]:
    """The machines of a batch, one by one."""
    fields = found.fields.reshape(-1, found.fields.shape[-1])
    values = found.values.reshape(len(fields), -1)
    return [found._replace(fields=f, values=v) for f, v in zip(fields, values, strict=True)]


def _eliminate(
    found: Pairs, order: Order, keep: bool = True
) -> tuple[float, dict[int, np.ndarray]]:
    """log Z, and each unit's log-odds of 1 given its others: axes of length 2 in their order.

    These are many tables, and for log Z alone none has to be kept.
    """
    edges = _edges(found)
    waiting: dict[int, list[tuple[list[int], np.ndarray]]] = {unit: [] for unit in order.units}
    total, odds = 0.0, {}
    for unit, others in zip(order.units, order.others, strict=True):
        eta = np.full([1] * len(others), found.fields[unit])
        for axis, other in enumerate(others):
            if (unit, other) in edges:
                values = np.array([found.lows[other], 1.0]) * found.values[edges[unit, other]]
                eta = eta + values.reshape([2 if i == axis else 1 for i in range(len(others))])
        table = np.zeros([2] + [1] * len(others))
        for scope, message in waiting.pop(unit):
            table = table + message.reshape([2 if u in scope else 1 for u in (unit, *others)])
        low, high = table[0] + found.lows[unit] * eta, table[1] + eta
        message = np.logaddexp(low, high)
        if keep:
            odds[unit] = high - low
        if others:
            message = np.broadcast_to(message, [2] * len(others))
            waiting[others[0]].append((others, message))
        else:
            total += float(message)
    return total, odds


def _edges(found: Pairs) -> dict[tuple[int, int], int]:
    """The number of each edge under its units, in both orders."""
    return {pair: e for e, (u, v) in enumerate(found.edges.tolist()) for pair in ((u, v), (v, u))}


def _draw(
    found: Pairs, order: Order, odds: dict[int, np.ndarray], uniforms: np.ndarray
) -> np.ndarray:
    """Samples [S, n] from uniform numbers [S, n], the unit that was eliminated last first."""
    x = np.zeros(uniforms.shape, bool)
    for unit, others in zip(reversed(order.units), reversed(order.others), strict=True):
        table = np.broadcast_to(odds[unit], [2] * len(others))
        logits = table[tuple(x[:, other].astype(int) for other in others)]
        x[:, unit] = uniforms[:, unit] < expit(logits)
    return np.where(x, 1.0, found.lows)


def _expect(
    found: Pairs, order: Order, odds: dict[int, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """E[x_i], [n], and E[x_i x_j] of the edges, [E].

    The probabilities of a unit's others are those of the table that its own was handed to.
    """
    children: dict[int, list[tuple[int, list[int]]]] = {unit: [] for unit in order.units}
    for unit, others in zip(order.units, order.others, strict=True):
        if others:
            children[others[0]].append((unit, others))
    edges = _edges(found)
    means, both = np.zeros(len(found.lows)), np.zeros(len(found.edges))
    given: dict[int, np.ndarray] = {}
    for unit, others in zip(reversed(order.units), reversed(order.others), strict=True):
        rest = given.pop(unit, np.array(1.0))
        high = rest * expit(odds[unit])
        table = np.stack([rest - high, high])
        scope = [unit, *others]
        ups = np.array([found.lows[unit], 1.0]).reshape([2] + [1] * len(others))
        weighted = (table * ups).sum(0)
        means[unit] = weighted.sum()
        for axis, other in enumerate(others):
            if (unit, other) in edges:
                sums = weighted.sum(tuple(i for i in range(len(others)) if i != axis))
                both[edges[unit, other]] = sums @ np.array([found.lows[other], 1.0])
        for child, needed in children[unit]:
            given[child] = table.sum(tuple(i for i, u in enumerate(scope) if u not in needed))
    return means, both
