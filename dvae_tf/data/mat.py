"""Real full arrays of a MATLAB file of version 4 to 7: the few of the format's parts that we need.

In place of `scipy.io.loadmat`: to make sure beforehand that a damaged or hostile file does it no
harm, every tag would have to be read as here, after which the array's bytes are all that is left.
Layout: "MAT-File Format", MathWorks, version 5 in chapter 1 and version 4 in appendix A.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dvae_tf.data.dataset import DataError
from sampler.io import reading

_ACCEPTED = "a MATLAB file, version 7 or older"

_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8"}
_DTYPES |= {13: "u8"}
_DTYPES_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
_KINDS = {1: "a cell array", 2: "a structure", 3: "an object", 4: "text", 5: "sparse"}
_NUMERIC, _OPAQUE, _COMPLEX = range(6, 16), 17, 0x800

_MOST_DIMENSIONS = 8
_LONGEST_NAME = 256


class _Array(NamedTuple):
    """What a file says of an array before its values.

    Attributes:
      kind: what it is if not real, full and numeric; no values are given then.
      stream: its values follow here, and then less than 8 bytes.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    stream: io.BufferedIOBase
    kind: str = ""


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
    where = f"{path}: array {array.name!r}"
    if array.kind:
        raise DataError(f"{where} is {array.kind}; accepted: real numbers, not sparse")
    size = math.prod(array.shape) * array.dtype.itemsize
    reading.check_size(path, size_so_far + size)
    values = reading.read_bytes(array.stream, size)
    if len(array.stream.read(8)) == 8:  # Reads to the end, so that zlib compares its checksum.
        raise ValueError("more values than an array's shape says")
    return values.view(array.dtype).reshape(array.shape, order="F")


def _arrays(file: io.BufferedIOBase) -> Iterator[_Array]:
    head = file.read(128)
    order = {b"IM": "<", b"MI": ">"}.get(head[126:])
    if 0 in head[:4]:
        yield from _arrays_4(file)
    elif head.startswith(b"\x89HDF") or (order and _unpack(order + "H", head[124:126]) == (0x200,)):
        raise ValueError("version 7.3, which is HDF5; MATLAB's save -v7 writes the older one")
    elif order and _unpack(order + "H", head[124:126]) == (0x100,):
        yield from _arrays_5(file, order)
    else:
        raise ValueError("not a MATLAB file")


def _unpack(layout: str, data: bytes) -> tuple[int, ...]:
    return struct.unpack(layout, data)


def _arrays_4(file: io.BufferedIOBase) -> Iterator[_Array]:
    start, end = 0, file.seek(0, io.SEEK_END)
    while start < end:
        file.seek(start)
        head = file.read(20)
        order = "<" if _unpack("<I", head[:4])[0] < 5000 else ">"
        options, rows, columns, imaginary, name_size = _unpack(order + "5i", head)
        _expect(0 <= options % 1000 < 60 and options % 10 < 3, "an array's type")
        _expect(min(rows, columns) >= 0 and 0 < name_size <= _LONGEST_NAME, "an array's header")
        dtype = np.dtype(order + _DTYPES_4[options // 10 % 10])
        name = file.read(name_size).rstrip(b"\0").decode("latin-1")
        size = rows * columns * dtype.itemsize * (2 if imaginary else 1)
        kind = ("", "text", "sparse")[options % 10] or ("complex" if imaginary else "")
        yield _Array(name, (rows, columns), dtype, _part(file, size), kind)
        start += 20 + name_size + size


def _arrays_5(file: io.BufferedIOBase, order: str) -> Iterator[_Array]:
    start, end = 128, file.seek(0, io.SEEK_END)
    while start < end:
        file.seek(start)
        kind, size = _unpack(order + "II", file.read(8))
        start += 8 + size
        _expect(start <= end, "an element's size")
        stream = _part(file, size)
        if kind == _COMPRESSED:
            stream = io.BufferedReader(_Inflated(stream))
            kind, size = _unpack(order + "II", stream.read(8))
        _expect(kind == _MATRIX, "an element's type")
        yield _array_5(stream, order)


def _array_5(stream: io.BufferedIOBase, order: str) -> _Array:
    flags = _unpack(order + "II", _small(stream, order, [_UINT32], 8))[0]
    of_class = flags & 0xFF
    shape: tuple[int, ...] = ()
    if of_class != _OPAQUE:
        dimensions = _small(stream, order, [_INT32], 4 * _MOST_DIMENSIONS)
        shape = _unpack(f"{order}{len(dimensions) // 4}i", dimensions)
        _expect(min(shape, default=-1) >= 0, "an array's shape")
    name = _small(stream, order, [_INT8, _UTF8], _LONGEST_NAME).decode("latin-1")
    kind = "" if of_class in _NUMERIC else _KINDS.get(of_class, f"of class {of_class}")
    kind = kind or ("complex" if flags & _COMPLEX else "")
    if kind:
        return _Array(name, shape, np.dtype("u1"), stream, kind)
    stored, size, stream = _element(stream, order)
    dtype = np.dtype(order + _DTYPES.get(stored, "V0"))
    _expect(math.prod(shape) * dtype.itemsize == size, "the size of an array's values")
    return _Array(name, shape, dtype, stream)


def _small(stream: io.BufferedIOBase, order: str, types: Collection[int], longest: int) -> bytes:
    """An element of one of the types and of at most `longest` bytes, and what pads it to 8."""
    found, size, values = _element(stream, order)
    _expect(found in types and size <= longest, "an array's header")
    data = values.read(size)
    _expect(len(data) == size, "an array's header")
    if values is stream:
        stream.read(-size % 8)
    return data


def _element(stream: io.BufferedIOBase, order: str) -> tuple[int, int, io.BufferedIOBase]:
    """An element's type, its size, and where its values are: up to 4 bytes stand in the tag."""
    tag = stream.read(8)
    word, size = _unpack(order + "II", tag)
    if word >> 16 == 0:
        return word, size, stream
    _expect(word >> 16 <= 4, "the size of a small element")
    return word & 0xFFFF, word >> 16, io.BytesIO(tag[4 : 4 + (word >> 16)])


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} is wrong")


def _part(file: io.BufferedIOBase, size: int) -> io.BufferedIOBase:
    """The next `size` bytes of a file, as a file."""
    return io.BufferedReader(_Part(file, size))


class _Part(io.RawIOBase):
    def __init__(self, file: io.BufferedIOBase, size: int):
        self._file, self._left = file, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        count = self._file.readinto(memoryview(buffer)[: self._left])
        self._left -= count
        return count


class _Inflated(io.RawIOBase):
    """What a zlib stream holds, inflated no further than it is read."""

    def __init__(self, compressed: io.BufferedIOBase):
        self._compressed, self._zlib = compressed, zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = b""
        while not data and not self._zlib.eof:
            more = self._zlib.unconsumed_tail or self._compressed.read(1 << 16)
            data = self._zlib.decompress(more, len(buffer))
            if not more and not data:
                raise EOFError("a compressed array ends early")
        memoryview(buffer)[: len(data)] = data
        return len(data)
