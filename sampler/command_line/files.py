"""RBMs from .npz files, and samples into them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sampler.io.errors import FileError, reason
from sampler.io.npz import read_npz

ARRAYS = ("b1", "b2", "w")
ACCEPTED = "an .npz with the arrays b1 [..., n1], b2 [..., n2] and w [..., n1, n2]"


def read_parameters(path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """b1, b2 and w of an .npz file as float32, of whatever shapes it has; never unpickles.

    Raises:
      FileError: the file is missing or damaged, or an array is missing or not of real numbers.
    """
    arrays = read_npz(Path(path), ARRAYS, ARRAYS)
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused as such
        b1, b2, w = (arrays[name].astype(np.float32) for name in ARRAYS)
    return b1, b2, w


def check_output(path: str | None) -> None:
    """Raises FileError unless `path` ends in .npz and lies in a folder that can be written to."""
    if path is None or Path(path).suffix != ".npz":
        raise FileError(f"--output: found {path or 'none'}; accepted: a path that ends in .npz")
    folder = Path(path).parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or Path(path).is_dir():
        raise FileError(
            f"--output={path}: found no folder {folder} to write to; accepted: one that exists"
        )


def check_folder(flag: str, path: str | Path) -> None:
    """Makes the folder that a flag names; raises FileError unless files can be written into it."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise FileError(
            f"--{flag}={path}: can't be written to ({reason(error)}); accepted: a folder, or the "
            "name of a new one, with the right to write"
        ) from error


def write_arrays(path: str, arrays: dict[str, Any]) -> None:
    """Writes an .npz, whole or not at all."""
    temporary = Path(path).with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise FileError(f"--output={path}: cannot be written to: {reason(error)}") from error
