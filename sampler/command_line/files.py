"""RBMs from .npz files, and samples into them."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ARRAYS = ("b1", "b2", "w")
ACCEPTED = "an .npz with the arrays b1 [..., n1], b2 [..., n2] and w [..., n1, n2]"


class FileError(ValueError):
    """A file that cannot be used; the message names it, what was found and what is accepted."""


def read_parameters(path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """b1, b2 and w of an .npz file as float32, of whatever shapes it has; never unpickles.

    Raises:
      FileError: the file is missing or damaged, or an array is missing or not of real numbers.
    """
    with _readable(path):
        if Path(path).is_file() and not zipfile.is_zipfile(path):
            # numpy.load takes any other file for a pickle, and suggests trusting it
            raise FileError(f"{path}: found no zip archive, or a truncated one; {_accepted()}")
        # given a path, numpy.load leaves the file open if the archive's directory is damaged
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [name for name in ARRAYS if name not in archive.files]
            if missing:
                found = ", ".join(archive.files) or "none"
                raise FileError(
                    f"{path}: found the arrays {found}, without {', '.join(missing)}; {_accepted()}"
                )
            b1, b2, w = (_as_float32(archive[name], f"{path}: {name}") for name in ARRAYS)
    return b1, b2, w


def _accepted() -> str:
    return f"accepted: {ACCEPTED}"


def _as_float32(array: np.ndarray, where: str) -> np.ndarray:
    if array.dtype.kind not in "buif":
        raise FileError(f"{where}: found dtype {array.dtype}; accepted: real numbers")
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused as such
        return array.astype(np.float32)


@contextlib.contextmanager
def _readable(path: str) -> Iterator[None]:
    """Turns what the body raises into a FileError about `path`."""
    try:
        yield
    except FileError:
        raise
    except Exception as error:  # on damaged files readers raise a dozen unrelated types
        raise FileError(f"{path}: cannot be read, found: {reason(error)}; {_accepted()}") from error


def reason(error: BaseException) -> str:
    """An exception's message on one line and not too long, or its type if it has none."""
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = error.strerror  # the full text repeats the path
    return " ".join(message.split())[:200] or type(error).__name__


def check_output(path: str | None) -> None:
    """Raises FileError unless `path` ends in .npz and lies in a folder that can be written to."""
    if path is None or Path(path).suffix != ".npz":
        raise FileError(f"--output: found {path or 'none'}; accepted: a path that ends in .npz")
    folder = Path(path).parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or Path(path).is_dir():
        raise FileError(
            f"--output={path}: found no folder {folder} to write to; accepted: one that exists"
        )


def check_folder(path: str | None) -> None:
    """Makes the folder of --plot (None: there is none); raises FileError where it cannot be."""
    if path is None:
        return
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"--plot={path}: found: {reason(error)}; accepted: a folder") from error
    if not os.access(path, os.W_OK):
        raise FileError(f"--plot={path}: found no right to write; accepted: a folder with it")


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
