"""The user's own images, from an .npz or .npy file."""

import math
from pathlib import Path

import numpy as np

from dvae_tf.data import pixels
from dvae_tf.data.dataset import SPLITS, DataError, Dataset, binarise, random_state
from dvae_tf.progress import say
from sampler.io import reading
from sampler.io.errors import expect
from sampler.io.npz import names_of, read_npy, read_npz

HELD_OUT = 0.1
"""Fraction of the train images that goes into each missing split."""

NAMES = {
    "train": ("train", "x_train", "train_images", "images", "data", "arr_0"),
    "valid": ("valid", "x_valid", "valid_images", "val", "x_val", "val_images"),
    "test": ("test", "x_test", "test_images"),
}
"""What an .npz file may call the splits, in capitals too; arr_0 is what has no name."""

_ACCEPTED = "[N, D], [N, H, W], [N, H, W, channels] or [N, channels, H, W], 1 or 3 channels"


def load(path: Path) -> Dataset:
    """Reads the splits of an .npz file, by any of their `NAMES`, or the train images of an .npy.

    Images are [N, D], [N, H, W], [N, H, W, channels] or [N, channels, H, W]. Values are bool,
    integers or floats in [0, 1], or 0 to 255, which are scaled (said on standard error). If all are
    0 or 1, the dataset is binary; otherwise it is `stochastic`: train is float32, and valid and
    test are binarised once, with fixed seeds. If `valid` or `test` is missing, a tenth of the train
    images, chosen with a fixed seed, takes its place and leaves the train split. Images [N, D] are
    taken for squares where D is a square, and for a single row of pixels where it is not.

    Raises:
      DataError: the file cannot be read, has no `train`, the splits' images differ in shape, or
        an array is empty, not numeric, or not within [0, 1].
    """
    if path.suffix.lower() == ".npy":
        return build(str(path), {"train": read_npy(path)}, dict.fromkeys(SPLITS, str(path)))
    found = names_of(path, "an .npz file with the arrays train, valid, test of numbers")
    lower = {name.lower(): name for name in found}
    names = {s: next((lower[n] for n in NAMES[s] if n in lower), s) for s in SPLITS}
    accepted = f"train images by the name {', '.join(NAMES['train'])}"
    fit = names["train"] in found
    expect(fit, str(path), f"the arrays {reading.listed(found)}", accepted, DataError)
    arrays = read_npz(path, [*names.values()], required=[names["train"]])
    where = {split: f"{path}: array {name!r}" for split, name in names.items()}
    return build(str(path), {s: arrays[n] for s, n in names.items() if n in arrays}, where)


def build(name: str, arrays: dict[str, np.ndarray], where: dict[str, str]) -> Dataset:
    """A dataset of arrays by split, as `load` describes; `where` names each for messages."""
    arrays = _scaled(name, arrays, where)
    image_shape = _check_shapes(arrays, where)
    arrays = {s: _channels_last(a).reshape(len(a), -1) for s, a in arrays.items()}
    arrays = _fill_in(arrays, where["train"])
    stochastic = not all(map(pixels.is_binary, arrays.values()))
    return Dataset(
        name=name,
        train=arrays.pop("train").astype(np.float32 if stochastic else np.uint8, copy=False),
        valid=binarise(arrays["valid"], seed=0),
        test=binarise(arrays["test"], seed=1),
        image_shape=image_shape,
        stochastic=stochastic,
    )


def _scaled(
    name: str, arrays: dict[str, np.ndarray], where: dict[str, str]
) -> dict[str, np.ndarray]:
    """The arrays in [0, 1]: as they are, or, all of them, 0 to 255 scaled.

    Where one is of bytes the others are, too, however dark, unless they may be bits.
    """
    for split, array in arrays.items():
        pixels.check_any(array, where[split])
    least = 2 if any(map(pixels.is_eight_bit, arrays.values())) else 128
    if not all(pixels.is_eight_bit(a, least) for a in arrays.values()):
        return {split: pixels.check_pixels(a, where[split]) for split, a in arrays.items()}
    say(f"{name}: pixels from 0 to 255, taken for 8-bit ones and divided by 255")
    return {split: np.divide(a, 255, dtype=np.float32) for split, a in arrays.items()}


def _check_shapes(arrays: dict[str, np.ndarray], where: dict[str, str]) -> tuple[int, ...]:
    """(height, width), or with the channels of colour images; DataError for others."""
    expected, shape = arrays["train"].shape[1:], _channels_last(arrays["train"]).shape[1:]
    fits = len(expected) in (1, 2, 3) and shape[2:] in ((), (1,), (3,))
    for split, array in arrays.items():
        found = f"shape {array.shape}"
        expect(fits, where[split], found, _ACCEPTED, DataError)
        accepted = f"images of shape {expected} like those of 'train'"
        expect(array.shape[1:] == expected, where[split], found, accepted, DataError)
    if len(expected) == 1:
        side = math.isqrt(expected[0])
        return (side, side) if side * side == expected[0] else (1, expected[0])
    return shape if shape[2:] == (3,) else shape[:2]


def _channels_last(images: np.ndarray) -> np.ndarray:
    """Images [N, channels, H, W] as [N, H, W, channels]; others as they are."""
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        return np.moveaxis(images, 1, 3)
    return images


def _fill_in(arrays: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """The arrays, with each missing split cut from 'train'."""
    missing = [name for name in SPLITS if name not in arrays]
    if not missing:
        return arrays
    train = arrays["train"]
    count = max(1, round(HELD_OUT * len(train)))
    enough = len(train) > count * len(missing)
    found = f"{len(train)} images, too few to take {' and '.join(missing)} from"
    expect(enough, where, found, f"at least {len(missing) + 1}", DataError)
    order = random_state(0).permutation(len(train))
    filled = {name: train[order[i * count :][:count]] for i, name in enumerate(missing)}
    kept = np.sort(order[len(missing) * count :])
    return {**arrays, **filled, "train": train[kept]}
