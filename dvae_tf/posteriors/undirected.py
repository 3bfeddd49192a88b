"""The undirected posterior: an RBM whose parameters an encoder predicts from x (Fig. 2a)."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.networks import BatchNorm, dense
from dvae_tf.posteriors.boltzmann import BoltzmannPosterior
from sampler.io.errors import expect_number, expect_whole
from sampler.machines.ising import AnyIsingRBM, IsingRBM, LowRankIsingRBM

INITIAL_COUPLING_GAMMA = 0.1
"""Start of the couplings' batch-norm gamma: the couplings begin at a tenth of `coupling_scale`.

Random couplings of full size cost thousands of steps before they help; gamma grows by itself when
they do. The README says what has been measured.
"""


@keras.saving.register_keras_serializable(package="dvae_tf")
class RBMPosterior(BoltzmannPosterior):
    """Maps the encoder's features to an RBM of spins, and samples that RBM.

    The head emits Ising fields f = dense(c) and couplings J = coupling_scale BN(dense(c)) /
    sqrt(n); in parameters of binary units (b and W from a dense layer) training diverges. Of low
    rank r, J = coupling_scale U V' / sqrt(n r), the factors through the same batch norm, and the
    head, the sweeps and the energies cost time linear in n. For unequal sides n is sqrt(n1 n2).

    Args:
      sweeps, relaxed_sweeps: s and t of Algorithm 1.
      rank: r; 0 for full couplings.
      coupling_scale: 1.5 in the paper's experiments; 0 gives independent units, mean field.

    Raises:
      ValueError: sweeps of less than 1; a negative rank or scale; latents of more or fewer blocks
        than two.
    """

    def __init__(
        self,
        sweeps: int = 10,
        relaxed_sweeps: int = 1,
        rank: int = 0,
        coupling_scale: float = 1.5,
    ):
        super().__init__(sweeps, relaxed_sweeps)
        expect_whole(rank, "rank", 0)
        expect_number(coupling_scale, "coupling_scale")
        self.rank, self.coupling_scale = rank, coupling_scale

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = {"rank": self.rank, "coupling_scale": self.coupling_scale}
        return {**super().get_config(), **own}

    @classmethod
    def of_run(cls, config: Config) -> RBMPosterior:
        """With the flags' sweeps, rank and scale."""
        sweeps = config.posterior_sweeps, config.relaxed_sweeps
        return cls(*sweeps, config.coupling_rank, config.coupling_scale)

    def attach(self, num_latents: tuple[int, ...], num_features: int, seed: int) -> None:
        """See `Posterior.attach`."""
        if len(num_latents) != 2:
            raise ValueError(
                f"num_latents: found {num_latents}; accepted by {type(self).__name__}: two blocks, "
                "(n1, n2)"
            )
        self.set_blocks(IsingRBM.families, num_latents)
        self.n1, self.n2 = n1, n2 = num_latents
        self.fields = dense(n1 + n2, use_bias=True, name="fields", seed=seed)
        factors = 2 if self.rank else 1
        outputs = (n1 + n2) * self.rank if self.rank else n1 * n2
        self.couplings = dense(outputs, use_bias=False, name="couplings", seed=seed)
        # a product of two factors has the scale, and gamma the start, of what is emitted whole
        scale = self.coupling_scale / math.sqrt(math.sqrt(n1 * n2) * max(1, self.rank))
        initial = keras.initializers.Constant(INITIAL_COUPLING_GAMMA ** (1 / factors))
        self.batch_norm = BatchNorm(
            scale ** (1 / factors), gamma_initializer=initial, name="couplings_batch_norm"
        )

    @classmethod
    def memory(cls, config: Config) -> tuple[int, int]:
        """The couplings, and a byte a unit of the second side."""
        n1, n2 = config.sides
        rank = config.coupling_rank
        return (n1 + n2) * rank if rank else n1 * n2, n2

    def call(self, context: tf.Tensor, training: bool = False) -> AnyIsingRBM:
        """phi(x): context [B, features] -> RBMs with batch dimension [B]."""
        f1, f2 = tf.split(self.fields(context), [self.n1, self.n2], -1)
        values = self.batch_norm(self.couplings(context), training=training)
        if not self.rank:
            return IsingRBM(f1, f2, tf.reshape(values, [-1, self.n1, self.n2]))
        rows = tf.reshape(values, [-1, self.n1 + self.n2, self.rank])
        return LowRankIsingRBM(f1, f2, *tf.split(rows, [self.n1, self.n2], 1))

    def encode(self, phi: AnyIsingRBM) -> dict[str, tf.Tensor]:
        """The RBMs of bits: b1, b2 and w, or, of low rank, u and v in place of w."""
        return phi.binary()._asdict()
