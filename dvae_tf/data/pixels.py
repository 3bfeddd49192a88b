"""Checks of the images found in files."""

import numpy as np

from dvae_tf.data.dataset import DataError
from sampler.io.errors import expect
from sampler.io.reading import CHUNK, check_dtype


def check_pixels(array: np.ndarray, where: str) -> np.ndarray:
    """The array of any shape; DataError about `where` unless it is numeric, in [0, 1], not empty.

    NaN and infinities are not within [0, 1] either.
    """
    array = np.asarray(array)
    check_dtype(array.dtype, where)
    expect(array.size, where, f"no image, shape {array.shape}", "at least one", DataError)
    with np.errstate(invalid="ignore"):  # Signalling NaNs; a NaN is found out just below.
        low, high = float(array.min()), float(array.max())
    finite = np.isfinite([low, high]).all()
    expect(finite, where, "NaN or infinity", "pixels in [0, 1]", DataError)
    accepted = "pixels in [0, 1]" + "; divide 8-bit pixels by 255" * (high > 1)
    found = f"values from {low:.9g} to {high:.9g}"
    expect(low >= 0 and high <= 1, where, found, accepted, DataError)
    return array


def is_binary(array: np.ndarray) -> bool:
    """Whether every value is 0 or 1."""
    flat = array.ravel("K")
    parts = (flat[i : i + CHUNK] for i in range(0, flat.size, CHUNK))
    return all(bool(((part == 0) | (part == 1)).all()) for part in parts)
