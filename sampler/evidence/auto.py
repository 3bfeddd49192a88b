"""`sampler.log_z`: exactly where that is cheap, or else by annealing from many bases."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from sampler import checks, exact, seeds
from sampler.evidence import annealed
from sampler.evidence.answer import LogZ
from sampler.exact import elimination
from sampler.machines.graph import GraphMachine
from sampler.machines.machine import AnyMachine

ENUMERATED = 2.0**28
"""Numbers, states times units, up to which enumeration is cheaper than annealing: some seconds."""


def log_z(
    machine: AnyMachine,
    seed: int | tf.Tensor = 0,
    tolerance: float = 0.1,
    target_stderr: float = 0.02,
    max_seconds: float = 40.0,
    bases: dict[str, Sequence[Any]] | None = None,
    progress_fn: Callable[[int], object] = lambda num_temperatures: None,
) -> LogZ:
    """log Z of a machine without batch dimensions: exactly where that is cheap, else by annealing.

    Annealing goes in rounds, from the uniform base, the fields, mean-field modes and whatever is
    given; each round has twice the temperatures of the one before, and its runs go where the error
    is. The estimate is held against backward runs from its own samples, against rigorous lower
    bounds, and its bases against one another.

    Args:
      machine: the target.
      seed: an integer, or int32 [2].
      tolerance: between the ends of the interval, in nats.
      target_stderr: of the estimate, in nats.
      max_seconds: after which the best answer so far is given, with a warning if it is wide; one
        round is always made.
      bases: further bases by name, natural parameters of each block [n_k] (means of data or
        samples: `bridge.from_means(...).base`).
      progress_fn: called with the number of temperatures just done.

    Raises:
      ValueError: parameters that are malformed or not finite, or batch dimensions.
    """
    machine = machine.cast()
    checks.check_machine(machine)
    if machine.batch_shape.rank:
        raise ValueError(
            f"machine: found batch shape {tuple(machine.batch_shape)}; accepted: no batch dimension"
        )
    for method in (_by_enumeration, _by_elimination):
        found = method(machine)
        if found is not None:
            return found
    return annealed.log_z(
        machine,
        seeds.as_seed(seed),
        tolerance,
        target_stderr,
        max_seconds,
        bases or {},
        progress_fn,
    )


def _by_enumeration(machine: AnyMachine) -> LogZ | None:
    states = exact.num_states(machine)
    if states > 2**exact.MAX_UNITS or states * sum(machine.sizes) > ENUMERATED:
        return None
    return _exactly(float(exact.log_z(machine)), "exact")


def _by_elimination(machine: AnyMachine) -> LogZ | None:
    if not isinstance(machine, GraphMachine):
        return None
    try:
        return _exactly(float(elimination.log_z(machine)), "elimination")
    except ValueError:  # its width is too large
        return None


def _exactly(log_z: float, method: str) -> LogZ:
    return LogZ(log_z, 0.0, log_z, log_z, float("inf"), None, {}, log_z, method, [])
