"""log Z by annealing from many bases at once, each part of Z from the base that sees it best."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sampler import seeds
from sampler.evidence import backwards
from sampler.evidence.answer import LogZ
from sampler.evidence.search import CHAINS, ROWS, Round, Search
from sampler.machines.machine import AnyMachine
from sampler.weights.estimates import CONTRADICTION, LEAST_ESS, Samples

FIRST = 251
"""Temperatures of the first round; each next one doubles the steps."""

_ERRORS = 3.0


def log_z(
    machine: AnyMachine,
    seed: tf.Tensor,
    tolerance: float,
    target_stderr: float,
    max_seconds: float,
    bases: dict[str, Sequence[Any]],
    progress_fn: Callable[[int], object],
) -> LogZ:
    """The answer by annealing; arguments as for `auto.log_z`."""
    started = time.perf_counter()
    search = Search(machine, seed, bases)
    base = np.sort(np.resize(np.arange(len(search.names())), ROWS))
    num_temperatures, number = FIRST, 0
    while True:
        round_started = time.perf_counter()
        found = search.forward(base, num_temperatures, number)
        progress_fn(num_temperatures - 1)
        back_seed = seeds.fold_in(seed, 2, number)
        back, back_stderr = backwards.log_z(search, found, num_temperatures, back_seed)
        progress_fn(num_temperatures - 1)
        total, stderr = found.parts.log_z, found.parts.stderr
        interval = min(total - _ERRORS * stderr, back), max(back + _ERRORS * back_stderr, total)
        narrow = stderr <= target_stderr and interval[1] - interval[0] <= tolerance
        now = time.perf_counter()
        # the next round takes twice as long
        if (
            narrow
            and search.settled(found)
            or now - started + 2 * (now - round_started) > max_seconds
        ):
            return _answer(search, found, interval, tolerance)
        search.widen(found, seeds.fold_in(seed, 4, number))
        base, number = search.next_bases(found, number), number + 1
        num_temperatures = 2 * num_temperatures - 1


def _answer(search: Search, found: Round, interval: tuple[float, float], tolerance: float) -> LogZ:
    log_z, stderr, ess = found.parts[2:]
    state = search.pooled(found, seeds.fold_in(search.seed, 3), ROWS * CHAINS)
    samples = Samples(state, tf.fill([ROWS * CHAINS], tf.constant(log_z, tf.float64)))
    doubts = _doubts(search, found, interval, tolerance)
    return LogZ(
        log_z, stderr, *interval, ess, samples, found.said, search.bound, "annealing", doubts
    )


def _doubts(
    search: Search, found: Round, interval: tuple[float, float], tolerance: float
) -> list[str]:
    log_z, stderr, ess = found.parts[2:]
    width, doubts = interval[1] - interval[0], []
    if ess < LEAST_ESS:
        doubts.append(f"effective sample size {ess:.3g}, below {LEAST_ESS:g}")
    if width > tolerance:
        doubts.append(f"the interval is {width:.3g} nats wide, more than {tolerance:g}")
    if log_z + _ERRORS * stderr < search.bound:
        doubts.append(
            f"the estimate is below {search.bound:.6g}, which log Z cannot be: part of the states "
            "was not reached"
        )
    for name, (value, error) in found.said.items():
        apart = value - log_z - CONTRADICTION * (error + stderr)
        if apart > 1e-3:
            doubts.append(f"base {name} says {value:.6g} +- {error:.2g}, more than the answer")
    return doubts
