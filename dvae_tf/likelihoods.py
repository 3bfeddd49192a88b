"""Likelihoods p(x | z): what the decoder's outputs mean, and which images they can explain.

A new one is a subclass of `Likelihood`; images may have any shape.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dvae_tf.data import dataset
from sampler import seeds
from sampler.io.errors import expect, expect_number, expect_whole, reason

LEAST = 1e-3
"""Of probabilities that are estimated by frequencies, as in the paper."""

registered = keras.saving.register_keras_serializable(package="dvae_tf")


class Likelihood:
    """Pixels that are independent given the decoder's outputs; a subclass brings all that raises.

    Keras saves it by its name and `get_config`.
    """

    def output_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a decoder's outputs for an image of `image_shape`."""
        return image_shape

    def check(self, x: Any, name: str = "x", binarises: bool = False) -> np.ndarray:
        """The images as they are kept, if this likelihood accepts their values.

        Args:
          x: array of numbers, any shape.
          name: of the argument, for the message.
          binarises: whether what is done with the images binarises probabilities of a 1.

        Raises:
          ValueError: one line: what was found, and what is accepted.
        """
        raise NotImplementedError

    def accepts(self, x: tf.Tensor, exactly: bool) -> tuple[tf.Tensor, str]:
        """`check` inside a graph: whether it accepts the values, and what it accepts.

        Args:
          exactly: whether x is scored; else also what batches are made from, or means.
        """
        del exactly
        return tf.reduce_all(tf.math.is_finite(x)), "finite numbers"

    def prepare(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Images of a training batch as float32, from what `check` returned."""
        del seed
        return tf.cast(x, tf.float32)

    def offset(self, x: np.ndarray) -> np.ndarray:
        """The outputs, of `output_shape`, that explain images x [N, *shape] without any latent.

        A model adds them to its decoder's; zeros where a likelihood knows none.
        """
        return np.zeros(self.output_shape(x.shape[1:]))

    def log_prob(self, x: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """log p of each pixel, nats; the leading dimensions of x and outputs broadcast."""
        raise NotImplementedError

    def total(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """log p(x | z), [B, K], of images [B, *shape] and a decoder's outputs [B, K, ...]."""
        log_prob = self.log_prob(targets[:, None], outputs)
        return tf.reduce_sum(log_prob, range(2, log_prob.shape.rank))

    def mean(self, outputs: tf.Tensor) -> tf.Tensor:
        """E[x | z], of the images' shape."""
        raise NotImplementedError

    def sample(self, outputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """x ~ p(x | z), float32, of the images' shape."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Arguments of an equal likelihood."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Likelihood:
        """The likelihood of `get_config`'s arguments."""
        return cls(**config)


@registered
class Bernoulli(Likelihood):
    """Pixels in {0, 1}; the decoder gives their logits.

    Training images may also be probabilities in [0, 1], of which each batch is binarised anew.
    """

    def check(self, x: Any, name: str = "x", binarises: bool = False) -> np.ndarray:
        """uint8 for bits, float32 for probabilities; see `Likelihood.check`."""
        x = numbers(x, name)
        low, high = float(x.min()), float(x.max())
        whole = x.dtype.kind in "biu"  # a range tells, and quickly
        bits = low >= 0 and high <= 1 and (whole or bool(((x == 0) | (x == 1)).all()))
        if not bits and not (binarises and low >= 0 and high <= 1):
            accepted = "0 and 1 alone; see dvae_tf.binarise"
            hint = "; divide 8-bit pixels by 255" if 128 <= high <= 255 and low >= 0 else ""
            if binarises:
                accepted = f"bits, or probabilities in [0, 1]{hint}"
            raise ValueError(
                f"{name}: found numbers from {low:g} to {high:g}; accepted by Bernoulli: {accepted}"
            )
        return x.astype(np.uint8 if bits else np.float32)

    def accepts(self, x: tf.Tensor, exactly: bool) -> tuple[tf.Tensor, str]:
        """0 and 1, or between."""
        if exactly:
            return tf.reduce_all((x == 0) | (x == 1)), "0 and 1"
        return tf.reduce_all((x >= 0) & (x <= 1)), "0 to 1"

    def prepare(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Bits as they are, probabilities binarised."""
        if x.dtype == tf.uint8:
            return tf.cast(x, tf.float32)
        return tf.cast(seeds.uniform(seed, x.shape.as_list()) < x, tf.float32)

    def offset(self, x: np.ndarray) -> np.ndarray:
        """Logits of the pixels' means."""
        mean = np.clip(x.mean(0, dtype=np.float64), LEAST, 1 - LEAST)
        return np.log(mean / (1 - mean))

    def log_prob(self, x: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """x logit - log(1 + exp(logit)) of each pixel."""
        return x * outputs - tf.nn.softplus(outputs)

    def mean(self, outputs: tf.Tensor) -> tf.Tensor:
        """The pixels' probabilities."""
        return tf.sigmoid(outputs)

    def sample(self, outputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Bits."""
        uniform = seeds.uniform(seed, tf.shape(outputs))
        return tf.cast(uniform < tf.sigmoid(outputs), tf.float32)


@registered
class Normal(Likelihood):
    """Real-valued pixels, normally distributed about the decoder's outputs.

    Args:
      scale: the standard deviation of all pixels; None lets the decoder give each pixel's beside
        its mean: its last axis is twice the images', means first, then what softplus turns into
        standard deviations.

    Raises:
      ValueError: a scale that is not positive.
    """

    LEAST_SCALE = 1e-3
    """Added to a decoder's standard deviations: a density may not grow without bound."""

    def __init__(self, scale: float | None = 1.0):
        if scale is not None:
            expect_number(scale, "scale", positive=True)
        self.scale = scale

    def get_config(self) -> dict[str, Any]:
        """The scale."""
        return {"scale": self.scale}

    def output_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The images' shape; twice its last axis where the decoder gives the scales."""
        if self.scale is not None:
            return image_shape
        return *image_shape[:-1], 2 * image_shape[-1]

    def check(self, x: Any, name: str = "x", binarises: bool = False) -> np.ndarray:
        """float32; see `Likelihood.check`."""
        return numbers(x, name).astype(np.float32)

    def offset(self, x: np.ndarray) -> np.ndarray:
        """The pixels' means; nothing of the scales."""
        found = super().offset(x)
        found[..., : x.shape[-1]] = x.mean(0, dtype=np.float64)
        return found

    def _parameters(self, outputs: tf.Tensor) -> tuple[tf.Tensor, Any]:
        if self.scale is not None:
            return outputs, tf.constant(self.scale, outputs.dtype)
        mean, raw = tf.split(outputs, 2, -1)
        return mean, tf.nn.softplus(raw) + self.LEAST_SCALE

    def log_prob(self, x: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """log density of each pixel."""
        mean, scale = self._parameters(outputs)
        return -0.5 * ((x - mean) / scale) ** 2 - tf.math.log(scale) - 0.5 * math.log(2 * math.pi)

    def mean(self, outputs: tf.Tensor) -> tf.Tensor:
        """The means."""
        return self._parameters(outputs)[0]

    def sample(self, outputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Real numbers."""
        mean, scale = self._parameters(outputs)
        return mean + scale * seeds.normal(seed, tf.shape(mean))


@registered
class Categorical(Likelihood):
    """Pixels that are integers 0 ... q - 1; the decoder gives logits [..., q] of each.

    Args:
      num_classes: q, at least 2.

    Raises:
      ValueError: fewer classes.
    """

    def __init__(self, num_classes: int):
        expect_whole(num_classes, "num_classes", 2)
        self.num_classes = num_classes

    def get_config(self) -> dict[str, Any]:
        """The number of classes."""
        return {"num_classes": self.num_classes}

    def output_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The images' shape and one axis more, of q logits."""
        return *image_shape, self.num_classes

    def check(self, x: Any, name: str = "x", binarises: bool = False) -> np.ndarray:
        """uint8 or int32; see `Likelihood.check`."""
        x, last = numbers(x, name), self.num_classes - 1
        if x.min() < 0 or x.max() > last or bool((x != np.round(x)).any()):
            raise ValueError(
                f"{name}: found numbers from {float(x.min()):g} to {float(x.max()):g}"
                f"{', some not whole' if bool((x != np.round(x)).any()) else ''}; accepted by "
                f"Categorical({self.num_classes}): integers 0 to {last}"
            )
        return x.astype(np.uint8 if last < 256 else np.int32)

    def accepts(self, x: tf.Tensor, exactly: bool) -> tuple[tf.Tensor, str]:
        """The integers, where they are scored."""
        last = self.num_classes - 1
        if not exactly:
            return super().accepts(tf.cast(x, tf.float32), exactly)
        x = tf.cast(x, tf.float32)
        return tf.reduce_all((x >= 0) & (x <= last) & (x == tf.round(x))), f"integers 0 to {last}"

    def offset(self, x: np.ndarray) -> np.ndarray:
        """Logarithms of the classes' frequencies."""
        found = np.stack([(x == k).mean(0) for k in range(self.num_classes)], -1)
        return np.log(np.maximum(found, LEAST))

    def log_prob(self, x: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """log probability of each pixel's class."""
        chosen = tf.one_hot(tf.cast(x, tf.int32), self.num_classes, dtype=outputs.dtype)
        return tf.reduce_sum(chosen * tf.nn.log_softmax(outputs), -1)

    def mean(self, outputs: tf.Tensor) -> tf.Tensor:
        """The mean of the integers, as of grey levels."""
        levels = tf.range(self.num_classes, dtype=outputs.dtype)
        # not by softmax, of which TensorFlow's kernel for CPUs takes five dimensions at most
        return tf.reduce_sum(tf.exp(tf.nn.log_softmax(outputs)) * levels, -1)

    def sample(self, outputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Integers, as float32."""
        noise = -tf.math.log(-tf.math.log(seeds.uniform(seed, tf.shape(outputs))))
        return tf.cast(tf.argmax(outputs + noise, -1), tf.float32)


def numbers(x: Any, name: str) -> np.ndarray:
    """A finite, non-empty array of numbers; ValueError, naming it, for anything else."""
    masked = np.ma.is_masked(x)
    try:
        x = np.asarray(x)
    except ValueError as error:  # rows of several lengths
        raise ValueError(f"{name}: found no array ({reason(error)}); accepted: numbers") from None
    if masked:
        raise ValueError(f"{name}: found a masked array; accepted: numbers everywhere")
    if x.dtype.kind not in "biuf" or x.size == 0:
        what = f"an array of {x.dtype} and shape {x.shape}"
        if x.dtype.kind == "O" and not x.shape:
            what = f"a {type(x.item()).__name__}, which is no array"
        raise ValueError(f"{name}: found {what}; accepted: numbers, one image or more")
    with np.errstate(over="ignore"):  # all is computed in 32 bits
        finite = x.dtype.kind != "f" or np.isfinite(x.astype(np.float32, copy=False)).all()
    if not finite:
        raise ValueError(f"{name}: found NaN or infinity; accepted: finite numbers")
    return x


def binarise(x: Any, seed: int) -> np.ndarray:
    """Bits that are 1 with the probabilities x in [0, 1], fixed by the seed: uint8, of x's shape.

    Raises:
      ValueError: numbers outside [0, 1]; a seed that is no integer of 32 bits.
    """
    x = Bernoulli().check(x, binarises=True)
    expect_whole(seed, "seed", 0)
    expect(seed < 2**32, "seed", seed, "less than 2^32")
    return dataset.binarise(x, seed)
