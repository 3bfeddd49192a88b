r"""Mean-field approximations of Boltzmann machines: fixed points, free energies, distances.

Independent units of means m1, m2 are the closest to the RBM, in KL(mean field || RBM), where

    m1 = sigmoid(b1 + W m2),    m2 = sigmoid(b2 + W'm1).

Each of the two, for the other side held fixed, is the minimum over its own side, so that taking
them in turn never raises the KL, and ends in a local minimum: a mode of the RBM, as far as modes
are seen by independent units. (A start exactly on the border of two minima stays there, as half the
units of a symmetric ferromagnet do.) Means have the shapes of states, m1 [..., C, n1] and
m2 [..., C, n2].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import tensorflow as tf

from sampler.gibbs import Conditionals

TOLERANCE = 1e-6
MAX_ITERATIONS = 10_000


class Energy(Protocol):
    """What the free energy asks of a Boltzmann machine: an energy that is linear in each unit."""

    def energy(self, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        """E(z1, z2), [..., C]."""


def update(rbm: Conditionals, m1: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The second side's optimal means for the given first, then the first's for those: m1, m2."""
    m2 = tf.sigmoid(rbm.logits2(m1))
    return tf.sigmoid(rbm.logits1(m2)), m2


@tf.function(autograph=False, reduce_retracing=True)
def fixed_point(
    rbm: Conditionals,
    m1: tf.Tensor,
    tolerance: float | tf.Tensor = TOLERANCE,
    max_iterations: int | tf.Tensor = MAX_ITERATIONS,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean-field solution that each start leads to.

    All chains are updated until the last of them stands still. Near a transition that takes long:
    see `residual` for what `max_iterations` leave.

    Args:
      rbm: RBMs with batch dimensions [...].
      m1: where to start: states or means of the first side, float32 [..., C, n1].
      tolerance: the iteration ends when no mean of the first side moves by more.
      max_iterations: `update`s at most.

    Returns:
      m1 [..., C, n1] and m2 [..., C, n2]; the second side is optimal for the first.
    """

    def body(m1: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        new = update(rbm, m1)[0]
        return new, tf.reduce_max(abs(new - m1))

    m1, _ = tf.while_loop(
        lambda _, moved: moved > tolerance,
        body,
        (m1, tf.constant(float("inf"))),
        maximum_iterations=max_iterations,
    )
    return m1, tf.sigmoid(rbm.logits2(m1))


def residual(rbm: Conditionals, m1: tf.Tensor, m2: tf.Tensor) -> tf.Tensor:
    """How far the equations are from holding: the largest |m - sigmoid(logits)|, [..., C]."""
    gap1 = tf.reduce_max(abs(m1 - tf.sigmoid(rbm.logits1(m2))), -1)
    return tf.maximum(gap1, tf.reduce_max(abs(m2 - tf.sigmoid(rbm.logits2(m1))), -1))


def free_energy(rbm: Energy, m1: tf.Tensor, m2: tf.Tensor) -> tf.Tensor:
    """E[energy] - entropy of independent units with the given means, float64, [..., C].

    The energy is linear in each unit, so its expectation is the energy of the means. Not below
    -log Z (Gibbs, Bogoliubov and Feynman's inequality).
    """
    entropy = tf.reduce_sum(_entropy(m1), -1) + tf.reduce_sum(_entropy(m2), -1)
    return tf.cast(rbm.energy(m1, m2), tf.float64) - entropy


def kl(rbm: Energy, m1: tf.Tensor, m2: tf.Tensor, log_z: tf.Tensor) -> tf.Tensor:
    """KL(independent units of the given means || RBM), in nats, float64, [..., C].

    Args:
      rbm: RBMs with batch dimensions [...].
      m1, m2: means in [0, 1], [..., C, n1] and [..., C, n2].
      log_z: of the RBM, [...]; an error of it is an error of the KL.
    """
    log_z = tf.cast(log_z, tf.float64)
    return free_energy(rbm, m1, m2) + log_z[..., None]


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


def _entropy(mean: tf.Tensor) -> tf.Tensor:
    """Of a binary unit, in nats, elementwise, float64; 0 at 0 and at 1."""
    mean = tf.cast(mean, tf.float64)
    return -tf.math.xlogy(mean, mean) - tf.math.xlog1py(1 - mean, -mean)
