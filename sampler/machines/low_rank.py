"""RBMs with factored couplings: W = u v', of which no method forms W; the cost is linear in n.

They stand in wherever a dense value does: sweeps, annealing, enumeration. Rows times W are two
products with thin matrices, (z1 u) v'.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from sampler.machines.ising import AnyIsingRBM
from sampler.machines.rbm import AnyRBM, product


class _Parameters(NamedTuple):
    b1: tf.Tensor
    b2: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor


class LowRankRBM(_Parameters, AnyRBM):
    """RBMs with W = u v'; states, energies and all methods are those of `rbm.AnyRBM`.

    Attributes:
      b1: biases of the first side, [..., n1].
      b2: biases of the second side, [..., n2].
      u, v: the couplings' factors, [..., n1, r] and [..., n2, r].
    """

    __slots__ = ()
    AXES = {"b1": ("n1",), "b2": ("n2",), "u": ("n1", "r"), "v": ("n2", "r")}

    def coupling1(self, z2: tf.Tensor) -> tf.Tensor:
        """W z2, [..., C, n1]."""
        return _product(z2, self.v, self.u)

    def coupling2(self, z1: tf.Tensor) -> tf.Tensor:
        """W'z1, [..., C, n2]."""
        return _product(z1, self.u, self.v)

    def transposed(self) -> LowRankRBM:
        """The same RBM with its sides exchanged."""
        return LowRankRBM(self.b2, self.b1, self.v, self.u)

    def difference(self, new: LowRankRBM) -> LowRankRBM:
        """An RBM of rank 2r with the energy E_new - E_self.

        u_new v_new' - u v' = (u_new - u) v_new' + u (v_new - v)': each term is as small as the
        change, where [u_new, u] [v_new, -v]' would subtract couplings of full size.
        """
        u = tf.concat([new.u - self.u, self.u], -1)
        v = tf.concat([new.v, new.v - self.v], -1)
        return LowRankRBM(new.b1 - self.b1, new.b2 - self.b2, u, v)

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of W^2 over units and batch, a scalar."""
        return _rms(self.u, self.v)


class _IsingParameters(NamedTuple):
    f1: tf.Tensor
    f2: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor


class LowRankIsingRBM(_IsingParameters, AnyIsingRBM):
    """RBMs of spins with J = u v'; all methods are those of `ising.AnyIsingRBM`.

    Attributes:
      f1: fields of the first side, [..., n1].
      f2: fields of the second side, [..., n2].
      u, v: the couplings' factors, [..., n1, r] and [..., n2, r].
    """

    __slots__ = ()

    def coupling1(self, s2: tf.Tensor) -> tf.Tensor:
        """J s2, [..., C, n1]."""
        return _product(s2, self.v, self.u)

    def coupling2(self, s1: tf.Tensor) -> tf.Tensor:
        """J's1, [..., C, n2]."""
        return _product(s1, self.u, self.v)

    def binary(self) -> LowRankRBM:
        """The same distribution in the parameters of binary units."""
        sums1, sums2 = _sums(self.u, self.v)
        return LowRankRBM(2 * (self.f1 - sums1), 2 * (self.f2 - sums2), 4 * self.u, self.v)

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of W^2 over units and batch, a scalar."""
        return 4 * _rms(self.u, self.v)

    def _of_outer_products(self, left: tf.Tensor, right: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Those of u and v: dJ v and dJ'u, for dJ = left'right, which is never formed."""
        u = tf.matmul(left, product(right, self.v), transpose_a=True)
        return u, tf.matmul(right, product(left, self.u), transpose_a=True)


def from_binary(rbm: LowRankRBM) -> LowRankIsingRBM:
    """The same distribution in fields and couplings of spins."""
    u = rbm.u / 4
    sums1, sums2 = _sums(u, rbm.v)
    return LowRankIsingRBM(rbm.b1 / 2 + sums1, rbm.b2 / 2 + sums2, u, rbm.v)


def _product(z: tf.Tensor, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Rows z times first second', [..., C, n]."""
    return product(product(z, first), second, transpose_w=True)


def _sums(u: tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Row sums [..., n1] and column sums [..., n2] of u v'."""
    of_rows = tf.reduce_sum(u * tf.reduce_sum(v, -2, keepdims=True), -1)
    return of_rows, tf.reduce_sum(v * tf.reduce_sum(u, -2, keepdims=True), -1)


def _rms(u: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """The root mean square of u v' over units and batch: tr(WW') = sum of (u'u) * (v'v)."""
    grams = tf.matmul(u, u, transpose_a=True) * tf.matmul(v, v, transpose_a=True)
    squares = tf.reduce_mean(tf.reduce_sum(grams, [-2, -1]))
    # rounding leaves a sum that cancels anywhere near 0
    return tf.sqrt(tf.nn.relu(squares) / (u.shape[-2] * v.shape[-2]))
