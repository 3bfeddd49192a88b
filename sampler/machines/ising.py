"""Restricted Boltzmann machines of spins: fields and couplings, as physics writes them."""

from __future__ import annotations

from collections import namedtuple
from typing import Any, ClassVar

import tensorflow as tf

from sampler.families import Spin
from sampler.machines import couplings
from sampler.machines.rbm import RBM, LowRankRBM, TwoBlocks


class AnyIsingRBM(TwoBlocks):
    r"""A batch of RBMs over spins s in {-1, 1}: E(s1, s2) = -(f1's1 + f2's2 + s1'J s2).

    With s = 2z - 1 it is the RBM of bits z with W = 4J, b1 = 2(f1 - J 1) and b2 = 2(f2 - J'1). A
    change of J leaves the mean of a unit without field alone, which makes these the better
    parameters to learn.

    Attributes:
      OF_BITS: the type of that RBM.
    """

    __slots__ = ()
    families = (Spin(), Spin())
    OF_BITS: ClassVar[Any]

    def binary(self) -> Any:
        """The same distribution in the parameters of bits; its energy differs by a constant."""
        first, *others = couplings.parts(self.between)
        pairs = zip(self.fields, couplings.sums(self.between), strict=True)
        return self.OF_BITS(*(2 * (field - sums) for field, sums in pairs), 4 * first, *others)

    def pull_back(self, s2: tf.Tensor, g1: tf.Tensor, s1: tf.Tensor, g2: tf.Tensor) -> AnyIsingRBM:
        """The gradient of sum(g1 (f1 + J s2)) + sum(g2 (f2 + J's1)) with respect to all parameters.

        All chains of both sums, g1 s2' and s1 g2', go through one product for each RBM.

        Args:
          s2, s1: states, [..., C, n2] and [..., C, n1].
          g1, g2: weights of the natural parameters, [..., C, n1] and [..., C, n2].

        Returns:
          The gradients in a value of the RBM's own type.
        """
        left, right = tf.concat([g1, s1], -2), tf.concat([s2, g2], -2)
        of_fields = (tf.reduce_sum(g, -2) for g in (g1, g2))
        of_couplings = couplings.of_outer_products(self.between, left, right)
        return type(self)(*of_fields, *of_couplings)


class IsingRBM(namedtuple("IsingRBM", "f1 f2 j"), AnyIsingRBM):
    """RBMs of spins with a matrix of couplings each; what is common to all is `AnyIsingRBM`.

    Attributes:
      f1: fields of the first side, [..., n1].
      f2: fields of the second side, [..., n2].
      j: couplings, [..., n1, n2].
    """

    __slots__ = ()
    AXES = {"f1": ("n1",), "f2": ("n2",), "j": ("n1", "n2")}
    OF_BITS = RBM


class LowRankIsingRBM(namedtuple("LowRankIsingRBM", "f1 f2 u v"), AnyIsingRBM):
    """RBMs of spins with J = u v', u [..., n1, r] and v [..., n2, r]; else as `IsingRBM`."""

    __slots__ = ()
    AXES = {"f1": ("n1",), "f2": ("n2",), "u": ("n1", "r"), "v": ("n2", "r")}
    OF_BITS = LowRankRBM


def from_binary(rbm: TwoBlocks) -> Any:
    """The same distribution as an `RBM`'s or `LowRankRBM`'s in fields and couplings of spins."""
    kind: Any = IsingRBM if isinstance(rbm, RBM) else LowRankIsingRBM
    first, *others = couplings.parts(rbm.between)
    spins = kind(*rbm.fields, first / 4, *others)
    pairs = zip(rbm.fields, couplings.sums(spins.between), strict=True)
    return spins.with_fields([field / 2 + sums for field, sums in pairs])
