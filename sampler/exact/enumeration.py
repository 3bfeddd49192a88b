"""Exact answers by enumeration, in float64: log Z, moments, samples.

All states of all discrete blocks but one are enumerated; that block is summed out by its family's
log-partition function. Where there are Gaussian blocks, these are integrated out jointly instead,
and all discrete blocks are enumerated. For an RBM, with its smaller side enumerated,

  Z = sum_{z1} exp(b1'z1) prod_j (1 + exp(b2_j + (W'z1)_j)).

States come in chunks, which bounds the memory; batch dimensions are handled at once.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from sampler import checks, seeds
from sampler.io.errors import expect
from sampler.machines.machine import AnyMachine, State

MAX_UNITS = 20
"""Most binary units that are enumerated; of others, as many as have no more states."""

_ELEMENTS = 2**21
"""Float64 natural parameters in a chunk, over batch, states and units."""


class Moments(NamedTuple):
    """Expectations under p(x), float64.

    Attributes:
      means: E[x_k] of each block, [..., n_k].
      pairs: E[x_k x_l'] for blocks k < l, [..., n_k, n_l].
    """

    means: tuple[tf.Tensor, ...]
    pairs: dict[tuple[int, int], tf.Tensor]


class _Plan(NamedTuple):
    """The machine in float64, the blocks enumerated, and those summed out."""

    machine: AnyMachine
    listed: tuple[int, ...]
    summed: tuple[int, ...]


def log_z(machine: AnyMachine) -> tf.Tensor:
    """log Z, float64, of the machine's batch shape [...].

    Raises:
      ValueError: too many states to enumerate, or the parameters are malformed.
    """
    plan = _plan(machine)
    batch = plan.machine.batch_shape
    parts = [tf.reduce_logsumexp(_log_marginal(plan, state), -1) for state in _chunks(plan)]
    return tf.reduce_logsumexp([tf.broadcast_to(part, batch) for part in parts], 0)


def num_states(machine: AnyMachine) -> float:
    """How many states an enumeration goes through; a float, as it may be huge."""
    return _count(machine, _split(machine)[0])


def moments(machine: AnyMachine) -> Moments:
    """First moments and all pairs of different blocks.

    Raises as `log_z` does.
    """
    plan, total = _plan(machine), log_z(machine)[..., None]
    sums: Any = None
    for state in _chunks(plan):
        found = _moments_of(plan, state, tf.exp(_log_marginal(plan, state) - total))
        sums = found if sums is None else tf.nest.map_structure(tf.add, sums, found)
    return sums


def log_prob(machine: AnyMachine, state: State) -> tf.Tensor:
    """log p(x) of states of all blocks, [..., C, n_k]: float64, [..., C].

    Raises as `log_z` does.
    """
    total = log_z(machine)[..., None]
    return -machine.cast(tf.float64).energy(tuple(tf.cast(x, tf.float64) for x in state)) - total


def sample(machine: AnyMachine, num_samples: int, seed: int | tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Independent samples of all blocks, float32, [..., num_samples, n_k].

    A state of the enumerated blocks is found by inverting its distribution function at a number of
    46 random bits; the others are drawn given it.

    Raises:
      ValueError: as `log_z`, or `num_samples` is not at least 1.
    """
    checks.check_count(num_samples, "num_samples")
    plan, total, seed = _plan(machine), log_z(machine)[..., None], seeds.as_seed(seed)
    shape = [*plan.machine.batch_shape, num_samples]
    draws = seeds.fine_uniform(seeds.fold_in(seed, 1), shape)
    below, index = tf.zeros_like(total), tf.zeros(shape, tf.int32)
    for state in _chunks(plan):
        # the states before the drawn one are those whose cumulated probability it exceeds
        cumulated = below + tf.cumsum(tf.exp(_log_marginal(plan, state) - total), -1)
        index += tf.searchsorted(cumulated, draws, side="right")
        below = cumulated[..., -1:]
    last = int(_count(plan.machine, plan.listed)) - 1
    state = _states(plan, tf.minimum(index, last))
    return _drawn(plan, state, seeds.fold_in(seed, 2))


def _split(machine: AnyMachine) -> tuple[list[int], list[int]]:
    """The blocks that are enumerated, and those that are summed out."""
    blocks = range(len(machine.families))
    summed = [k for k in blocks if not machine.families[k].discrete]
    summed = summed or [max(blocks, key=lambda k: _count(machine, [k]))]
    return [k for k in blocks if k not in summed], summed


def _plan(machine: AnyMachine) -> _Plan:
    machine = machine.cast(tf.float64)
    checks.check_machine(machine)
    listed, summed = _split(machine)
    found = f"blocks of {machine.sizes} numbers, too many to enumerate"
    accepted = (
        f"at most {MAX_UNITS} binary units, or as many states, beside the largest discrete block "
        "or the Gaussian ones"
    )
    expect(_count(machine, listed) <= 2**MAX_UNITS, "machine", found, accepted)
    return _Plan(machine, tuple(listed), tuple(summed))


def _count(machine: AnyMachine, blocks: Any) -> float:
    """States of the given discrete blocks together."""
    logs = (
        machine.sizes[k] // machine.families[k].width * math.log2(len(machine.families[k].values))
        for k in blocks
    )
    return round(2.0 ** min(sum(logs), 1000.0))


def _chunks(plan: _Plan) -> Iterator[State]:
    """All states of the enumerated blocks, each [S, n_k], chunk by chunk."""
    count = int(_count(plan.machine, plan.listed))
    batch = plan.machine.batch_shape.num_elements() or 1
    size = max(1, _ELEMENTS // (batch * sum(plan.machine.sizes)))
    for first in range(0, count, size):
        yield _states(plan, tf.range(first, min(first + size, count)))


def _states(plan: _Plan, index: tf.Tensor) -> State:
    """The states of the numbers `index` [...], [..., n_k] of each enumerated block, else None."""
    blocks: list[Any] = [None] * len(plan.machine.families)
    for k in plan.listed:
        family = plan.machine.families[k]
        values = tf.constant(family.values, tf.float64)
        base, units = len(family.values), plan.machine.sizes[k] // family.width
        digits = index[..., None] // base ** tf.range(units) % base
        drawn = tf.gather(values, digits)
        blocks[k] = tf.reshape(drawn, tf.concat([tf.shape(index), [plan.machine.sizes[k]]], 0))
        index = index // base**units
    if not plan.listed:  # one state, of no discrete units: the others' chains are counted by it
        blocks = [tf.zeros([*index.shape, size], tf.float64) for size in plan.machine.sizes]
    return tuple(blocks)


def _log_marginal(plan: _Plan, state: State) -> tf.Tensor:
    """log of p* of the enumerated blocks' states, the others summed out, [..., S]."""
    machine, (k, *_) = plan.machine, plan.summed
    if machine.families[k].discrete:
        return machine.log_marginal(state, k)
    rest = tuple(x if i in plan.listed else None for i, x in enumerate(state))
    eta, root = _gaussian(plan, state)
    whitened = tf.linalg.triangular_solve(root, tf.linalg.matrix_transpose(eta))
    log_det = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(root)), -1)
    base = [
        machine.families[g].log_base(tf.zeros(machine.sizes[g], tf.float64)) for g in plan.summed
    ]
    log_scale = tf.reduce_sum(tf.concat(base, -1)) + math.log(2 * math.pi) / 2 * eta.shape[-1]
    value = tf.reduce_sum(whitened**2, -2) / 2 + (log_scale - log_det)[..., None]
    return value + machine.interaction(rest) if plan.listed else value


def _gaussian(plan: _Plan, state: State) -> tuple[tf.Tensor, tf.Tensor]:
    """Natural parameters of all Gaussian units given the enumerated blocks, [..., S, n], and the
    Cholesky factor of their precision, [..., n, n]."""
    given = tuple(x if i in plan.listed else None for i, x in enumerate(state))
    machine = plan.machine
    if not plan.listed:
        given = tuple(tf.zeros_like(x) for x in state)
    eta = tf.concat([machine.natural(k, given) for k in plan.summed], -1)
    root = tf.linalg.cholesky(machine.precision(plan.summed))
    batch = [*machine.batch_shape, *eta.shape[-2:]]
    return tf.broadcast_to(eta, batch), root


def _means(plan: _Plan, state: State) -> tuple[list[tf.Tensor], tf.Tensor | None]:
    """Each block's mean given the enumerated states, [..., S, n_k], and the covariance [..., n, n]
    of all Gaussian units."""
    machine, blocks = plan.machine, list(state)
    (k, *_) = plan.summed
    if machine.families[k].discrete:
        blocks[k] = machine.families[k].mean(machine.natural(k, state))
        return blocks, None
    eta, root = _gaussian(plan, state)
    means = tf.linalg.matrix_transpose(
        tf.linalg.cholesky_solve(root, tf.linalg.matrix_transpose(eta))
    )
    parts = tf.split(means, [machine.sizes[k] for k in plan.summed], -1)
    for k, part in zip(plan.summed, parts, strict=True):
        blocks[k] = part
    unit = tf.eye(eta.shape[-1], batch_shape=machine.batch_shape, dtype=tf.float64)
    return blocks, tf.linalg.cholesky_solve(root, unit)


def _moments_of(plan: _Plan, state: State, weights: tf.Tensor) -> Moments:
    """The chunk's part of the moments, its states weighted by [..., S]."""
    means, covariance = _means(plan, state)
    weighted = [weights[..., None] * mean for mean in means]
    pairs = {
        (k, l): tf.matmul(weighted[k], means[l], transpose_a=True)
        for k, l in itertools.combinations(range(len(means)), 2)
    }
    if covariance is not None:
        sizes = [plan.machine.sizes[k] for k in plan.summed]
        rows = [tf.split(row, sizes, -1) for row in tf.split(covariance, sizes, -2)]
        total = tf.reduce_sum(weights, -1)[..., None, None]
        for (i, k), (j, l) in itertools.combinations(enumerate(plan.summed), 2):
            pairs[k, l] += total * rows[i][j]
    return Moments(tuple(tf.reduce_sum(mean, -2) for mean in weighted), pairs)


def _drawn(plan: _Plan, state: State, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """All blocks' samples, float32, given the enumerated ones."""
    machine, blocks = plan.machine, list(state)
    (k, *_) = plan.summed
    if machine.families[k].discrete:
        eta = tf.cast(machine.natural(k, state), tf.float32)
        blocks[k] = machine.families[k].sample(eta, seed)
    else:
        means, _ = _means(plan, state)
        _, root = _gaussian(plan, state)
        sizes = [machine.sizes[k] for k in plan.summed]
        noise = seeds.normal(seed, [*means[k].shape[:-1], sum(sizes)])
        noise = tf.linalg.matrix_transpose(tf.cast(noise, tf.float64))
        shifts = tf.linalg.triangular_solve(root, noise, adjoint=True)
        parts = tf.split(tf.linalg.matrix_transpose(shifts), sizes, -1)
        for k, part in zip(plan.summed, parts, strict=True):
            blocks[k] = means[k] + part
    return tuple(tf.cast(x, tf.float32) for x in blocks)
