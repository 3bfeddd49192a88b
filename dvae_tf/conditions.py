"""What a conditional model is told beside the latents, and which part of the data is which."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from dvae_tf.likelihoods import numbers, registered
from sampler.io.errors import expect, expect_sizes, expect_whole


class Parts(NamedTuple):
    """A batch of data, taken apart.

    Attributes:
      inputs: what the encoder sees, a tensor or a list of them.
      targets: what the likelihood scores, [B, *shape].
      given: what the decoder sees beside the latents, [B, *shape]; None if nothing.
    """

    inputs: Any
    targets: tf.Tensor
    given: tf.Tensor | None = None


class Condition:
    """c of p(x | z, c) p(z) and q(z | x, c); or, without a prior, of p(x | z) q(z | c).

    The encoder takes [x, c] (without a prior c alone), the decoder [z, c] (or z alone).

    Attributes:
      shape: of what the networks are given of c.
      units: of the prior, behind the latents, which hold c.
    """

    shape: tuple[int, ...]
    units: int = 0

    def check(self, c: Any, name: str = "condition") -> np.ndarray:
        """c as it is kept; ValueError, naming it, for what can't be one."""
        raise NotImplementedError

    def features(self, c: tf.Tensor) -> tf.Tensor:
        """What the networks are given, float32 [B, *shape]."""
        return tf.cast(c, tf.float32)

    def get_config(self) -> dict[str, Any]:
        """Arguments of an equal condition."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Condition:
        """The condition of `get_config`'s arguments."""
        return cls(**config)


@registered
class Labels(Condition):
    """Class labels 0 ... q - 1, [B]; the networks are given them one-hot, [B, q].

    Args:
      num_classes: q.
    """

    def __init__(self, num_classes: int):
        expect_whole(num_classes, "num_classes", 2)
        self.num_classes, self.shape = num_classes, (num_classes,)

    def get_config(self) -> dict[str, Any]:
        """The number of classes."""
        return {"num_classes": self.num_classes}

    def check(self, c: Any, name: str = "condition") -> np.ndarray:
        """int32 [B]; see `Condition.check`."""
        c = numbers(c, name)
        fits = c.ndim == 1 and bool(((c >= 0) & (c < self.num_classes) & (c == np.round(c))).all())
        if not fits:
            raise ValueError(
                f"{name}: found shape {c.shape} and numbers from {float(c.min()):g} to "
                f"{float(c.max()):g}; accepted by Labels({self.num_classes}): a label for each "
                f"image, integers 0 to {self.num_classes - 1}"
            )
        return c.astype(np.int32)

    def features(self, c: tf.Tensor) -> tf.Tensor:
        """One-hot, [B, q]; what is so already is left."""
        if len(c.shape) == 2:
            return tf.cast(c, tf.float32)
        return tf.one_hot(tf.cast(c, tf.int32), self.num_classes)


@registered
class LabelUnits(Labels):
    """Class labels whose one-hot code is held by units of the prior: a model p(x | z, c) p(z, c).

    The prior has `num_classes` units more than there are latents, the last ones, and the decoder
    that much more to see, [z, c] in one. Likelihoods are of images and labels together: log
    p(x, c). Samples of a class are the prior's with these units clamped.
    """

    def __init__(self, num_classes: int):
        super().__init__(num_classes)
        self.units = num_classes


@registered
class Given(Condition):
    """Arrays of numbers, as they are: another image, the known part of one, measurements.

    Args:
      shape: of one.
    """

    def __init__(self, shape: tuple[int, ...]):
        expect_sizes(shape, "shape", "(28, 28)")
        self.shape = tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """The shape."""
        return {"shape": list(self.shape)}

    def check(self, c: Any, name: str = "condition") -> np.ndarray:
        """float32 (bytes stay bytes); see `Condition.check`."""
        c = numbers(c, name)
        if c.shape[1:] != self.shape:
            raise ValueError(
                f"{name}: found shape {c.shape}; accepted by Given({self.shape}): [B, "
                f"{', '.join(map(str, self.shape))}]"
            )
        return c if c.dtype == np.uint8 else c.astype(np.float32)


@registered
class TopHalf(Condition):
    """The first half of the pixels of images [B, D], from which the rest is predicted.

    Needs no second array: data are whole images. For models without a prior.
    """

    shape = ()

    def check(self, c: Any, name: str = "condition") -> np.ndarray:
        """There is none to be handed in."""
        raise ValueError(f"{name}: found one; accepted by TopHalf: whole images alone, as x")

    def get_config(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def held(condition: Condition | None, z: tf.Tensor, given: tf.Tensor | None) -> tf.Tensor:
    """What the prior's units hold: z [B, K, n], and behind it c [B, q] where they hold that too."""
    if condition is None or not condition.units or given is None:
        return z
    c = given[:, None] + tf.zeros_like(z[..., :1])
    return tf.concat([z, c], -1)


def split(condition: Condition | None, has_prior: bool, data: Any) -> Parts:
    """The parts of data: images x, or a pair (x, c) where a condition is handed in."""
    if condition is None:
        return Parts(data, data)
    if isinstance(condition, TopHalf):
        half = data.shape[-1] // 2
        expect(half, "x", "images with a last axis of 1", "flat images of 2 pixels or more")
        return Parts(data[..., :half], data[..., half:])
    x, c = data
    features = condition.features(c)
    return Parts([x, features], x, features) if has_prior else Parts(features, x, features)
