"""Real full arrays of a MATLAB file of version 4 to 7: the few of the format's parts that we need.

In place of `scipy.io.loadmat`, which inflates whatever a file holds, and crashes at types of values
that it does not know: to check a hostile file beforehand, every tag would have to be read as here.
Layout: "MAT-File Format", MathWorks, version 5 in chapter 1 and version 4 in appendix A.
"""

import io
import math
import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dvae_tf.data.dataset import DataError
from sampler.io import reading

_ACCEPTED = "a MATLAB file, version 7 or older"

_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_DTYPES |= {12: "i8", 13: "u8"}
_DTYPES_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
_KINDS = {1: "a cell array", 2: "a structure", 3: "an object", 4: "text", 5: "sparse"}
_NUMERIC, _OPAQUE, _COMPLEX = range(6, 16), 17, 0x800

_HEAD = 512
"""Bytes that flags, dimensions and name of an array fit in."""


class _Array(NamedTuple):
    """What a file says about an array, and where its values are.

    Attributes:
      kind: what it is if not real, full and numeric; its values are not read then.
      first: byte of `read` that the values begin at.
      read: the first so many bytes of what holds the array, or all if there are fewer.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    kind: str
    first: int
    read: Callable[[int], Any]


def read_mat(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """The arrays `names` of a file, in the dtypes that they are stored in.

    Raises:
      DataError: the file is missing, damaged or of version 7.3, would expand too far, lacks an
        array, or has it twice or as anything but a real, full, numeric one.
    """
    arrays: dict[str, np.ndarray] = {}
    found = []
    with reading.opened(path, _ACCEPTED) as file:
        for array in _arrays(file):
            found.append(array.name)
            if array.name in arrays:
                raise DataError(f"{path}: array {array.name!r} is there twice; accepted: once")
            if array.name in names:
                size = sum(a.nbytes for a in arrays.values())
                arrays[array.name] = _values(path, array, size)
    reading.require(path, found, names)
    return arrays


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a file's arrays by name, without their values; DataError as `read_mat`."""
    with reading.opened(path, _ACCEPTED) as file:
        return {array.name: array.shape for array in _arrays(file)}


def _values(path: Path, array: _Array, size_so_far: int) -> np.ndarray:
    if array.kind:
        where = f"{path}: array {array.name!r}"
        raise DataError(f"{where} is {array.kind}; accepted: real numbers, not sparse")
    size = math.prod(array.shape) * array.dtype.itemsize
    reading.check_size(path, size_so_far + size)
    content = array.read(array.first + size + 8)
    _expect(len(content) < array.first + size + 8, "the number of an array's values")
    return np.ndarray(array.shape, array.dtype, content, array.first, order="F")


def _arrays(file: io.BufferedIOBase) -> Iterator[_Array]:
    head = file.read(128)
    version = head[124:]
    if 0 in head[:4]:
        return _arrays_4(file)
    if head.startswith(b"\x89HDF") or version in (b"\0\2IM", b"\2\0MI"):
        raise ValueError("version 7.3, which is HDF5; MATLAB's save -v7 writes the older one")
    if version in (b"\0\1IM", b"\1\0MI"):
        return _arrays_5(file, "<" if version.endswith(b"IM") else ">")
    raise ValueError("not a MATLAB file")


def _arrays_4(file: io.BufferedIOBase) -> Iterator[_Array]:
    start, end = 0, file.seek(0, io.SEEK_END)
    while start < end:
        file.seek(start)
        head = file.read(20)
        order = "<" if struct.unpack_from("<I", head)[0] < 5000 else ">"
        options, rows, columns, imaginary, name_size = struct.unpack(order + "5i", head)
        _expect(0 <= options % 1000 < 60 and options % 10 < 3, "an array's type")
        _expect(min(rows, columns) >= 0 and 0 < name_size <= _HEAD, "an array's header")
        dtype = np.dtype(order + _DTYPES_4[options // 10 % 10])
        name = file.read(name_size).rstrip(b"\0").decode("latin-1")
        start += 20 + name_size
        size = rows * columns * dtype.itemsize * (2 if imaginary else 1)
        kind = ("", "text", "sparse")[options % 10] or ("complex" if imaginary else "")
        yield _Array(name, (rows, columns), dtype, kind, 0, partial(_part, file, start, size))
        start += size


def _arrays_5(file: io.BufferedIOBase, order: str) -> Iterator[_Array]:
    start, end = 128, file.seek(0, io.SEEK_END)
    while start < end:
        file.seek(start)
        kind, size = struct.unpack(order + "II", file.read(8))
        _expect(start + 8 + size <= end, "an element's size")
        if kind == _COMPRESSED:
            yield _array_5(partial(_inflated, _part(file, start + 8, size, size)), order)
        else:
            yield _array_5(partial(_part, file, start, 8 + size), order)
        start += 8 + size


def _array_5(read: Callable[[int], Any], order: str) -> _Array:
    head = bytes(read(_HEAD))
    _expect(struct.unpack_from(order + "I", head)[0] == _MATRIX, "an element's type")
    elements = _elements(head, order)
    flags = struct.unpack_from(order + "I", head, next(elements)[1])[0]
    of_class = flags & 0xFF
    shape: tuple[int, ...] = ()
    if of_class != _OPAQUE:
        _, first, size = next(elements)
        shape = struct.unpack_from(f"{order}{size // 4}i", head, first)
        _expect(min(shape, default=-1) >= 0, "an array's shape")
    _, first, size = next(elements)
    name = head[first : first + size].decode("latin-1")
    kind = "" if of_class in _NUMERIC else _KINDS.get(of_class, f"of class {of_class}")
    kind = kind or ("complex" if flags & _COMPLEX else "")
    if kind:
        return _Array(name, shape, np.dtype("u1"), kind, 0, read)
    stored, first, size = next(elements)
    dtype = np.dtype(order + _DTYPES.get(stored, "V0"))
    _expect(math.prod(shape) * dtype.itemsize == size, "the size of an array's values")
    return _Array(name, shape, dtype, "", first, read)


def _elements(head: bytes, order: str) -> Iterator[tuple[int, int, int]]:
    """Types of an array's parts, where their values are, and their sizes."""
    at = 8
    while True:
        word, size = struct.unpack_from(order + "II", head, at)
        if word >> 16:  # a small one, whose values stand in the tag
            _expect(word >> 16 <= 4, "the size of a small element")
            yield word & 0xFFFF, at + 4, word >> 16
            size = 0
        else:
            yield word, at + 8, size
        at += 8 + size + -size % 8


def _part(file: io.BufferedIOBase, start: int, size: int, most: int) -> np.ndarray:
    """The first `most` of the `size` bytes at `start`; EOFError where the file ends."""
    file.seek(start)
    return reading.read_bytes(file, min(size, most))


def _inflated(packed: np.ndarray, most: int) -> bytes:
    """The first `most` bytes of a zlib stream, whose checksum is compared if there are fewer."""
    inflater = zlib.decompressobj()
    data = inflater.decompress(packed.data, most)
    if len(data) < most and not inflater.eof:
        raise EOFError("a compressed array ends early")
    return data


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} is wrong")
