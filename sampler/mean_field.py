r"""Mean-field approximations of Boltzmann machines: fixed points, free energies, distances.

Independent units of means m are the closest to the machine, in KL(mean field || machine), where
each block's means are those of its family at its natural parameters given the others' means; for an
RBM of bits

    m1 = sigmoid(b1 + W m2),    m2 = sigmoid(b2 + W'm1).

Each block's, for the others held fixed, is the minimum over its own, so that taking them in turn
never raises the KL, and ends in a local minimum: a mode of the machine, as far as modes are seen by
independent units. (A start exactly on the border of two minima stays there, as half the units of a
symmetric ferromagnet do.) Means have the shapes of states: a tuple of m_k, [..., C, n_k].
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from sampler.machines.machine import AnyMachine, State

TOLERANCE = 1e-6
MAX_ITERATIONS = 10_000


def of_fields(machine: AnyMachine) -> tuple[tf.Tensor, ...]:
    """Each unit's mean by its field alone, [..., 1, n_k]: where mean field may start."""
    pairs = zip(machine.families, machine.cast().fields, strict=True)
    return tuple(family.mean(field[..., None, :]) for family, field in pairs)


def update(machine: AnyMachine, means: State) -> tuple[tuple, tuple]:
    """Each block's optimal natural parameters in turn, and the means that they give.

    The first block's means are replaced before they are read; beside others they may be None.
    """
    etas, blocks = [], list(means)
    for k, family in enumerate(machine.families):
        etas.append(machine.natural(k, tuple(blocks)))
        blocks[k] = family.mean(etas[k])
    return tuple(etas), tuple(blocks)


@tf.function(autograph=False, reduce_retracing=True)
def fixed_point(
    machine: AnyMachine,
    means: State,
    tolerance: float | tf.Tensor = TOLERANCE,
    max_iterations: int | tf.Tensor = MAX_ITERATIONS,
) -> tuple[tf.Tensor, ...]:
    """The means [..., C, n_k] of all blocks that each start leads to; the last is optimal.

    All chains are updated until the last of them stands still. Near a transition that takes long:
    see `residual` for what `max_iterations` leave.

    Args:
      machine: batch dimensions [...].
      means: where to start: states or means of all blocks, float32 [..., C, n_k].
      tolerance: the iteration ends when no mean moves by more.
      max_iterations: `update`s at most.
    """
    machine = machine.cast()

    def body(means: State, _: tf.Tensor) -> tuple[State, tf.Tensor]:
        new = update(machine, means)[1]
        moves = [tf.reduce_max(abs(b - a)) for a, b in zip(means, new, strict=True)]
        return new, tf.reduce_max(moves)

    start = tuple(tf.cast(x, tf.float32) for x in means), tf.constant(float("inf"))
    return tf.while_loop(
        lambda _, moved: moved > tolerance, body, start, maximum_iterations=max_iterations
    )[0]


def residual(machine: AnyMachine, means: State) -> tf.Tensor:
    """How far the equations are from holding: the largest |m - mean(natural)|, [..., C]."""
    machine = machine.cast()
    gaps = [
        tf.reduce_max(abs(means[k] - family.mean(machine.natural(k, means))), -1)
        for k, family in enumerate(machine.families)
    ]
    return tf.reduce_max(tf.stack(gaps), 0)


def free_energy(machine: AnyMachine, means: State) -> tf.Tensor:
    """E[energy] - entropy of independent units with the given means, float64, [..., C].

    The interaction is linear in each block, so its expectation is that of the means; the base
    measure's part is in the families' entropies. Not below -log Z (Gibbs, Bogoliubov and Feynman's
    inequality).
    """
    entropies = [
        tf.reduce_sum(family.entropy(tf.cast(mean, tf.float64)), -1)
        for family, mean in zip(machine.families, means, strict=True)
    ]
    return -tf.cast(machine.cast().interaction(means), tf.float64) - tf.add_n(entropies)


def kl(machine: AnyMachine, means: State, log_z: tf.Tensor) -> tf.Tensor:
    """KL(independent units of the given means || machine), in nats, float64, [..., C].

    Args:
      machine: batch dimensions [...].
      means: of all blocks, [..., C, n_k].
      log_z: of the machine, [...]; an error of it is an error of the KL.
    """
    return free_energy(machine, means) + tf.cast(log_z, tf.float64)[..., None]


def group(points: np.ndarray, near: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Which group each of the points [C, n] is in, int, [C]; groups count from 0.

    Each group is led by the first point that is in none before, and takes the others that are near
    it: right as long as groups are further apart than the points of one are.

    Args:
      points: [C, n].
      near: differences to a leader, absolute [R, n] -> bool [R].
    """
    labels = np.full(len(points), -1)
    while np.any(labels < 0):
        rest = np.flatnonzero(labels < 0)
        labels[rest[near(abs(points[rest] - points[rest[0]]))]] = labels.max() + 1
    return labels
