"""The RBM prior p(z)."""

from __future__ import annotations

import keras
import tensorflow as tf

from sampler.population_annealing import Population
from sampler.rbm import RBM


class RBMPrior(keras.layers.Layer):
    """Biases and couplings of the prior, all zero at first, as the paper has them."""

    def __init__(self, n1: int, n2: int):
        super().__init__(name="prior")
        self.b1 = self.add_weight(name="b1", shape=(n1,), initializer="zeros")
        self.b2 = self.add_weight(name="b2", shape=(n2,), initializer="zeros")
        self.w = self.add_weight(name="w", shape=(n1, n2), initializer="zeros")

    def rbm(self) -> RBM:
        """The prior as a value, without batch dimensions."""
        return RBM(*(tf.convert_to_tensor(v.value) for v in (self.b1, self.b2, self.w)))


def log_z_surrogate(theta: RBM, population: Population) -> tf.Tensor:
    """A scalar with the gradient of log Z_theta, estimated from samples of the prior.

    The gradient of log Z is -E_p[gradient of E] (DVAE++, section E). The value means nothing.

    Args:
      theta: the prior.
      population: C weighted samples of it.
    """
    z1, z2 = tf.stop_gradient(population.z1), tf.stop_gradient(population.z2)
    return -tf.reduce_sum(population.weights() * theta.energy(z1, z2))
