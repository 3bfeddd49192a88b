"""A dataset is three arrays of images and a few words about them."""

from __future__ import annotations

import dataclasses

import numpy as np

from sampler.io.errors import FileError as DataError  # the readers' own, by the name it has here

__all__ = ["SPLITS", "DataError", "Dataset", "binarise"]

SPLITS = ("train", "valid", "test")

_BLOCK = 1 << 20
"""Pixels binarised at once."""


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images in three splits, one image per row, pixels row by row.

    Attributes:
      name: what `dvae_tf.data.load` accepts to load this dataset again.
      train: [N, D], uint8 in {0, 1}, or float32 in [0, 1] if `stochastic`.
      valid: [N, D], uint8 in {0, 1}.
      test: [N, D], uint8 in {0, 1}.
      image_shape: (height, width), D = height * width.
      stochastic: the train pixels are probabilities of a 1, to be binarised anew for each batch.

    Raises:
      DataError: a split is empty, or its width is not D.
    """

    name: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    image_shape: tuple[int, int]
    stochastic: bool

    def __post_init__(self) -> None:
        width = self.image_shape[0] * self.image_shape[1]
        for name in SPLITS:
            shape = self.split(name).shape
            if len(shape) != 2 or shape[0] == 0 or shape[1] != width:
                raise DataError(
                    f"{self.name}: split {name!r} has shape {shape}; "
                    f"accepted: [N, {width}] with N of at least 1"
                )

    def split(self, name: str) -> np.ndarray:
        """The images [N, D] of split 'train', 'valid' or 'test'; DataError for another name."""
        if name not in SPLITS:
            raise DataError(f"split {name!r} is unknown; accepted: {', '.join(SPLITS)}")
        images: np.ndarray = getattr(self, name)
        return images

    @property
    def train_mean(self) -> np.ndarray:
        """Mean of each pixel over the train split, float32 [D]."""
        mean: np.ndarray = self.train.mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)


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
