"""The restricted Boltzmann machine in fields and couplings of spins, as physics writes it."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from sampler.machines.rbm import RBM, AnyRBM


class AnyIsingRBM(tuple):
    r"""A batch of RBMs over spins s = 2z - 1 in {-1, 1}; states are given as binary z all the same.

    p(s1, s2) ~ exp(f1's1 + f2's2 + s1'J s2): the RBM with W = 4J, b1 = 2(f1 - J 1) and
    b2 = 2(f2 - J'1). A change of J leaves the mean of a unit without field alone, which makes these
    the better parameters to learn. Sweeps need neither W nor the sums of J.

    What is common to an `IsingRBM` and a `low_rank.LowRankIsingRBM`; a subclass is a named tuple of
    its parameters (the fields first) and brings the products with J and their gradient.

    Attributes:
      f1: fields of the first side, [..., n1].
      f2: fields of the second side, [..., n2].
    """

    __slots__ = ()
    f1: tf.Tensor
    f2: tf.Tensor

    def coupling1(self, s2: tf.Tensor) -> tf.Tensor:
        """J s2, [..., C, n1]."""
        raise NotImplementedError

    def coupling2(self, s1: tf.Tensor) -> tf.Tensor:
        """J's1, [..., C, n2]."""
        raise NotImplementedError

    def binary(self) -> AnyRBM:
        """The same distribution in the parameters of binary units."""
        raise NotImplementedError

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of W^2 over units and batch, a scalar."""
        raise NotImplementedError

    def _of_outer_products(self, left: tf.Tensor, right: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The gradient of sum(left * coupling1(right)) with respect to what couplings are made of.

        For left [..., C, n1] and right [..., C, n2]; that of J is the sum of left right'.
        """
        raise NotImplementedError

    def logits1(self, z2: tf.Tensor) -> tf.Tensor:
        """Logits of p(z1 = 1 | z2), 2 (f1 + J s2), [..., C, n1]."""
        return 2 * self.f1[..., None, :] + self.coupling1(4 * z2 - 2)

    def logits2(self, z1: tf.Tensor) -> tf.Tensor:
        """Logits of p(z2 = 1 | z1), 2 (f2 + J's1), [..., C, n2]."""
        return 2 * self.f2[..., None, :] + self.coupling2(4 * z1 - 2)

    def energy(self, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        """-(f1's1 + f2's2 + s1'J s2), [..., C]; the energy of `binary()` but for a constant."""
        s1, s2 = 2 * z1 - 1, 2 * z2 - 1
        field1 = tf.reduce_sum(self.f1[..., None, :] * s1, -1)
        return -(field1 + tf.reduce_sum(self.logits2(z1) * s2, -1) / 2)

    def pull_back(
        self, z2: tf.Tensor, g1: tf.Tensor, z1: tf.Tensor, g2: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """The gradient of sum(g1 logits1(z2)) + sum(g2 logits2(z1)) with respect to all fields.

        All chains of both sums, g1 s2' and s1 g2', go through one product for each RBM.

        Args:
          z2, z1: states, [..., C, n2] and [..., C, n1].
          g1, g2: weights of the logits, [..., C, n1] and [..., C, n2].

        Returns:
          The gradients in a value of the RBM's own type.
        """
        left = tf.concat([g1, 4 * z1 - 2], -2)
        right = tf.concat([4 * z2 - 2, g2], -2)
        of_fields = (2 * tf.reduce_sum(g, -2) for g in (g1, g2))
        return type(self)(*of_fields, *self._of_outer_products(left, right))


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

    def coupling1(self, s2: tf.Tensor) -> tf.Tensor:
        """J s2, [..., C, n1]."""
        return tf.matmul(s2, self.j, transpose_b=True)

    def coupling2(self, s1: tf.Tensor) -> tf.Tensor:
        """J's1, [..., C, n2]."""
        return tf.matmul(s1, self.j)

    def binary(self) -> RBM:
        """The same distribution in the parameters of binary units."""
        b1 = 2 * (self.f1 - tf.reduce_sum(self.j, -1))
        b2 = 2 * (self.f2 - tf.reduce_sum(self.j, -2))
        return RBM(b1, b2, 4 * self.j)

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of W^2 over units and batch, a scalar."""
        return 4 * tf.sqrt(tf.reduce_mean(self.j**2))

    def _of_outer_products(self, left: tf.Tensor, right: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (tf.matmul(left, right, transpose_a=True),)


def from_binary(rbm: RBM) -> IsingRBM:
    """The same distribution in fields and couplings of spins."""
    j = rbm.w / 4
    f1 = rbm.b1 / 2 + tf.reduce_sum(j, -1)
    return IsingRBM(f1, rbm.b2 / 2 + tf.reduce_sum(j, -2), j)
