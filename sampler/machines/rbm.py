"""The restricted Boltzmann machine of binary units: two blocks, a matrix of couplings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from sampler.families import Bernoulli
from sampler.machines.machine import AnyMachine, State, product


class _Parameters(NamedTuple):
    b1: tf.Tensor
    b2: tf.Tensor
    w: tf.Tensor


class RBM(_Parameters, AnyMachine):
    """RBMs over z1, z2 in {0, 1}: E(z1, z2) = -(b1'z1 + b2'z2 + z1'W z2).

    Attributes:
      b1: biases of the first side, [..., n1].
      b2: biases of the second side, [..., n2].
      w: couplings, [..., n1, n2].
    """

    __slots__ = ()
    AXES = {"b1": ("n1",), "b2": ("n2",), "w": ("n1", "n2")}
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
        return product(state[other], self.w, transpose_w=k == 0)

    def with_fields(self, fields: Sequence[tf.Tensor]) -> RBM:
        """The RBM with other biases."""
        b1, b2 = fields
        return RBM(b1, b2, self.w)

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of W^2 over units and batch, a scalar."""
        return tf.sqrt(tf.reduce_mean(self.w**2))

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
