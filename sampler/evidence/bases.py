"""A base for methods that take a single one: the best of several, by short runs from each."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import modes, seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import chains, schedules
from sampler.annealing.bridge import Bridge
from sampler.machines.machine import AnyMachine
from sampler.weights.estimates import CONTRADICTION, HOPELESS, IMPROBABLE

NUM_TEMPERATURES, NUM_CHAINS = 101, 100
"""Of the short runs."""

NUM_MODES = 4
"""Mean-field modes that are tried, for a machine without batch dimensions."""

_ERRORS = 2.0


class Choice(NamedTuple):
    """A base chosen for machines of batch shape [...], and what the short runs found.

    Attributes:
      bridge: from the chosen base, each machine's own.
      names: of the bases that were tried, B of them.
      log_z, stderr: of each, float64, [B, ...].
      chosen: the number of the base, int [...].
    """

    bridge: Bridge
    names: list[str]
    log_z: np.ndarray
    stderr: np.ndarray
    chosen: np.ndarray

    def said(self) -> dict[str, tuple[float, float]]:
        """Each base's short answer and its error, for a machine without batch dimensions."""
        pairs = zip(self.log_z.tolist(), self.stderr.tolist(), strict=True)
        return dict(zip(self.names, pairs, strict=True))

    def doubts(self, log_z: np.ndarray, stderr: np.ndarray) -> list[str]:
        """Warnings where a short run has found more than an answer [...] has.

        E[estimate of Z] = Z: that one is too large by c nats has a probability of at most e^-c,
        whatever its weights are.
        """
        error = np.where(self.stderr < HOPELESS, CONTRADICTION * self.stderr, np.inf)
        more = self.log_z - log_z - np.minimum(error, IMPROBABLE) - CONTRADICTION * stderr
        return [
            f"the base {name} says {self.log_z[b][more[b] > 0].flat[0]:.6g} "
            f"+- {self.stderr[b][more[b] > 0].flat[0]:.2g}, more than the answer"
            for b, name in enumerate(self.names)
            if np.any(more[b] > 0)
        ]


def choose(machine: AnyMachine, seed: int | tf.Tensor = 0) -> Choice:
    """The base from which annealing reaches most: uniform, the fields, or mean field's.

    Estimates from any base are low on average. The uniform one, which hides no mode, is taken
    unless another has found more than it, or its weights are hopeless; then of those that have
    found as much as any, the one whose weights are most even.

    Args:
      machine: any batch shape [...].
      seed: an integer, or int32 [2].
    """
    machine, seed = machine.cast(), seeds.as_seed(seed)
    tried = _candidates(machine, seeds.fold_in(seed, 0))
    betas, found = schedules.linear(NUM_TEMPERATURES), []
    for number, bridge in enumerate(tried.values()):
        start = chains.initial(bridge, NUM_CHAINS, seeds.fold_in(seed, 1, number))
        run = chains.along(bridge, start, betas, seeds.fold_in(seed, 2, number), lambda _: None)
        found.append((run.log_z.numpy(), run.stderr.numpy()))
    log_z, stderr = (np.stack(part) for part in zip(*found, strict=True))
    low = log_z - _ERRORS * stderr
    alike = log_z + _ERRORS * stderr >= low.max(0)
    safe = alike[0] & (stderr[0] < HOPELESS)
    chosen = np.where(safe, 0, np.where(alike, stderr, np.inf).argmin(0))
    base = tuple(
        tf.gather(tf.stack(blocks, -2), chosen, axis=-2, batch_dims=chosen.ndim)
        for blocks in zip(*(bridge.base for bridge in tried.values()), strict=True)
    )
    return Choice(Bridge(machine, base), list(tried), log_z, stderr, chosen)


def _candidates(machine: AnyMachine, seed: tf.Tensor) -> dict[str, Bridge]:
    """Bridges by their bases' names."""
    found = {
        "uniform": bridges.from_uniform(machine),
        "fields": bridges.from_fields(machine),
        "mean_field": bridges.from_mean_field(machine),
    }
    if machine.batch_shape.rank:
        return found
    named = {f"mean_field_{m}": b for m, b in enumerate(_from_modes(machine, seed, NUM_MODES))}
    return found | named


def from_best_mode(machine: AnyMachine, seed: int | tf.Tensor = 0) -> Bridge:
    """The bridge from the mean-field mode with the highest bound; of a batch, from any."""
    machine = machine.cast()
    if machine.batch_shape.rank:
        return bridges.from_mean_field(machine)
    return _from_modes(machine, seeds.as_seed(seed), 1)[0]


def _from_modes(machine: AnyMachine, seed: tf.Tensor, count: int) -> list[Bridge]:
    """Bridges from the best mean-field modes, up to `count`."""
    fields = modes.explore(machine, seed).first(count).fields
    pairs = zip(*fields, strict=True)
    return [Bridge(machine, tuple(map(tf.convert_to_tensor, base))) for base in pairs]
