"""The restricted Boltzmann machine as a value."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class RBM(NamedTuple):
    r"""A batch of restricted Boltzmann machines over binary units z1, z2 in {0, 1}.

    E(z1, z2) = -(b1'z1 + b2'z2 + z1'W z2),   p(z1, z2) = exp(-E(z1, z2)) / Z.

    States have an axis of chains just before the units: z1 is [..., C, n1] and z2 is [..., C, n2],
    with the RBM's batch dimensions in front (a prior has none, a mini-batch of posteriors one).
    Nothing outside this file reads `w`, so that a value with other couplings can stand in.

    Attributes:
      b1: biases of the first side, [..., n1].
      b2: biases of the second side, [..., n2].
      w: couplings, [..., n1, n2].
    """

    b1: tf.Tensor
    b2: tf.Tensor
    w: tf.Tensor

    def cast(self, dtype: tf.DType = tf.float32) -> RBM:
        """The parameters as tensors of `dtype`, whatever arrays or lists they are."""
        return RBM(*(tf.cast(tf.convert_to_tensor(t), dtype) for t in self))

    def coupling1(self, z2: tf.Tensor) -> tf.Tensor:
        """W z2, the couplings' part of the first side's logits, [..., C, n1]."""
        return _product(z2, self.w, transpose_w=True)

    def coupling2(self, z1: tf.Tensor) -> tf.Tensor:
        """W'z1, the couplings' part of the second side's logits, [..., C, n2]."""
        return _product(z1, self.w)

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

    def transposed(self) -> RBM:
        """The same RBM with its sides exchanged: all that sums out one side serves the other."""
        return RBM(self.b2, self.b1, tf.linalg.matrix_transpose(self.w))

    def energy(self, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        """E(z1, z2), [..., C]; linear in the parameters and, given one side, in the other."""
        field1 = tf.reduce_sum(self.b1[..., None, :] * z1, -1)
        return -(field1 + tf.reduce_sum(self.logits2(z1) * z2, -1))

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

    def energy_change(self, new: RBM, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        """E_new - E_self at (z1, z2), [..., C], from the parameters' differences.

        Subtracting two energies of order 100 would lose the small change between two steps.
        """
        return RBM(new.b1 - self.b1, new.b2 - self.b2, new.w - self.w).energy(z1, z2)

    def tempered(self, beta: tf.Tensor, base1: tf.Tensor, base2: tf.Tensor) -> RBM:
        """Couplings beta W and biases base + beta (b - base), for a scalar `beta` in [0, 1]."""
        return RBM(
            base1 + beta * (self.b1 - base1), base2 + beta * (self.b2 - base2), beta * self.w
        )

    def mean_abs_coupling(self) -> tf.Tensor:
        """mean |W| over units and batch, a scalar."""
        return tf.reduce_mean(abs(self.w))

    def copies(self, count: int) -> RBM:
        """`count` equal RBMs along a new leading batch axis."""
        return RBM(*(tf.tile(t[None], [count] + [1] * t.shape.rank) for t in self))


def _product(z: tf.Tensor, w: tf.Tensor, transpose_w: bool = False) -> tf.Tensor:
    """Rows z times w or its transpose; for one RBM all rows in one product, and so its gradient."""
    if w.shape.rank == 2:
        return tf.tensordot(z, w, [[-1], [int(transpose_w)]])
    return tf.matmul(z, w, transpose_b=transpose_w)
