"""A posterior with auxiliary units: an RBM over (h, z), its units h summed out of log q(z | x)."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.posteriors.posterior import Draws, Sample
from dvae_tf.posteriors.undirected import RBMPosterior
from sampler.io.errors import expect_whole
from sampler.machines.ising import AnyIsingRBM
from sampler.machines.machine import AnyMachine


@keras.saving.register_keras_serializable(package="dvae_tf")
class AuxiliaryPosterior(RBMPosterior):
    r"""q(z | x) = sum_h q(z, h | x), with q(z, h | x) an RBM whose first side are units h.

    Latents are the second side alone: they share no couplings but are correlated through h, and the
    prior over them may be any machine. Gibbs sweeps go over both sides as in Algorithm 1, and

      log q(z | x) = f_z'z + sum_j log 2 cosh(f_h + J z)_j - log Z_phi

    is closed but for log Z, whose gradient is that of the first terms at the chains (Fisher's
    identity: h at its means). The paper's last section proposes it.

    Args:
      auxiliary: units h.
      sweeps, relaxed_sweeps, rank, coupling_scale: see `RBMPosterior`.

    Raises:
      ValueError: no auxiliary units; and as `RBMPosterior`.
    """

    def __init__(
        self,
        auxiliary: int = 32,
        sweeps: int = 10,
        relaxed_sweeps: int = 1,
        rank: int = 0,
        coupling_scale: float = 1.5,
    ):
        super().__init__(sweeps, relaxed_sweeps, rank, coupling_scale)
        expect_whole(auxiliary, "auxiliary", 1)
        self.auxiliary = auxiliary

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "auxiliary": self.auxiliary}

    @classmethod
    def of_run(cls, config: Config) -> AuxiliaryPosterior:
        """With the flags' units, sweeps, rank and scale."""
        sweeps = config.posterior_sweeps, config.relaxed_sweeps
        return cls(config.num_auxiliary, *sweeps, config.coupling_rank, config.coupling_scale)

    @classmethod
    def memory(cls, config: Config) -> tuple[int, int]:
        """The couplings, and a byte a latent unit."""
        n1, n2, rank = config.num_auxiliary, config.num_latents, config.coupling_rank
        return (n1 + n2) * rank if rank else n1 * n2, n2

    def attach(self, num_latents: tuple[int, ...], num_features: int, seed: int) -> None:
        """Latents of any number of blocks, which the prior alone tells apart."""
        super().attach((self.auxiliary, sum(num_latents)), num_features, seed)

    def sample(self, phi: AnyMachine, chains: tf.Tensor, seed: tf.Tensor) -> Sample:
        """As its parent's, of which z is kept; the chains are z already."""
        both = super().sample(phi, chains, seed)
        return Sample(both.zeta[..., self.auxiliary :], both.chains)

    def log_unnormalised(self, phi: AnyMachine, z: tf.Tensor) -> tf.Tensor:
        """log q(z | x) + log Z_phi, [B, K], for z [B, K, n]."""
        return phi.log_marginal((None, 2 * tf.cast(z, tf.float32) - 1), 0)

    def encode(self, phi: AnyIsingRBM) -> dict[str, tf.Tensor]:
        """The RBMs of bits over (h, z), under names that are not those of an RBM over latents."""
        return {f"auxiliary_{name}": value for name, value in super().encode(phi).items()}

    def draw(self, phi: AnyMachine, num_samples: Any, betas: tf.Tensor, seed: tf.Tensor) -> Draws:
        """AIS over both sides; what is weighed against p(z) is z's marginal."""
        both = super().draw(phi, num_samples, betas, seed)
        z = both.z[..., self.auxiliary :]
        return Draws(z, both.log_weights, self.log_unnormalised(phi, z))
