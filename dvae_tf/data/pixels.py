"""Checks of the images found in files."""

from __future__ import annotations

import numpy as np

from dvae_tf.data.dataset import DataError
from sampler.io.reading import CHUNK, check_dtype


def check_pixels(array: np.ndarray, where: str) -> np.ndarray:
    """The array, if it is numeric, not empty and within [0, 1].

    Args:
      array: any shape.
      where: file and name, for the message.

    Raises:
      DataError: it is not; NaN and infinities are not within [0, 1] either.
    """
    array = np.asarray(array)
    check_dtype(array.dtype, where)
    if array.size == 0:
        raise DataError(f"{where} is empty, of shape {array.shape}; accepted: at least one image")
    with np.errstate(invalid="ignore"):  # Signalling NaNs; a NaN is found out just below.
        low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise DataError(f"{where} contains NaN or infinity; accepted: pixels in [0, 1]")
    if low < 0 or high > 1:
        hint = "; divide 8-bit pixels by 255" if high > 1 else ""
        raise DataError(
            f"{where} has values from {low:.9g} to {high:.9g}; accepted: pixels in [0, 1]{hint}"
        )
    return array


def is_binary(array: np.ndarray) -> bool:
    """Whether every value is 0 or 1."""
    flat = array.ravel("K")
    parts = (flat[i : i + CHUNK] for i in range(0, flat.size, CHUNK))
    return all(bool(((part == 0) | (part == 1)).all()) for part in parts)
