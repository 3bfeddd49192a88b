"""The RBM prior of binary units."""

import keras
import tensorflow as tf

from dvae_tf.priors.prior import Prior
from sampler.machines import ising
from sampler.machines.rbm import RBM


@keras.saving.register_keras_serializable(package="dvae_tf")
class RBMPrior(Prior):
    """Fields and couplings of the prior's Ising spins s = 2z - 1, all zero at first.

    Training is faster than in (b, W): see `sampler.machines.ising.AnyIsingRBM`.
    """

    # of J: the penalty is on what acts on bits, W = 4J
    penalties = {"j": 16.0}

    def attach(self, num_latents: tuple[int, ...]) -> None:
        """See `Prior.attach`: two blocks, n1 and n2."""
        if len(num_latents) != 2:
            raise ValueError(
                f"num_latents: found {num_latents}; accepted by RBMPrior: two blocks, (n1, n2)"
            )
        n1, n2 = num_latents
        self.f1 = self.add_weight(name="f1", shape=(n1,), initializer="zeros")
        self.f2 = self.add_weight(name="f2", shape=(n2,), initializer="zeros")
        self.j = self.add_weight(name="j", shape=(n1, n2), initializer="zeros")

    def machine(self) -> RBM:
        """The RBM of bits, without batch dimensions."""
        f1, f2, j = (tf.convert_to_tensor(v.value) for v in (self.f1, self.f2, self.j))
        return ising.IsingRBM(f1, f2, j).binary()

    def assign(self, rbm: RBM) -> None:
        """Makes the prior equal to `rbm`, without batch dimensions."""
        for variable, value in zip((self.f1, self.f2, self.j), ising.from_binary(rbm), strict=True):
            variable.assign(value)

    @staticmethod
    def encode(machine: RBM) -> dict[str, tf.Tensor]:
        """b1, b2 and w."""
        return machine._asdict()

    @staticmethod
    def decode(tensors: dict[str, tf.Tensor]) -> RBM:
        """The RBM of `encode`'s tensors."""
        return RBM(**tensors)
