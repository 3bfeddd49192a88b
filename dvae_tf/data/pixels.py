"""Checks of the images found in files."""

from collections.abc import Iterator

import numpy as np

from sampler.io.errors import FileError as DataError
from sampler.io.errors import expect
from sampler.io.reading import CHUNK, check_dtype


def check_any(array: np.ndarray, where: str) -> None:
    """Raises DataError about `where` unless there are images."""
    expect(array.size, where, f"no image, shape {array.shape}", "at least one", DataError)


def check_pixels(array: np.ndarray, where: str) -> np.ndarray:
    """The array of any shape; DataError about `where` unless it is numeric, in [0, 1], not empty.

    NaN and infinities are not within [0, 1] either.
    """
    array = np.asarray(array)
    check_dtype(array.dtype, where)
    check_any(array, where)
    with np.errstate(invalid="ignore"):  # Signalling NaNs; a NaN is found out just below.
        low, high = float(array.min()), float(array.max())
    finite = np.isfinite([low, high]).all()
    expect(finite, where, "NaN or infinity", "pixels in [0, 1]", DataError)
    inside = low >= 0 and high <= 1
    hint = "" if inside or not is_eight_bit(array) else "; divide 8-bit pixels by 255"
    found = f"values from {low:.9g} to {high:.9g}"
    expect(inside, where, found, f"pixels in [0, 1]{hint}", DataError)
    return array


def is_eight_bit(array: np.ndarray, at_least: int = 128) -> bool:
    """Whether the values are whole numbers of 0 to 255, the largest of them in the upper half.

    Counts and a few grey levels are not taken for bytes.
    """
    if array.dtype.kind not in "uif" or not array.size:
        return False
    with np.errstate(invalid="ignore"):
        return bool(array.max() >= at_least) and all(
            bool(((part >= 0) & (part <= 255) & (part == np.floor(part))).all())
            for part in _parts(array)
        )


def is_binary(array: np.ndarray) -> bool:
    """Whether every value is 0 or 1."""
    return all(bool(((part == 0) | (part == 1)).all()) for part in _parts(array))


def _parts(array: np.ndarray) -> Iterator[np.ndarray]:
    flat = array.ravel("K")
    return (flat[i : i + CHUNK] for i in range(0, flat.size, CHUNK))


def check_bits(array: np.ndarray, where: str) -> None:
    """Raises DataError unless every pixel is 0 or 1, as a Bernoulli likelihood takes them."""
    if not is_binary(array):
        array = check_pixels(array, where)
        expect(False, where, "values between 0 and 1", "0 and 1 (`binarise`)", DataError)
