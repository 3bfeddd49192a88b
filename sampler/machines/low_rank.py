"""RBMs with factored couplings: W = u v', of which no method forms W; the cost is linear in n.

They stand in wherever a dense value does: sweeps, annealing, enumeration. Rows times W are two
products with thin matrices, (z1 u) v'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from sampler.families import Bernoulli
from sampler.machines.ising import AnyIsingRBM
from sampler.machines.machine import (
    AnyMachine,
    LowRank,
    State,
    couple,
    low_rank_difference,
    low_rank_mean_square,
    product,
)


class _Parameters(NamedTuple):
    b1: tf.Tensor
    b2: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor


class LowRankRBM(_Parameters, AnyMachine):
    """RBMs of bits with W = u v'.

    Attributes:
      b1: biases of the first side, [..., n1].
      b2: biases of the second side, [..., n2].
      u, v: the couplings' factors, [..., n1, r] and [..., n2, r].
    """

    __slots__ = ()
    AXES = {"b1": ("n1",), "b2": ("n2",), "u": ("n1", "r"), "v": ("n2", "r")}
    families = (Bernoulli(), Bernoulli())

    @property
    def fields(self) -> tuple[tf.Tensor, ...]:
        """b1 and b2."""
        return self.b1, self.b2

    def coupling(self, k: int, state: State) -> tf.Tensor | float:
        """W z2 for k = 0, W'z1 for k = 1; 0.0 where the other side isn't there."""
        other = 1 - k
        if other >= len(state) or state[other] is None:
            return 0.0
        return couple(state[other], LowRank(self.u, self.v), transpose=k == 0)

    def with_fields(self, fields: Sequence[tf.Tensor]) -> LowRankRBM:
        """The RBM with other biases."""
        b1, b2 = fields
        return LowRankRBM(b1, b2, self.u, self.v)

    def difference(self, new: LowRankRBM) -> LowRankRBM:
        """An RBM of rank 2r with the energy E_new - E_self."""
        factors = low_rank_difference(LowRank(self.u, self.v), LowRank(new.u, new.v))
        return LowRankRBM(new.b1 - self.b1, new.b2 - self.b2, *factors)

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of W^2 over units and batch, a scalar."""
        return tf.sqrt(low_rank_mean_square(self.u, self.v))


class _IsingParameters(NamedTuple):
    f1: tf.Tensor
    f2: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor


class LowRankIsingRBM(_IsingParameters, AnyIsingRBM):
    """RBMs of spins with J = u v'; see `ising.AnyIsingRBM`.

    Attributes:
      f1: fields of the first side, [..., n1].
      f2: fields of the second side, [..., n2].
      u, v: the couplings' factors, [..., n1, r] and [..., n2, r].
    """

    __slots__ = ()
    AXES = {"f1": ("n1",), "f2": ("n2",), "u": ("n1", "r"), "v": ("n2", "r")}

    def with_fields(self, fields: Sequence[tf.Tensor]) -> LowRankIsingRBM:
        """The RBM with other fields."""
        f1, f2 = fields
        return LowRankIsingRBM(f1, f2, self.u, self.v)

    def difference(self, new: LowRankIsingRBM) -> LowRankIsingRBM:
        """An RBM of rank 2r with the energy E_new - E_self."""
        factors = low_rank_difference(LowRank(self.u, self.v), LowRank(new.u, new.v))
        return LowRankIsingRBM(new.f1 - self.f1, new.f2 - self.f2, *factors)

    def binary(self) -> LowRankRBM:
        """The same distribution in the parameters of bits."""
        sums1, sums2 = _sums(self.u, self.v)
        return LowRankRBM(2 * (self.f1 - sums1), 2 * (self.f2 - sums2), 4 * self.u, self.v)

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of J^2 over units and batch, a scalar."""
        return tf.sqrt(low_rank_mean_square(self.u, self.v))

    def _product(self, s: tf.Tensor, transpose: bool) -> tf.Tensor:
        return couple(s, LowRank(self.u, self.v), transpose)

    def _of_outer_products(self, left: tf.Tensor, right: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Those of u and v: dJ v and dJ'u, for dJ = left'right, which is never formed."""
        u = tf.matmul(left, product(right, self.v), transpose_a=True)
        return u, tf.matmul(right, product(left, self.u), transpose_a=True)


def from_binary(rbm: LowRankRBM) -> LowRankIsingRBM:
    """The same distribution in fields and couplings of spins."""
    u = rbm.u / 4
    sums1, sums2 = _sums(u, rbm.v)
    return LowRankIsingRBM(rbm.b1 / 2 + sums1, rbm.b2 / 2 + sums2, u, rbm.v)


def _sums(u: tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Row sums [..., n1] and column sums [..., n2] of u v'."""
    of_rows = tf.reduce_sum(u * tf.reduce_sum(v, -2, keepdims=True), -1)
    return of_rows, tf.reduce_sum(v * tf.reduce_sum(u, -2, keepdims=True), -1)
