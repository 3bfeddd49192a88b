"""Arrays of an .npz file: a zip archive of .npy entries.

In place of `numpy.load`, which inflates whatever an archive declares.
"""

import contextlib
import math
import os
import secrets
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sampler.io import reading
from sampler.io.errors import FileError, reason

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def names_of(path: Path, accepted: str = "an .npz file of arrays") -> list[str]:
    """The names of the arrays that an .npz file holds; raises FileError if it is none."""
    with _archive(path, accepted) as archive:
        return [entry.filename.removesuffix(".npy") for entry in archive.infolist()]


def read_npz(
    path: Path, names: Collection[str], required: Collection[str], texts: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """Those of the arrays `names` that an .npz file holds; never unpickles.

    Args:
      path: of the file.
      names: of the arrays, of numbers but for those of `texts`.
      required: those that must be there.
      texts: those that are text.

    Raises:
      FileError: the file is missing or damaged, would expand too far, an array is not one of
        numbers (or text), or a `required` one is missing.
    """
    with _archive(path, f"an .npz file with the arrays {', '.join(names)} of numbers") as archive:
        found = [entry.filename.removesuffix(".npy") for entry in archive.infolist()]
        reading.require(path, found, required)
        entries = {
            name: entry
            for name, entry in zip(found, archive.infolist(), strict=True)
            if name in names
        }
        if len(entries) < sum(name in names for name in found):
            raise FileError(f"{path}: found two arrays of the same name; accepted: one of each")
        reading.check_size(path, sum(entry.file_size for entry in entries.values()))
        return {
            name: _read(archive, entry, f"{path}: array {name!r}", name in texts)
            for name, entry in entries.items()
        }


def read_npy(path: Path) -> np.ndarray:
    """The array of numbers in an .npy file; FileError if there is none, or it is too large."""
    with reading.opened(path, "an .npy file with an array of numbers") as file:
        version = np.lib.format.read_magic(file)
        layout = np.lib.format
        read = layout.read_array_header_1_0 if version == (1, 0) else layout.read_array_header_2_0
        shape, _, dtype = read(file)
        reading.check_dtype(dtype, str(path))
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or file.tell() + size != path.stat().st_size:
            raise ValueError(f"its header says {dtype} of shape {shape}, not the file's size")
        reading.check_size(path, size)
        file.seek(0)
        return layout.read_array(file, allow_pickle=False)


def write_npz(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Writes an .npz, whole or not at all; raises FileError where it cannot be written."""
    path = Path(path)
    temporary = path.with_name(f"{path.name[:50]}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise FileError(f"{path}: cannot be written to: {reason(error)}") from error


@contextlib.contextmanager
def _archive(path: Path, accepted: str) -> Iterator[zipfile.ZipFile]:
    with reading.opened(path, accepted) as file:
        if not zipfile.is_zipfile(file):
            raise FileError(f"{path}: not a zip archive, or a truncated one; accepted: {accepted}")
        with zipfile.ZipFile(file) as archive:
            yield archive


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str, text: bool) -> np.ndarray:
    """An entry's array; what its header declares beyond the entry's end is never touched."""
    if entry.compress_type not in _COMPRESSIONS:
        raise FileError(f"{where} is compressed by another method; accepted: deflate, or none")
    with archive.open(entry) as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read(1):  # to the end, where its checksum is compared
            raise FileError(f"{where} ends before its entry does; accepted: the same size")
    if not text:
        reading.check_dtype(array.dtype, where)
    elif array.dtype.kind != "U":
        raise FileError(f"{where} has dtype {array.dtype}; accepted: text")
    else:
        array.tolist()  # raises an error where a number is no character
    return array
