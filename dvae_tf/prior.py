"""The RBM prior p(z)."""

from __future__ import annotations

import keras
import tensorflow as tf

from sampler.population_annealing import Population
from sampler.rbm import RBM


class RBMPrior(keras.layers.Layer):
    """Fields and couplings of the prior's Ising spins s = 2z - 1, all zero at first.

    In binary units W = 4J, b1 = 2(f1 - J 1), b2 = 2(f2 - J'1), as in the posterior's head: a change
    of J leaves the mean of an unbiased unit alone, and training is faster than in (b, W).
    """

    def __init__(self, n1: int, n2: int):
        super().__init__(name="prior")
        self.f1 = self.add_weight(name="f1", shape=(n1,), initializer="zeros")
        self.f2 = self.add_weight(name="f2", shape=(n2,), initializer="zeros")
        self.j = self.add_weight(name="j", shape=(n1, n2), initializer="zeros")

    def rbm(self) -> RBM:
        """The prior as a value in binary units, without batch dimensions."""
        f1, f2, j = (tf.convert_to_tensor(v.value) for v in (self.f1, self.f2, self.j))
        return RBM(2 * (f1 - tf.reduce_sum(j, 1)), 2 * (f2 - tf.reduce_sum(j, 0)), 4 * j)

    def assign(self, rbm: RBM) -> None:
        """Makes the prior equal to `rbm`, without batch dimensions."""
        j = rbm.w / 4
        self.f1.assign(rbm.b1 / 2 + tf.reduce_sum(j, 1))
        self.f2.assign(rbm.b2 / 2 + tf.reduce_sum(j, 0))
        self.j.assign(j)


def log_z_surrogate(theta: RBM, population: Population) -> tf.Tensor:
    """A scalar with the gradient of log Z_theta, estimated from samples of the prior.

    The gradient of log Z is -E_p[gradient of E] (DVAE++, section E). The value means nothing.

    Args:
      theta: the prior.
      population: C weighted samples of it.
    """
    z1, z2 = tf.stop_gradient(population.z1), tf.stop_gradient(population.z2)
    return -tf.reduce_sum(population.weights() * theta.energy(z1, z2))
