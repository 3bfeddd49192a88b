"""The posterior of two blocks of different kinds: an exponential family harmonium."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.posteriors.posterior import Draws, Sample
from dvae_tf.posteriors.undirected import RBMPosterior
from sampler.families import Gaussian
from sampler.machines import harmonium
from sampler.machines.general import Machine


class Scaled(NamedTuple):
    """phi: latents are the machine's units, the real ones times a scale of their own.

    Attributes:
      machine: with batch dimension [B].
      log_scale: [B, n]; 0 of discrete units.
    """

    machine: Machine
    log_scale: tf.Tensor


@keras.saving.register_keras_serializable(package="dvae_tf")
class HarmoniumPosterior(RBMPosterior):
    r"""q(z | x) of two blocks, each of bits, real numbers or Potts units, coupled as in an RBM.

    Gibbs conditionals of real units are reparameterised exactly; the others are relaxed. Given the
    other block a real unit has variance 1, so that latents are z = exp(l(x)) u for the machine's u:

      log q(z | x) = -E_phi(u) - sum_i l_i - log Z_phi

    Args:
      families: of both blocks: 'binary', 'gaussian' or 'pottsQ', Q numbers a unit.
      sweeps, relaxed_sweeps, coupling_scale: see `RBMPosterior`.

    Raises:
      ValueError: families that are not known; latents that don't divide into Potts units.
    """

    def __init__(
        self,
        families: Sequence[str] = ("binary", "gaussian"),
        sweeps: int = 10,
        relaxed_sweeps: int = 1,
        coupling_scale: float = 1.5,
    ):
        super().__init__(sweeps, relaxed_sweeps, 0, coupling_scale)
        self.kinds, self.names = harmonium.pair(families), tuple(families)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        config = {**super().get_config(), "families": list(self.names)}
        del config["rank"]
        return config

    @classmethod
    def of_run(cls, config: Config) -> HarmoniumPosterior:
        """With the flags' families, sweeps and scale."""
        sweeps = config.posterior_sweeps, config.relaxed_sweeps
        return cls(config.families.split(","), *sweeps, config.coupling_scale)

    def attach(self, num_latents: tuple[int, ...], num_features: int, seed: int) -> None:
        """See `Posterior.attach`."""
        super().attach(num_latents, num_features, seed)
        harmonium.check(self.kinds, num_latents)
        self.set_blocks(self.kinds, num_latents)
        real = [float(isinstance(family, Gaussian)) for family in self.kinds]
        self.real = tf.repeat(tf.constant(real), num_latents)
        # as wide as the prior's at first
        self.log_scales = keras.layers.Dense(
            sum(num_latents), kernel_initializer="zeros", name="log_scales"
        )

    def call(self, context: tf.Tensor, training: bool = False) -> Any:
        """phi(x), a `Scaled`, for context [B, features]."""
        machine = harmonium.from_centred(self.kinds, *super().call(context, training))
        return Scaled(machine, self.real * self.log_scales(context))

    def sample(self, phi: Any, chains: tf.Tensor, seed: tf.Tensor) -> Sample:
        """Algorithm 1; chains are of the machine's units."""
        found = super().sample(phi.machine, chains, seed)
        return found._replace(zeta=found.zeta * tf.exp(phi.log_scale)[:, None])

    def log_q(self, phi: Any, sample: Sample) -> tf.Tensor:
        """log q(zeta | x), [B, K], but for the value of log Z_phi."""
        units = sample.zeta * tf.exp(-phi.log_scale)[:, None]
        of_units = super().log_q(phi.machine, sample._replace(zeta=units))
        return of_units - tf.reduce_sum(phi.log_scale, -1)[:, None]

    def draw(self, phi: Any, num_samples: Any, betas: tf.Tensor, seed: tf.Tensor) -> Draws:
        """AIS from the mean field of each machine."""
        found = super().draw(phi.machine, num_samples, betas, seed)
        return Draws(
            found.z * tf.exp(phi.log_scale)[:, None],
            found.log_weights,
            found.log_prob - tf.reduce_sum(phi.log_scale, -1)[:, None],
        )

    def encode(self, phi: Any) -> dict[str, tf.Tensor]:
        """Fields, couplings and scales."""
        first, second = phi.machine.fields
        couplings = phi.machine.couplings[0, 1]
        parts = {"fields1": first, "fields2": second, "couplings": couplings}
        return {**parts, "scales": tf.exp(phi.log_scale)}

    def scalars(self, phi: Any) -> dict[str, tf.Tensor]:
        """Sizes of couplings and scales."""
        mean = tf.reduce_sum(phi.log_scale) / tf.maximum(
            tf.reduce_sum(self.real + tf.zeros_like(phi.log_scale)), 1
        )
        return {**super().scalars(phi.machine), "mean_log_scale": mean}
