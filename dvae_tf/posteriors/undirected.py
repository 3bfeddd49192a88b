"""The undirected posterior: an RBM whose parameters an encoder predicts from x (Fig. 2a)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from dvae_tf.networks import batch_norm, dense
from sampler import gibbs, seeds
from sampler.rbm import RBM

INITIAL_COUPLING_GAMMA = 0.1
"""Start of the couplings' batch-norm gamma: the couplings begin at a tenth of `coupling_scale`.

Random couplings of full size cost thousands of steps before they help; gamma grows by itself when
they do. The README says what has been measured.
"""


class Sample(NamedTuple):
    """Relaxed samples, one per image of the batch B, with a chain axis of length 1.

    Attributes:
      zeta1: [B, 1, n1] and zeta2: [B, 1, n2], in [0, 1], differentiable in phi.
      chains: hard states z2' that the relaxed sweep started from, [B, 1, n2].
    """

    zeta1: tf.Tensor
    zeta2: tf.Tensor
    chains: tf.Tensor


class UndirectedPosterior(keras.layers.Layer):
    """Maps the encoder's context to an RBM, and samples that RBM.

    The head speaks of Ising spins s = 2z - 1, with couplings J = coupling_scale BN(dense(c)) /
    sqrt(n1) and fields f = dense(c); in binary units that is W = 4J, b1 = 2(f1 - J 1) and
    b2 = 2(f2 - J'1). A change of J then leaves the mean of an unbiased unit alone, without which
    training diverges.

    Args:
      n1, n2: units of the two sides.
      coupling_scale: 1.5 in the paper's experiments; 0 gives independent units (mean field).
      num_sweeps: s, hard sweeps of a chain for each sample.
      num_relaxed_sweeps: t, relaxed sweeps, through which the gradient flows.
      relaxation: the `sample_fn` of the relaxed sweeps.
      seed: of the initial kernels.
    """

    def __init__(
        self,
        n1: int,
        n2: int,
        coupling_scale: float,
        num_sweeps: int,
        num_relaxed_sweeps: int,
        relaxation: gibbs.SampleFn,
        seed: int,
    ):
        super().__init__(name="posterior")
        self.n1, self.n2 = n1, n2
        self.scale = coupling_scale / math.sqrt(n1)
        self.num_sweeps, self.num_relaxed_sweeps = num_sweeps, num_relaxed_sweeps
        self.relaxation = relaxation
        self.fields = dense(n1 + n2, use_bias=True, name="fields", seed=seed)
        self.couplings = dense(n1 * n2, use_bias=False, name="couplings", seed=seed)
        initial = keras.initializers.Constant(INITIAL_COUPLING_GAMMA)
        self.batch_norm = batch_norm(gamma_initializer=initial, name="couplings_batch_norm")

    def call(self, context: tf.Tensor, training: bool = False) -> RBM:
        """phi(x): context [B, features] -> RBMs with batch dimension [B]."""
        fields = 2 * self.fields(context)
        f1, f2 = fields[:, : self.n1], fields[:, self.n1 :]
        normalised = self.batch_norm(self.couplings(context), training=training)
        w = 4 * self.scale * tf.reshape(normalised, [-1, self.n1, self.n2])
        return RBM(f1 - tf.reduce_sum(w, 2) / 2, f2 - tf.reduce_sum(w, 1) / 2, w)

    def sample(self, phi: RBM, chains: tf.Tensor, seed: tf.Tensor) -> Sample:
        """Algorithm 1: advances persistent chains and draws differentiable samples from them.

        Args:
          phi: RBMs [B].
          chains: persistent states of the images, z2 [B, 1, n2].
          seed: int32, shape [2].
        """
        fixed_phi = tf.nest.map_structure(tf.stop_gradient, phi)
        _, chains = gibbs.run(fixed_phi, chains, self.num_sweeps, seeds.fold_in(seed, 0))
        zeta2 = tf.stop_gradient(chains)
        for i in range(self.num_relaxed_sweeps):
            sweep_seed = seeds.fold_in(seed, 1 + i)
            zeta1, zeta2 = gibbs.sweep(phi, zeta2, sweep_seed, self._relax)
        return Sample(zeta1, zeta2, chains)

    def _relax(self, logits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return _materialise(self.relaxation(_materialise(logits), seed))


@tf.custom_gradient
def _materialise(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """x, written to memory, and so its gradient.

    The gradient of W is a sum of outer products of samples and logits' gradients. XLA on a CPU
    fuses what these are computed from into each of their B n1 n2 elements (25 ms of a step of 55);
    it does not fuse a matrix product, and that with the identity is exact.
    """
    identity = tf.eye(x.shape[-1])
    return tf.matmul(x, identity), lambda gradient: tf.matmul(gradient, identity)
