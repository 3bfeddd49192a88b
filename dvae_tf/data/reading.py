"""Reading files that may be damaged, and checking the arrays found in them."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from dvae_tf.data.dataset import DataError


@contextlib.contextmanager
def readable(path: Path, accepted: str) -> Iterator[None]:
    """Turns whatever the body raises into a DataError about the file at `path`."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # On damaged files, readers raise a dozen unrelated types.
        raise DataError(
            f"{path}: cannot be read ({reason(error)}); accepted: {accepted}"
        ) from error


def reason(error: Exception) -> str:
    """An exception's message, on one line and not too long, or its type if it has none."""
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = error.strerror  # Its full text repeats the path.
    return " ".join(message.split())[:200] or type(error).__name__


def read_npz(
    path: Path, names: Collection[str], required: Collection[str]
) -> dict[str, np.ndarray]:
    """Those of the arrays `names` that an .npz file holds; never unpickles.

    Raises:
      DataError: the file is missing or damaged, an array is one of Python objects, or a
        `required` one is missing.
    """
    accepted = f"an .npz file with the arrays {', '.join(names)} of numbers"
    with readable(path, accepted):
        # numpy.load takes any other file for a pickle, and suggests trusting it.
        if path.is_file() and not zipfile.is_zipfile(path):
            raise DataError(f"{path}: not a zip archive, or a truncated one; accepted: {accepted}")
        # Given a path, numpy.load leaves the file open if the archive's directory is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            require(path, archive.files, required)
            return {name: archive[name] for name in names if name in archive.files}


def require(path: Path, found: Collection[str], required: Collection[str]) -> None:
    """Raises DataError unless the file's arrays include those required."""
    missing = [name for name in required if name not in found]
    if missing:
        raise DataError(
            f"{path}: array {missing[0]!r} is missing; "
            f"found: {', '.join(map(repr, sorted(found))) or 'no arrays'}; "
            f"accepted: {', '.join(required)}"
        )


def check_pixels(array: np.ndarray, where: str) -> np.ndarray:
    """The array, if it is numeric, not empty and within [0, 1].

    Args:
      array: any shape.
      where: file and name, for the message.

    Raises:
      DataError: it is not; NaN and infinities are not within [0, 1] either.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "buif":
        raise DataError(f"{where} has dtype {array.dtype}; accepted: bool, integers or floats")
    if array.size == 0:
        raise DataError(f"{where} is empty, of shape {array.shape}; accepted: at least one image")
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
    return bool(((array == 0) | (array == 1)).all())
