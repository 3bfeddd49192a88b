"""A dataset is three arrays of images and a few words about them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from typing import Any

import numpy as np

from dvae_tf.data import pixels
from sampler.io.errors import FileError as DataError  # the readers' own, by the name it has here

__all__ = ["SPLITS", "DataError", "Dataset", "binarise"]

SPLITS = ("train", "valid", "test")

_BLOCK = 1 << 20
"""Pixels binarised at once."""

_ROWS = 1024
"""Images hashed at once."""


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images in three splits, one image per row, pixels row by row.

    Attributes:
      name: what `dvae_tf.data.load` accepts to load this dataset again.
      train: [N, D], uint8 in {0, 1}, or float32 in [0, 1] if `stochastic`.
      valid: [N, D], uint8 in {0, 1}.
      test: [N, D], uint8 in {0, 1}.
      image_shape: (height, width), or (height, width, 3) in colour; D is their product.
      stochastic: the train pixels are probabilities of a 1, to be binarised anew for each batch.

    Raises:
      DataError: a split is empty, its width is not D, or a pixel is not what is said above.
    """

    name: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    image_shape: tuple[int, ...]
    stochastic: bool

    def __post_init__(self) -> None:
        width = math.prod(self.image_shape)
        for name in SPLITS:
            shape = self.split(name).shape
            if len(shape) != 2 or shape[0] == 0 or shape[1] != width:
                raise DataError(
                    f"{self.name}: split {name!r} has shape {shape}; "
                    f"accepted: [N, {width}] with N of at least 1"
                )
            stochastic = self.stochastic and name == "train"
            check = pixels.check_pixels if stochastic else pixels.check_bits
            check(self.split(name), f"{self.name}: images of split {name!r}")

    def split(self, name: str) -> np.ndarray:
        """The images [N, D] of split 'train', 'valid' or 'test'; DataError for another name."""
        if name not in SPLITS:
            raise DataError(f"split {name!r} is unknown; accepted: {', '.join(SPLITS)}")
        images: np.ndarray = getattr(self, name)
        return images

    @property
    def is_pictorial(self) -> bool:
        """Whether pictures show anything: rows of numbers are no images."""
        return min(self.image_shape[:2]) > 1

    @functools.cached_property
    def fingerprints(self) -> dict[str, Any]:
        """Of each split's images, by the names of `Config`'s fields: 16 hexadecimal digits."""
        return {f"{name}_images": _fingerprint(self.split(name)) for name in SPLITS}

    @property
    def train_mean(self) -> np.ndarray:
        """Mean of each pixel over the train split, float32 [D]."""
        mean: np.ndarray = self.train.mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)


def _fingerprint(images: np.ndarray) -> str:
    found = hashlib.sha256(f"{images.dtype.str} {images.shape}".encode())
    for row in range(0, len(images), _ROWS):
        found.update(np.ascontiguousarray(images[row : row + _ROWS]).data)
    return found.hexdigest()[:16]


def binarise(pixels: np.ndarray, seed: int) -> np.ndarray:
    """Bits that are 1 with probability `pixels`, fixed by the seed: uint8, of the pixels' shape.

    Pixels of exactly 0 and 1 are left as they are.
    """
    generator = random_state(seed)
    bits = np.empty(pixels.shape, np.uint8)
    # In blocks, as 8 bytes of noise per pixel may be many times the images.
    rows = max(1, _BLOCK * len(pixels) // max(1, pixels.size))
    for i in range(0, len(pixels), rows):
        block = pixels[i : i + rows]
        bits[i : i + rows] = block > generator.random_sample(block.shape)
    return bits


def random_state(seed: int) -> np.random.RandomState:
    """The generator behind every split and every binarisation.

    NumPy promises that RandomState's streams never change, and makes no such promise for
    `default_rng`; test sets must stay the same whatever NumPy is installed.
    """
    return np.random.RandomState(seed)
