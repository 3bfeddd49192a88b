"""The restricted Boltzmann machine of spins: fields and couplings, as physics writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from sampler.families import Spin
from sampler.machines.machine import AnyMachine, State
from sampler.machines.rbm import RBM


class AnyIsingRBM(AnyMachine):
    r"""A batch of RBMs over spins s in {-1, 1}: E(s1, s2) = -(f1's1 + f2's2 + s1'J s2).

    With s = 2z - 1 it is the RBM of bits z with W = 4J, b1 = 2(f1 - J 1) and b2 = 2(f2 - J'1). A
    change of J leaves the mean of a unit without field alone, which makes these the better
    parameters to learn.

    What is common to an `IsingRBM` and a `low_rank.LowRankIsingRBM`; a subclass is a named tuple of
    its parameters (the fields first) and brings the products with J and their gradient.

    Attributes:
      f1: fields of the first side, [..., n1].
      f2: fields of the second side, [..., n2].
    """

    __slots__ = ()
    families = (Spin(), Spin())
    f1: tf.Tensor
    f2: tf.Tensor

    @property
    def fields(self) -> tuple[tf.Tensor, ...]:
        """f1 and f2."""
        return self.f1, self.f2

    def coupling(self, k: int, state: State) -> tf.Tensor | float:
        """J s2 for k = 0, J's1 for k = 1; 0.0 where the other side isn't there."""
        other = 1 - k
        if other >= len(state) or state[other] is None:
            return 0.0
        return self._product(state[other], transpose=k == 0)

    def binary(self) -> AnyMachine:
        """The same distribution in the parameters of bits; its energy differs by a constant."""
        raise NotImplementedError

    def _product(self, s: tf.Tensor, transpose: bool) -> tf.Tensor:
        """Rows s times J, or its transpose, [..., C, n]."""
        raise NotImplementedError

    def _of_outer_products(self, left: tf.Tensor, right: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The gradient of sum(left * (J right)) with respect to what couplings are made of.

        For left [..., C, n1] and right [..., C, n2]; that of J is the sum of left right'.
        """
        raise NotImplementedError

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
        return type(self)(*of_fields, *self._of_outer_products(left, right))  # type: ignore[call-arg]


class _Parameters(NamedTuple):
    f1: tf.Tensor
    f2: tf.Tensor
    j: tf.Tensor


class IsingRBM(_Parameters, AnyIsingRBM):
    """RBMs of spins with a matrix of couplings each; what is common to all is `AnyIsingRBM`.

    Attributes:
      f1: fields of the first side, [..., n1].
      f2: fields of the second side, [..., n2].
      j: couplings, [..., n1, n2].
    """

    __slots__ = ()
    AXES = {"f1": ("n1",), "f2": ("n2",), "j": ("n1", "n2")}

    def with_fields(self, fields: Sequence[tf.Tensor]) -> IsingRBM:
        """The RBM with other fields."""
        f1, f2 = fields
        return IsingRBM(f1, f2, self.j)

    def binary(self) -> RBM:
        """The same distribution in the parameters of bits."""
        b1 = 2 * (self.f1 - tf.reduce_sum(self.j, -1))
        b2 = 2 * (self.f2 - tf.reduce_sum(self.j, -2))
        return RBM(b1, b2, 4 * self.j)

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of J^2 over units and batch, a scalar."""
        return tf.sqrt(tf.reduce_mean(self.j**2))

    def _product(self, s: tf.Tensor, transpose: bool) -> tf.Tensor:
        return tf.matmul(s, self.j, transpose_b=transpose)

    def _of_outer_products(self, left: tf.Tensor, right: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (tf.matmul(left, right, transpose_a=True),)


def from_binary(rbm: RBM) -> IsingRBM:
    """The same distribution in fields and couplings of spins."""
    j = rbm.w / 4
    f1 = rbm.b1 / 2 + tf.reduce_sum(j, -1)
    return IsingRBM(f1, rbm.b2 / 2 + tf.reduce_sum(j, -2), j)
