"""The restricted Boltzmann machine as a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeVar

import tensorflow as tf

_Self = TypeVar("_Self", bound="AnyRBM")


class AnyRBM(tuple):
    r"""A batch of restricted Boltzmann machines over binary units z1, z2 in {0, 1}.

    E(z1, z2) = -(b1'z1 + b2'z2 + z1'W z2),   p(z1, z2) = exp(-E(z1, z2)) / Z.

    States have an axis of chains just before the units: z1 is [..., C, n1] and z2 is [..., C, n2],
    with the RBM's batch dimensions in front (a prior has none, a mini-batch of posteriors one).

    What is common to an `RBM` and a `low_rank.LowRankRBM`: all that follows from the products with
    W. A subclass is a named tuple of its parameters and brings those products, `transposed`,
    `difference` and `rms_coupling`; whoever takes an `AnyRBM` reads no couplings, only calls these.

    Attributes:
      AXES: the names of each field's axes after those of the batch, by field.
      b1: biases of the first side, [..., n1].
      b2: biases of the second side, [..., n2].
    """

    __slots__ = ()
    AXES: ClassVar[dict[str, tuple[str, ...]]]
    b1: tf.Tensor
    b2: tf.Tensor

    def coupling1(self, z2: tf.Tensor) -> tf.Tensor:
        """W z2, the couplings' part of the first side's logits, [..., C, n1]."""
        raise NotImplementedError

    def coupling2(self, z1: tf.Tensor) -> tf.Tensor:
        """W'z1, the couplings' part of the second side's logits, [..., C, n2]."""
        raise NotImplementedError

    def transposed(self) -> AnyRBM:
        """The same RBM with its sides exchanged: all that sums out one side serves the other."""
        raise NotImplementedError

    def difference(self, new: Any) -> AnyRBM:
        """An RBM of which the energy is E_new - E_self, for `new` of the same type."""
        raise NotImplementedError

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of W^2 over units and batch, a scalar."""
        raise NotImplementedError

    def map(self: _Self, fn: Callable[[Any], tf.Tensor]) -> _Self:
        """The RBMs with `fn` of each parameter."""
        return type(self)(*(fn(parameter) for parameter in self))

    def cast(self: _Self, dtype: tf.DType = tf.float32) -> _Self:
        """The parameters as tensors of `dtype`, whatever arrays or lists they are."""
        return self.map(lambda t: tf.cast(tf.convert_to_tensor(t), dtype))

    def copies(self: _Self, count: int) -> _Self:
        """`count` equal RBMs along a new leading batch axis."""
        return replicate(self, count)

    def logits1(self, z2: tf.Tensor) -> tf.Tensor:
        """Logits of p(z1 = 1 | z2), [..., C, n1]."""
        return self.b1[..., None, :] + self.coupling1(z2)

    def logits2(self, z1: tf.Tensor) -> tf.Tensor:
        """Logits of p(z2 = 1 | z1), [..., C, n2]."""
        return self.b2[..., None, :] + self.coupling2(z1)

    def log_marginal1(self, z1: tf.Tensor) -> tf.Tensor:
        """log of the sum over z2 of exp(-E(z1, z2)), minus the free energy of z1: [..., C]."""
        field1 = tf.reduce_sum(self.b1[..., None, :] * z1, -1)
        return field1 + tf.reduce_sum(tf.nn.softplus(self.logits2(z1)), -1)

    def energy(self, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        """E(z1, z2), [..., C]; given one side, linear in the other."""
        field1 = tf.reduce_sum(self.b1[..., None, :] * z1, -1)
        return -(field1 + tf.reduce_sum(self.logits2(z1) * z2, -1))

    def mean_energy(self, z1: tf.Tensor, z2: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """sum_c weights_c E(z1_c, z2_c), [...], for weights [..., C]."""
        return tf.reduce_sum(weights * self.energy(z1, z2), -1)

    def energy_change(self, new: Any, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        """E_new - E_self at (z1, z2), [..., C], from the parameters' differences.

        Subtracting two energies of order 100 would lose the small change between two steps.
        """
        return self.difference(new).energy(z1, z2)


class _Parameters(NamedTuple):
    b1: tf.Tensor
    b2: tf.Tensor
    w: tf.Tensor


class RBM(_Parameters, AnyRBM):
    """RBMs with a matrix of couplings each; what is common to all of them is `AnyRBM`.

    Nothing outside this file and `ising.py` reads `w`, so that a value with other couplings can
    stand in.

    Attributes:
      b1: biases of the first side, [..., n1].
      b2: biases of the second side, [..., n2].
      w: couplings, [..., n1, n2].
    """

    __slots__ = ()
    AXES = {"b1": ("n1",), "b2": ("n2",), "w": ("n1", "n2")}

    def coupling1(self, z2: tf.Tensor) -> tf.Tensor:
        """W z2, [..., C, n1]."""
        return product(z2, self.w, transpose_w=True)

    def coupling2(self, z1: tf.Tensor) -> tf.Tensor:
        """W'z1, [..., C, n2]."""
        return product(z1, self.w)

    def transposed(self) -> RBM:
        """The same RBM with its sides exchanged."""
        return RBM(self.b2, self.b1, tf.linalg.matrix_transpose(self.w))

    def difference(self, new: RBM) -> RBM:
        """The parameters' differences: energies are linear in them."""
        return RBM(new.b1 - self.b1, new.b2 - self.b2, new.w - self.w)

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of W^2 over units and batch, a scalar."""
        return tf.sqrt(tf.reduce_mean(self.w**2))

    def mean_energy(self, z1: tf.Tensor, z2: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """sum_c weights_c E(z1_c, z2_c), [...], for weights [..., C]; from the states' moments.

        Its gradient with respect to the parameters is the moments, which are at hand already.
        """
        weighted = weights[..., None] * z1
        mean2 = tf.reduce_sum(weights[..., None] * z2, -2)
        pairs = tf.matmul(weighted, z2, transpose_a=True)
        of_biases = tf.reduce_sum(self.b1 * tf.reduce_sum(weighted, -2), -1)
        of_biases += tf.reduce_sum(self.b2 * mean2, -1)
        return -(of_biases + tf.reduce_sum(self.w * pairs, [-2, -1]))


def replicate(value: Any, count: int) -> Any:
    """`count` equal values along a new leading axis of each tensor that `value` is made of."""
    return tf.nest.map_structure(lambda t: tf.tile(t[None], [count] + [1] * t.shape.rank), value)


def product(z: tf.Tensor, w: tf.Tensor, transpose_w: bool = False) -> tf.Tensor:
    """Rows z times w or its transpose; for one RBM all rows in one product, and so its gradient."""
    if w.shape.rank == 2:
        return tf.tensordot(z, w, [[-1], [int(transpose_w)]])
    return tf.matmul(z, w, transpose_b=transpose_w)
