"""The RBM prior p(z)."""

from __future__ import annotations

import keras
import tensorflow as tf

from sampler.machines import ising
from sampler.machines.rbm import RBM
from sampler.populations.population_annealing import Population


class RBMPrior(keras.layers.Layer):
    """Fields and couplings of the prior's Ising spins s = 2z - 1, all zero at first.

    Training is faster than in (b, W): see `sampler.ising.IsingRBM`.
    """

    def __init__(self, n1: int, n2: int):
        super().__init__(name="prior")
        self.f1 = self.add_weight(name="f1", shape=(n1,), initializer="zeros")
        self.f2 = self.add_weight(name="f2", shape=(n2,), initializer="zeros")
        self.j = self.add_weight(name="j", shape=(n1, n2), initializer="zeros")

    def rbm(self) -> RBM:
        """The prior as a value in binary units, without batch dimensions."""
        f1, f2, j = (tf.convert_to_tensor(v.value) for v in (self.f1, self.f2, self.j))
        return ising.IsingRBM(f1, f2, j).binary()

    def assign(self, rbm: RBM) -> None:
        """Makes the prior equal to `rbm`, without batch dimensions."""
        for variable, value in zip((self.f1, self.f2, self.j), ising.from_binary(rbm), strict=True):
            variable.assign(value)


def log_z_surrogate(theta: RBM, population: Population) -> tf.Tensor:
    """A scalar with the gradient of log Z_theta, estimated from samples of the prior.

    The gradient of log Z is -E_p[gradient of E] (DVAE++, section E). The value means nothing.

    Args:
      theta: the prior.
      population: C weighted samples of it.
    """
    return -theta.mean_energy(*map(tf.stop_gradient, (*population[:2], population.weights())))
