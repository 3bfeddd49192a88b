"""The encoder's trunk and the decoder: fully connected, batch norm before tanh, as in the paper."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import keras
import tensorflow as tf

LOGITS_SCALE = 3.0
"""Factor of the pixels' logits; their initial kernel is divided by it.

The function at the start is unchanged, but Adam, whose steps do not depend on a gradient's size,
moves the logits three times as far: at the paper's learning rate, short runs wait for that layer.
"""


def batch_norm(**kwargs: object) -> keras.layers.BatchNormalization:
    """Batch norm with the paper's settings."""
    return keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-2, **kwargs)


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
            batch_norm(name=f"batch_norm_{i}"),
            keras.layers.Activation("tanh", name=f"tanh_{i}"),
        ]
    return keras.Sequential(layers, name=name)


class ScaledDense(keras.layers.Dense):
    """A linear layer times `LOGITS_SCALE`: [B, inputs] -> [B, units]."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """The layer's outputs."""
        return LOGITS_SCALE * super().call(inputs, training=training)


def decoder(hidden: Sequence[int], outputs: int, seed: int) -> keras.Sequential:
    """A trunk and a linear layer: [B, n1 + n2] -> pixels' logits [B, outputs]."""
    network = trunk(hidden, "decoder", seed)
    kernel = _he_kernel("logits", seed, divisor=LOGITS_SCALE)
    network.add(ScaledDense(outputs, kernel_initializer=kernel, name="logits"))
    return network
