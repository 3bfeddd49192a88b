"""The undirected posterior: an RBM whose parameters an encoder predicts from x (Fig. 2a)."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from dvae_tf.networks import BatchNorm, dense
from dvae_tf.posteriors.backpropagation import persistent_sample
from dvae_tf.posteriors.posterior import Draws, Sample
from sampler import gibbs, seeds
from sampler.annealing import ais, bridge
from sampler.machines.ising import AnyIsingRBM, IsingRBM
from sampler.machines.low_rank import LowRankIsingRBM

INITIAL_COUPLING_GAMMA = 0.1
"""Start of the couplings' batch-norm gamma: the couplings begin at a tenth of `coupling_scale`.

Random couplings of full size cost thousands of steps before they help; gamma grows by itself when
they do. The README says what has been measured.
"""


class UndirectedPosterior(keras.layers.Layer):
    """Maps the encoder's context to an RBM, and samples that RBM.

    The head emits Ising fields f = dense(c) and couplings J = coupling_scale BN(dense(c)) /
    sqrt(n); in parameters of binary units (b and W from a dense layer) training diverges. Of low
    rank r, J = coupling_scale U V' / sqrt(n r), the factors through the same batch norm, and the
    head, the sweeps and the energies cost time linear in n. For unequal sides n is sqrt(n1 n2).

    Args:
      n1, n2: units of the two sides.
      coupling_scale: 1.5 in the paper's experiments; 0 gives independent units (mean field).
      coupling_rank: r; 0 for full couplings.
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
        coupling_rank: int,
        num_sweeps: int,
        num_relaxed_sweeps: int,
        relaxation: gibbs.SampleFn,
        seed: int,
    ):
        super().__init__(name="posterior")
        self.n1, self.n2, self.chain_units = n1, n2, n2
        self.rank = coupling_rank
        self.num_sweeps, self.num_relaxed_sweeps = num_sweeps, num_relaxed_sweeps
        self.relaxation = relaxation
        self.fields = dense(n1 + n2, use_bias=True, name="fields", seed=seed)
        factors = 2 if self.rank else 1
        outputs = (n1 + n2) * self.rank if self.rank else n1 * n2
        self.couplings = dense(outputs, use_bias=False, name="couplings", seed=seed)
        # a product of two factors has the scale, and gamma the start, of what is emitted whole
        scale = coupling_scale / math.sqrt(math.sqrt(n1 * n2) * max(1, self.rank))
        initial = keras.initializers.Constant(INITIAL_COUPLING_GAMMA ** (1 / factors))
        self.batch_norm = BatchNorm(
            scale ** (1 / factors), gamma_initializer=initial, name="couplings_batch_norm"
        )

    def call(self, context: tf.Tensor, training: bool = False) -> AnyIsingRBM:
        """phi(x): context [B, features] -> RBMs with batch dimension [B]."""
        f1, f2 = tf.split(self.fields(context), [self.n1, self.n2], -1)
        values = self.batch_norm(self.couplings(context), training=training)
        if not self.rank:
            return IsingRBM(f1, f2, tf.reshape(values, [-1, self.n1, self.n2]))
        rows = tf.reshape(values, [-1, self.n1 + self.n2, self.rank])
        return LowRankIsingRBM(f1, f2, *tf.split(rows, [self.n1, self.n2], 1))

    def sample(self, phi: AnyIsingRBM, chains: tf.Tensor, seed: tf.Tensor) -> Sample:
        """Algorithm 1: advances persistent chains and draws differentiable samples from them.

        Args:
          phi: RBMs [B].
          chains: persistent states of the images, z2 [B, K, n2].
          seed: int32, shape [2].
        """
        sweeps = self.num_sweeps, self.num_relaxed_sweeps
        return Sample(*persistent_sample(phi, chains, *sweeps, self.relaxation, seed))

    def log_prob(self, phi: AnyIsingRBM, zeta1: tf.Tensor, zeta2: tf.Tensor) -> tf.Tensor:
        """-E_phi(zeta), [B, K]."""
        return -phi.energy(zeta1, zeta2)

    def log_z_surrogate(self, phi: AnyIsingRBM, sample: Sample) -> tf.Tensor:
        """-mean_k E_phi at the images' own chains, [B]; the value means nothing."""
        mean1 = tf.stop_gradient(tf.sigmoid(phi.logits1(sample.chains)))
        return -tf.reduce_mean(phi.energy(mean1, sample.chains), -1)

    def draw(
        self, phi: AnyIsingRBM, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> Draws:
        """AIS from the mean field of each RBM; weights include its normaliser."""
        rbm = phi.binary()
        route = bridge.from_mean_field(rbm)
        state = ais.start(route, num_samples, seeds.fold_in(seed, 0))
        z1, log_weights = ais.anneal(route, state, betas, seeds.fold_in(seed, 1))
        z2 = gibbs.bernoulli(rbm.logits2(z1), seeds.fold_in(seed, 2))
        return Draws(z1, z2, log_weights, -rbm.energy(z1, z2))

    def scalars(self, phi: AnyIsingRBM) -> dict[str, tf.Tensor]:
        """Size of the couplings."""
        return {"rms_coupling": phi.rms_coupling()}
