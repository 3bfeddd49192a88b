"""The user's own images, from an .npz file."""

import math
from pathlib import Path

import numpy as np

from dvae_tf.data import pixels
from dvae_tf.data.dataset import SPLITS, DataError, Dataset, binarise, random_state
from sampler.io.errors import expect
from sampler.io.npz import read_npz

HELD_OUT = 0.1
"""Fraction of the train images that goes into each missing split."""


def load(path: Path) -> Dataset:
    """Reads the arrays `train`, `valid` and `test` of an .npz file, each [N, D] or [N, H, W].

    Values are bool, integers or floats in [0, 1]. If all are 0 or 1, the dataset is binary;
    otherwise it is `stochastic`: train is float32, and valid and test are binarised once, with
    fixed seeds. If `valid` or `test` is missing, a tenth of the train images, chosen with a fixed
    seed, takes its place and leaves the train split. Images [N, D] are taken for squares where D
    is a square, and for a single row of pixels where it is not.

    Raises:
      DataError: the file cannot be read, has no `train`, the splits' images differ in shape, or
        an array is empty, not numeric, or not within [0, 1].
    """
    arrays = read_npz(path, SPLITS, required=["train"])
    arrays = {name: pixels.check_pixels(a, f"{path}: array {name!r}") for name, a in arrays.items()}
    _check_shapes(path, arrays)
    image_shape = _image_shape(arrays["train"].shape[1:])
    arrays = {name: array.reshape(len(array), -1) for name, array in arrays.items()}
    arrays = _fill_in(path, arrays)
    stochastic = not all(map(pixels.is_binary, arrays.values()))
    return Dataset(
        name=str(path),
        train=arrays["train"].astype(np.float32 if stochastic else np.uint8, copy=False),
        valid=binarise(arrays["valid"], seed=0),
        test=binarise(arrays["test"], seed=1),
        image_shape=image_shape,
        stochastic=stochastic,
    )


def _check_shapes(path: Path, arrays: dict[str, np.ndarray]) -> None:
    expected = arrays["train"].shape[1:]
    for name, array in arrays.items():
        where, found = f"{path}: array {name!r}", f"shape {array.shape}"
        expect(len(expected) in (1, 2), where, found, "[N, D] or [N, H, W]", DataError)
        accepted = f"images of shape {expected} like those of 'train'"
        expect(array.shape[1:] == expected, where, found, accepted, DataError)


def _image_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """(height, width) of images of shape (D,) or (H, W)."""
    if len(shape) == 2:
        return shape[0], shape[1]
    side = math.isqrt(shape[0])
    return (side, side) if side * side == shape[0] else (1, shape[0])


def _fill_in(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays, with each missing split cut from 'train'."""
    missing = [name for name in SPLITS if name not in arrays]
    train = arrays["train"]
    count = max(1, round(HELD_OUT * len(train)))
    enough = len(train) > count * len(missing)
    found = f"{len(train)} images, too few to take {' and '.join(missing)} from"
    accepted = f"at least {len(missing) + 1}"
    expect(enough, f"{path}: array 'train'", found, accepted, DataError)
    order = random_state(0).permutation(len(train))
    filled = {name: train[order[i * count :][:count]] for i, name in enumerate(missing)}
    kept = np.sort(order[len(missing) * count :])
    return {**arrays, **filled, "train": train[kept]}
