"""The files that people have, read as machines; any machine written.

A file is recognised by how it begins, and its arrays by their names (`LAYOUTS`). Reading needs no
TensorFlow and never unpickles: whatever a file holds, it is a machine or a `FileError` of one line.
"""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sampler.io import bqm, hdf5, npz, reading
from sampler.io.errors import FileError

if TYPE_CHECKING:
    from sampler.machines.machine import AnyMachine

LAYOUTS: dict[str, tuple[str, ...]] = {
    "rbm": ("b1", "b2", "w"),
    "ising": ("f1", "f2", "j"),
    "low rank": ("b1", "b2", "u", "v"),
    "low rank ising": ("f1", "f2", "u", "v"),
    "scikit-learn": ("intercept_visible_", "intercept_hidden_", "components_"),
    "rbms": ("vbias", "hbias", "weight_matrix"),
    "matrix": ("h", "J", "vartype"),
    "graph": ("h", "edges", "values", "vartype"),
    "machine": ("families", "field_0"),
}
"""Kinds of machines, and the arrays that a file of each must hold; `layouts` builds them."""

ACCEPTED = "an .npz of b1, b2, w (or other arrays: see sampler/README.md), rbms' HDF5, dimod's BQMs"

_OPTIONAL = {
    "graph": re.compile("labels"),
    "machine": re.compile(r"(field|precision|num_states)_\d+|coupling_\d+_\d+(_[uv])?"),
}
_TEXTS = ("vartype", "families", "labels")
_INTEGERS = re.compile(r"edges|num_states_\d+")
_DOUBLES = re.compile(r"precision_\d+")
_SKLEARN = "components_, intercept_visible_ and intercept_hidden_ of scikit-learn's BernoulliRBM"
_PICKLE = f"a pickle, which is never opened; accepted: its arrays by np.savez, such as {_SKLEARN}"
_TORCH = (
    "PyTorch's pickle, which is never opened; accepted: its arrays by np.savez, such as b1, b2, w"
)
_PACKED = "a compressed file; accepted: the file itself (of a joblib, its arrays by np.savez)"
_FOREIGN = {
    **{b"\x80" + bytes([protocol]): _PICKLE for protocol in range(2, 6)},
    **dict.fromkeys((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"x\x01", b"x\x9c", b"x\xda"), _PACKED),
    b"\x93NUMPY": "a single array; accepted: an .npz, from np.savez with the arrays' names",
    b"MATLAB": "a MATLAB file; accepted: the arrays of scipy.io.loadmat by np.savez",
    b"DIMOD": "another of dimod's models; accepted: a BinaryQuadraticModel",
}
"""What a file of another kind begins with, and what to do about it."""


class Parts(NamedTuple):
    """What a file says of a machine, in NumPy alone.

    Attributes:
      path: the file's.
      kind: of `LAYOUTS`.
      arrays: by their names; numbers are float32 and finite, but for edges and the like.
      notes: what the file says beside them, and is left out.
    """

    path: str
    kind: str
    arrays: dict[str, Any]
    notes: list[str]


def load(path: str | Path, beta: float = 1.0) -> AnyMachine:
    """The machine p(x) ~ exp(-beta E(x)) of a file; what the file holds beside it is warned of.

    Reads .npz files with the arrays of one of `LAYOUTS`, HDF5 of the package `rbms` (its last
    update; needs h5py), and dimod's binary quadratic models (JSON of `to_serializable`, COO text,
    `.bqm`); README.md has signs and transpositions.

    Raises:
      FileError: a ValueError of one line: the file is missing, damaged or of another kind, or its
        arrays are no machine.
    """
    parts = read(path)
    for note in parts.notes:
        warnings.warn(f"{path}: {note}", stacklevel=2)
    return machine(parts, beta)


def save(machine: AnyMachine, path: str | Path) -> None:
    """Writes a machine of any kind and batch shape to an .npz, which `load` reads back.

    Raises:
      FileError: the path doesn't end in .npz, or can't be written to.
    """
    from sampler.io import layouts

    if Path(path).suffix != ".npz":
        raise FileError(f"path: found {path}; accepted: a path that ends in .npz")
    npz.write_npz(os.path.expanduser(path), layouts.arrays_of(machine))


def machine(parts: Parts, beta: float = 1.0) -> AnyMachine:
    """The machine of a file that was read; raises FileError if its arrays are none."""
    from sampler import checks
    from sampler.io import layouts

    try:
        if not math.isfinite(beta):
            raise ValueError(f"beta: found {beta}; accepted: a finite number")
        made = layouts.build(parts.kind, parts.arrays, beta)
        checks.check_machine(made, parts.path)
        return made
    except ValueError as error:
        text = str(error)
        raise FileError(text if text.startswith(parts.path) else f"{parts.path}: {text}") from error


def read(path: str | Path) -> Parts:
    """What a file says of a machine; raises FileError as `load`."""
    path = Path(os.path.expanduser(path))
    with reading.opened(path, ACCEPTED) as file:
        start = file.read(64)
    for magic, found in _FOREIGN.items():
        if start.startswith(magic) and not start.startswith(bqm.MAGIC):
            raise FileError(f"{path}: found {found}")
    if path.suffix in (".pkl", ".pickle", ".joblib"):
        raise FileError(f"{path}: found {_PICKLE}")
    if start.startswith(hdf5.MAGIC):
        arrays = hdf5.read_parameters(path, LAYOUTS["rbms"])
        return _checked(Parts(str(path), "rbms", arrays, []))
    if start.startswith(bqm.MAGIC):
        return _read_bqm(path, bqm.from_binary, "dimod's binary format")
    if path.suffix == ".json" or start.lstrip().startswith(b"{"):
        return _read_bqm(path, bqm.from_json, "JSON of a BQM's to_serializable")
    if path.suffix in (".coo", ".txt") or start.startswith(b"# vartype"):
        return _read_bqm(path, lambda data: bqm.from_coo(data.decode()), "COO text of a BQM")
    return _checked(_read_npz(path))


def _read_bqm(path: Path, parse: Callable[[bytes], tuple[dict, float]], accepted: str) -> Parts:
    with reading.opened(path, accepted) as file:
        arrays, offset = parse(reading.read_bytes(file, path.stat().st_size).tobytes())
        note = f"the offset {offset:g} is left out; with it log Z is beta times {offset:g} lower"
        return _checked(Parts(str(path), "graph", arrays, [note] * (offset != 0)))


def _read_npz(path: Path) -> Parts:
    found = npz.names_of(path)
    if any(name.endswith("data.pkl") for name in found):
        raise FileError(f"{path}: found {_TORCH}")
    kind = _kind(path, found)
    optional = _OPTIONAL.get(kind, re.compile("$"))
    own = [name for name in found if name in LAYOUTS[kind] or optional.fullmatch(name)]
    arrays: dict[str, Any] = npz.read_npz(path, own or LAYOUTS[kind], LAYOUTS[kind], _TEXTS)
    rest = [name for name in found if name not in own]
    notes = [f"not read: {reading.listed(rest)} (a machine of {', '.join(LAYOUTS[kind])})"]
    return Parts(str(path), kind, arrays, notes * bool(rest))


def _kind(path: Path, found: Collection[str]) -> str:
    """The layout of which the fewest arrays are missing."""
    present = [kind for kind, names in LAYOUTS.items() if set(names) & set(found)]
    if not present:
        raise FileError(f"{path}: found the arrays {reading.listed(found)}; accepted: {ACCEPTED}")
    return min(present, key=lambda kind: len(set(LAYOUTS[kind]) - set(found)))


def _checked(parts: Parts) -> Parts:
    """Text as Python has it, numbers as finite float32, whole numbers as int64."""
    arrays = {}
    for name, value in parts.arrays.items():
        if name in _TEXTS:
            arrays[name] = value.tolist() if isinstance(value, np.ndarray) else value
            continue
        whole = _INTEGERS.fullmatch(name) is not None
        dtype = np.float64 if _DOUBLES.fullmatch(name) else np.float32
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused as infinite
            arrays[name] = value.astype(np.int64 if whole else dtype)
        bad = np.sum(arrays[name] != value) if whole else np.sum(~np.isfinite(arrays[name]))
        found, accepted = ("no integers", "whole") if whole else ("NaN or infinite", "finite")
        if bad:
            where = f"{parts.path}: {name} {value.shape} has {bad} values that are {found}"
            raise FileError(f"{where}; accepted: {accepted} numbers")
    if "labels" in arrays:
        arrays["labels"] = _labels(parts.path, arrays["labels"])
    return parts._replace(arrays=arrays)


def _labels(path: str, found: Any) -> tuple:
    """A graph's labels from their JSON, or a list of them."""
    try:
        return tuple(map(bqm.label, json.loads(found) if isinstance(found, str) else found))
    except (ValueError, TypeError, RecursionError) as error:
        accepted = "a list of labels, or JSON of one"
        raise FileError(f"{path}: labels are no JSON; accepted: {accepted}") from error
