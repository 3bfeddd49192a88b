"""Restricted Boltzmann machines of bits: two blocks, and the couplings between them."""

from collections import namedtuple
from collections.abc import Sequence
from typing import Any, TypeVar

import tensorflow as tf

from sampler.families import Bernoulli
from sampler.machines import couplings
from sampler.machines.couplings import LowRank
from sampler.machines.machine import AnyMachine, State

_Self = TypeVar("_Self", bound="TwoBlocks")

_MANY = 256


class TwoBlocks(AnyMachine, tuple[Any, ...]):
    """What RBMs have in common; a subclass brings `families`, and names its tensors in `AXES`.

    Each is a named tuple of both sides' fields, [..., n1] and [..., n2], and then of its couplings,
    [..., n1, n2], or their factors, [..., n1, r] and [..., n2, r].
    """

    __slots__ = ()

    @property
    def fields(self) -> tuple[tf.Tensor, ...]:  # type: ignore[override]
        """Those of the first side and of the second."""
        return self[:2]

    @property
    def between(self) -> Any:
        """The couplings: the matrix, or `LowRank` factors."""
        return self[2] if len(self) == 3 else LowRank(*self[2:])

    def coupling(self, k: int, state: State) -> tf.Tensor | float:
        """W x2 for k = 0, W'x1 for k = 1; 0.0 where the other side isn't there."""
        other = 1 - k
        if other >= len(state) or state[other] is None:
            return 0.0
        return couplings.couple(state[other], self.between, transpose=k == 0)

    def with_fields(self: _Self, fields: Sequence[tf.Tensor]) -> _Self:
        """The RBM with other fields."""
        return type(self)(*fields, *self[2:])

    def difference(self: _Self, new: Any) -> _Self:
        """An RBM with the energy E_new - E_self, of rank 2r where the couplings are factored."""
        fields = [b - a for a, b in zip(self.fields, new.fields, strict=True)]
        return type(self)(
            *fields, *couplings.parts(couplings.difference(self.between, new.between))
        )

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of W^2 over units and batch, a scalar."""
        return tf.sqrt(couplings.mean_square(self.between))


class RBM(namedtuple("RBM", "b1 b2 w"), TwoBlocks):
    """RBMs over z1, z2 in {0, 1}: E(z1, z2) = -(b1'z1 + b2'z2 + z1'W z2).

    Attributes:
      b1: biases of the first side, [..., n1].
      b2: biases of the second side, [..., n2].
      w: couplings, [..., n1, n2].
    """

    __slots__ = ()
    AXES = {"b1": ("n1",), "b2": ("n2",), "w": ("n1", "n2")}
    families = (Bernoulli(), Bernoulli())

    def columns(self, num_chains: int | None) -> Any:
        """The RBM for states [..., n_k, C], for many chains of one: 0.6 to 0.8 of the time.

        Sums over units then run along the chains, as does what products leave of vectors of 16.
        """
        many = num_chains is not None and num_chains >= _MANY
        return _Columns(*self) if many and self.batch_shape.num_elements() == 1 else None

    def mean_energy(self, state: State, weights: tf.Tensor) -> tf.Tensor:
        """sum_c weights_c E(z_c), [...], for weights [..., C]; from the states' moments.

        Its gradient with respect to the parameters is the moments, which are at hand already.
        """
        z1, z2 = state
        weighted = weights[..., None] * z1
        mean2 = tf.reduce_sum(weights[..., None] * z2, -2)
        pairs = tf.matmul(weighted, z2, transpose_a=True)
        of_biases = tf.reduce_sum(self.b1 * tf.reduce_sum(weighted, -2), -1)
        of_biases += tf.reduce_sum(self.b2 * mean2, -1)
        return -(of_biases + tf.reduce_sum(self.w * pairs, [-2, -1]))


class LowRankRBM(namedtuple("LowRankRBM", "b1 b2 u v"), TwoBlocks):
    """RBMs of bits with W = u v', u [..., n1, r] and v [..., n2, r]; else as `RBM`."""

    __slots__ = ()
    AXES = {"b1": ("n1",), "b2": ("n2",), "u": ("n1", "r"), "v": ("n2", "r")}
    families = (Bernoulli(), Bernoulli())


class _Columns(namedtuple("_Columns", "b1 b2 w"), TwoBlocks):
    """An RBM of bits for states [..., n_k, C]."""

    __slots__ = ()
    families = RBM.families
    unit_axis = -2

    def coupling(self, k: int, state: State) -> tf.Tensor | float:
        """As `AnyMachine.coupling`, [..., n_k, C]."""
        other = 1 - k
        if other >= len(state) or state[other] is None:
            return 0.0
        return tf.matmul(self.w, state[other], transpose_a=k == 1)
