"""The encoder's trunk and the decoder: fully connected, batch norm before tanh, as in the paper."""

import zlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from dvae_tf import replicas
from dvae_tf.likelihoods import registered

_PARTS = 4

LOGITS_SCALE = 3.0
"""Factor of the pixels' logits; their initial kernel is divided by it.

The function at the start is unchanged, but Adam, whose steps do not depend on a gradient's size,
moves the logits three times as far: at the paper's learning rate, short runs wait for that layer.
"""


@registered
class BatchNorm(keras.layers.BatchNormalization):
    """Keras' batch norm of [B, units] with the paper's settings and a gradient written out.

    The gradient that autodiff composes goes over [B, units] several times more, which shows where
    the units are the couplings of all pairs. Of several replicas, each with its part of a batch,
    the statistics are those of the whole batch.

    Args:
      factor: of the outputs.
    """

    def __init__(self, factor: float = 1.0, **kwargs: object):
        super().__init__(**{"momentum": 0.99, "epsilon": 1e-2, **kwargs})
        self.factor = factor

    def get_config(self) -> dict[str, object]:
        """Keras' own, and the factor."""
        return {**super().get_config(), "factor": self.factor}

    def add_weight(self, *args: object, **kwargs: object) -> keras.Variable:
        """Keras' own; the moving averages come out equal in all replicas, so any one will do."""
        if not kwargs.get("trainable", True):
            kwargs["aggregation"] = "only_first_replica"
        return super().add_weight(*args, **kwargs)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Normalises by the batch's statistics in training, by the moving averages otherwise."""
        if not training:
            return self.factor * super().call(inputs, training=False)
        gamma, beta = self.factor * self.gamma, self.factor * self.beta
        outputs, mean, variance = _normalise(inputs, gamma, beta, self.epsilon)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * value)
        return outputs


def _normalise(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta over the first axis, mean and variance.

    The gradients of gamma and beta are a replica's own, to be averaged with all others.
    """

    @tf.custom_gradient
    def normalise(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tuple:
        mean = replicas.average(tf.reduce_mean(x, 0))
        centred = x - mean
        size = tf.cast(tf.shape(x)[0], x.dtype)
        variance = replicas.average(_sum_rows(centred**2) / size)
        inverse = tf.math.rsqrt(variance + epsilon)

        def gradient(dy: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            dbeta = tf.reduce_sum(dy, 0)
            dgamma = inverse * _sum_rows(dy * centred)
            of_all = replicas.average(tf.stack([dbeta, dgamma]))
            shift, slope = of_all[0] / size, inverse * of_all[1] / size
            return gamma * inverse * (dy - shift - slope * centred), dgamma, dbeta

        return (centred * (gamma * inverse) + beta, mean, variance), gradient

    return normalise(x, gamma, beta)


def _sum_rows(x: tf.Tensor) -> tf.Tensor:
    """Sum over the first axis, in parts: XLA then writes no product to memory before adding up."""
    ends = [x.shape[0] * i // _PARTS for i in range(_PARTS + 1)]
    return tf.add_n([tf.reduce_sum(x[a:b], 0) for a, b in zip(ends, ends[1:], strict=False)])


def dense(units: int, use_bias: bool, name: str, seed: int) -> keras.layers.Dense:
    """A linear layer with He's initial kernel."""
    kernel = _he_kernel(name, seed)
    return keras.layers.Dense(units, use_bias=use_bias, kernel_initializer=kernel, name=name)


def _he_kernel(name: str, seed: int, divisor: float = 1.0) -> keras.Initializer:
    """He's truncated normal (fan-in, scale 2) / divisor; depends on the seed and the name alone."""
    kernel_seed = zlib.crc32(f"{seed} {name}".encode())
    return keras.initializers.VarianceScaling(2 / divisor**2, seed=kernel_seed)


def trunk(hidden: Sequence[int], name: str, seed: int) -> keras.Sequential:
    """Layers of dense (without bias), batch norm, tanh: [B, inputs] -> [B, hidden[-1]]."""
    layers: list[keras.Layer] = []
    for i, units in enumerate(hidden):
        layers += [
            dense(units, use_bias=False, name=f"{name}_dense_{i}", seed=seed),
            BatchNorm(name=f"batch_norm_{i}"),
            keras.layers.Activation("tanh", name=f"tanh_{i}"),
        ]
    return keras.Sequential(layers, name=name)


def perceptron(hidden: Sequence[int], units: int, name: str, seed: int) -> keras.Sequential:
    """Hidden layers as in `trunk`, if any, and a linear layer: [B, inputs] -> [B, units]."""
    network = trunk(hidden, name, seed)
    network.add(dense(units, use_bias=True, name=name, seed=seed))
    return network


@registered
class ScaledDense(keras.layers.Dense):
    """A linear layer times `LOGITS_SCALE`: [B, inputs] -> [B, units]."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """The layer's outputs."""
        return LOGITS_SCALE * super().call(inputs, training=training)


@registered
class Offset(keras.layers.Layer):
    """Adds constants, [units], to inputs [B, units]; no variables."""

    def __init__(self, values: Sequence[float] | np.ndarray, **kwargs: object):
        super().__init__(**kwargs)
        self.values = np.asarray(values, np.float32)

    def get_config(self) -> dict[str, object]:
        """Keras' own, and the constants."""
        return {**super().get_config(), "values": self.values.tolist()}

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The sum."""
        return inputs + self.values


def encoder(hidden: Sequence[int], pixel_mean: np.ndarray, seed: int) -> keras.Sequential:
    """Images [B, D] less the training images' mean, and a trunk if there are hidden layers."""
    network = trunk(hidden, "encoder", seed)
    centred = keras.Sequential([Offset(-pixel_mean, name="centre")], name="encoder")
    for layer in network.layers:
        centred.add(layer)
    return centred


def decoder(hidden: Sequence[int], pixel_mean: np.ndarray, seed: int) -> keras.Sequential:
    """A trunk and a linear layer: [B, n1 + n2] -> pixels' logits [B, D].

    To these the logit of the training images' mean is added, clipped to [.001, .999].
    """
    network = trunk(hidden, "decoder", seed)
    clipped = np.clip(pixel_mean, 1e-3, 1 - 1e-3)
    kernel = _he_kernel("logits", seed, divisor=LOGITS_SCALE)
    network.add(ScaledDense(len(pixel_mean), kernel_initializer=kernel, name="logits"))
    network.add(Offset(np.log(clipped / (1 - clipped)), name="logit_mean"))
    return network
