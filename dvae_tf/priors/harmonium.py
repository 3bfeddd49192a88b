"""The prior of two blocks of different kinds: an exponential family harmonium."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.priors.prior import Prior
from sampler.families import Categorical, Gaussian
from sampler.machines import harmonium
from sampler.machines.general import Machine


@keras.saving.register_keras_serializable(package="dvae_tf")
class HarmoniumPrior(Prior):
    """Fields and couplings of centred units (`sampler.machines.harmonium`), all zero at first.

    Args:
      families: of both blocks: 'binary', 'gaussian' or 'pottsQ', Q numbers a unit.
      chains, sweeps, sampler: see `Prior`.

    Raises:
      ValueError: families that are not known.
    """

    def __init__(
        self,
        families: Sequence[str] = ("binary", "gaussian"),
        chains: int = 1000,
        sweeps: int = 5,
        sampler: str = "pa",
    ):
        super().__init__(chains, sweeps, sampler)
        self.kinds, self.names = harmonium.pair(families), tuple(families)
        (a1, _), (a2, _) = map(harmonium.centre, self.kinds)
        # of J: the penalty is on what acts on the units themselves
        self.penalties = {"j": (a1 * a2) ** 2}  # type: ignore[misc]

    def get_config(self) -> dict[str, Any]:
        """The families and the sampling."""
        return {**super().get_config(), "families": list(self.names)}

    @classmethod
    def of_run(cls, config: Config) -> HarmoniumPrior:
        """With the flags' families and sampling."""
        how = config.prior_chains, config.prior_sweeps, config.prior_sampler
        return cls(config.families.split(","), *how)

    def attach(self, num_latents: tuple[int, ...]) -> None:
        """See `Prior.attach`: two blocks."""
        harmonium.check(self.kinds, num_latents)
        n1, n2 = num_latents
        self.f1 = self.add_weight(name="f1", shape=(n1,), initializer="zeros")
        self.f2 = self.add_weight(name="f2", shape=(n2,), initializer="zeros")
        self.j = self.add_weight(name="j", shape=(n1, n2), initializer="zeros")

    def machine(self) -> Machine:
        """The machine of the units themselves, without batch dimensions."""
        values = (tf.convert_to_tensor(v.value) for v in (self.f1, self.f2, self.j))
        return harmonium.from_centred(self.kinds, *values)

    @staticmethod
    def encode(machine: Machine) -> dict[str, tf.Tensor]:
        """Fields, couplings, and of each block q, or 1 of bits, 0 of real units."""
        states = [
            0 if isinstance(f, Gaussian) else f.num_states if isinstance(f, Categorical) else 1
            for f in machine.families
        ]
        first, second = machine.fields
        couplings = machine.couplings[0, 1]
        parts = {"fields1": first, "fields2": second, "couplings": couplings}
        return {**parts, "states": tf.constant(states)}

    @staticmethod
    def decode(tensors: dict[str, tf.Tensor]) -> Machine:
        """The machine of `encode`'s tensors."""
        states = tf.get_static_value(tensors["states"]).tolist()
        names = ["gaussian" if q == 0 else "binary" if q == 1 else f"potts{q}" for q in states]
        fields = tensors["fields1"], tensors["fields2"]
        return Machine([*map(harmonium.named, names)], fields, {(0, 1): tensors["couplings"]})
