"""Reading files that may be damaged or hostile, and checking the arrays found in them.

No reader touches memory for what a file merely declares: see `check_size`.
"""

import contextlib
import io
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sampler.io import memory
from sampler.io.errors import FileError, reason

ALWAYS_ALLOWED = 128 << 20
"""Bytes of contents that a file may have however little memory is free."""

SHARE = 0.5
"""Of the free memory, that the contents of a file may take: what is made of them takes the rest.

How far they are compressed tells nothing: sparse matrices and blank images are 1000 times smaller.
"""

CHUNK = 1 << 20
"""Bytes read at once."""

_NAMES_SHOWN = 10
_LONGEST_NAME = 40


@contextlib.contextmanager
def opened(path: Path, accepted: str) -> Iterator[io.BufferedReader]:
    """The open file; whatever the body raises, and every warning, is a FileError about it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if path.exists() and not path.is_file():  # To open a pipe would wait for its writer.
                raise OSError("not a regular file")
            with _Reader(io.FileIO(path)) as file:
                yield file
    except FileError:
        raise
    except Exception as error:  # On damaged files, readers raise a dozen unrelated types.
        raise FileError(
            f"{path}: cannot be read ({reason(error)}); accepted: {accepted}"
        ) from error


class _Reader(io.BufferedReader):
    """Reads no more than `CHUNK` bytes at once: a zip archive's directory is no larger either."""

    def read(self, size: int | None = -1) -> bytes:
        at_once = CHUNK + 1 if size is None or not 0 <= size <= CHUNK else size
        data = super().read(at_once)
        if len(data) > CHUNK:
            raise OSError(f"a part that should be small has more than {CHUNK} bytes")
        return data


def size_limit() -> int:
    """Bytes that a file's contents may have, by the memory that is free."""
    return max(ALWAYS_ALLOWED, int(SHARE * (memory.available() or 0)))


def check_size(path: Path, size: int) -> None:
    """Raises FileError if contents of `size` bytes are too much for the memory that is free."""
    if size > ALWAYS_ALLOWED and size > (limit := size_limit()):
        accepted = f"{limit}, half of the free memory"
        raise FileError(f"{path}: its contents would have {size} bytes; accepted: {accepted}")


def read_bytes(stream: Any, size: int) -> np.ndarray:
    """The stream's next `size` bytes, uint8 [size]; EOFError if there are fewer.

    Memory is touched only as bytes arrive, so a false `size` costs nothing.
    """
    buffer = np.empty(size, np.uint8)
    view = buffer.data
    done = 0
    while done < size:
        count = stream.readinto(view[done : done + CHUNK])
        if not count:
            raise EOFError(f"it ends after {done} of {size} bytes of an array")
        done += count
    return buffer


def require(path: Path, found: Collection[str], required: Collection[str]) -> None:
    """Raises FileError unless the file's arrays include those required."""
    missing = [name for name in required if name not in found]
    if missing:
        raise FileError(
            f"{path}: array {missing[0]!r} is missing; "
            f"found: {listed(found)}; accepted: {', '.join(required)}"
        )


def listed(names: Collection[str]) -> str:
    """Names of arrays for a message, quoted and not too many."""
    shown = [repr(name[:_LONGEST_NAME]) for name in sorted(names)[:_NAMES_SHOWN]]
    return ", ".join(shown + ["…"] * (len(names) > _NAMES_SHOWN)) or "no arrays"


def check_dtype(dtype: np.dtype, where: str) -> None:
    """Raises FileError unless the dtype is one of real numbers of 8 bytes or fewer."""
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise FileError(f"{where} has dtype {dtype}; accepted: bool, integers or floats")
