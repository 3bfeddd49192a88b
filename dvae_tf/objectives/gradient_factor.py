"""A factor on a gradient, known only once the function has been computed."""

from collections.abc import Callable

import tensorflow as tf


class GradientFactor:
    """Identity on tensors of which the gradient is multiplied by a factor that is set later.

    The doubly reparameterised gradient weighs what arrives at a sample by the sample's importance
    weight, which is a function of the sample. A factor that is looked up when the gradient is taken
    gets by with one pass through the decoder. Without `set` the gradient passes unchanged.
    """

    def __init__(self) -> None:
        self._factor: tf.Tensor | None = None

    def set(self, factor: tf.Tensor) -> None:
        """The factor, which broadcasts with the tensors."""
        self._factor = factor

    def apply(self, tensor: tf.Tensor) -> tf.Tensor:
        """The tensor itself."""

        @tf.custom_gradient
        def identity(values: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                return upstream if self._factor is None else upstream * self._factor

            return tf.identity(values), gradient

        return identity(tensor)
