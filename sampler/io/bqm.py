"""dimod's binary quadratic models, from its three formats, without dimod: JSON, COO text, `.bqm`.

All give fields and couplings of p(x) ~ exp(-E(x)): the biases with their signs turned.
"""

import json
import re
import struct
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

MAGIC = b"DIMODBQM"
_COO_LINE = re.compile(r"(\d+)\s+(\d+)\s+(\S+)")
_VARTYPE = re.compile(r"#.*?vartype[:=]\s*(\w+)", re.IGNORECASE)


def from_json(text: str | bytes) -> tuple[dict[str, Any], float]:
    """Arrays as `formats.LAYOUTS` names them, and the offset, of `to_serializable`'s JSON."""
    model = json.loads(text)
    if not isinstance(model, dict) or "linear_biases" not in model:
        kind = model.get("type") if isinstance(model, dict) else type(model).__name__
        raise ValueError(f"JSON of {kind!r}, not of a BinaryQuadraticModel")
    if model.get("use_bytes"):
        raise ValueError("JSON with use_bytes=True, which holds no numbers")
    ends = [np.asarray(model[f"quadratic_{end}"], np.int64) for end in ("head", "tail")]
    couplings = np.asarray(model["quadratic_biases"], np.float64)
    fields = np.asarray(model["linear_biases"], np.float64)
    edges, labels = np.stack(ends, -1), list(map(label, model["variable_labels"]))
    return _parts(fields, edges, couplings, model["variable_type"], labels), float(model["offset"])


def from_coo(text: str) -> tuple[dict[str, Any], float]:
    """The same of COO text; the units stand in the order of their numbers. There is no offset."""
    fields: dict[int, float] = {}
    couplings: dict[tuple[int, int], float] = {}
    vartype = None
    for number, line in enumerate(text.splitlines(), 1):
        if header := _VARTYPE.search(line):
            vartype = header[1]
        elif found := _COO_LINE.fullmatch(line.strip()):
            first, second = sorted((int(found[1]), int(found[2])))
            value = float(found[3])
            fields.update({unit: fields.get(unit, 0.0) for unit in (first, second)})
            if first == second:
                fields[first] += value
            else:
                couplings[first, second] = couplings.get((first, second), 0.0) + value
        elif line.strip() and not line.lstrip().startswith("#"):
            raise ValueError(f"line {number} is not of two units and a number")
    if vartype is None:
        raise ValueError("no line '# vartype=SPIN' or '# vartype=BINARY'")
    labels = sorted(fields)
    place = {label: i for i, label in enumerate(labels)}
    edges = np.array([[place[u], place[v]] for u, v in couplings], np.int64).reshape(-1, 2)
    values = np.array(list(couplings.values()), np.float64)
    return _parts(np.array([fields[u] for u in labels]), edges, values, vartype, labels), 0.0


def from_binary(data: bytes) -> tuple[dict[str, Any], float]:
    """The same of the format of `BinaryQuadraticModel.to_file`, versions 1 and 2."""
    (length,) = struct.unpack_from("<I", data, 10)
    header, at = json.loads(data[14 : 14 + length]), 14 + length
    num_units, num_edges = header["shape"]
    bias, index, start = (_dtype(header[name]) for name in ("dtype", "itype", "ntype"))
    (offset,) = np.frombuffer(data, bias, 1, at)
    at += bias.itemsize
    units = _records(data, at, num_units, start, bias)
    at += units.nbytes
    ends = _records(data, at, 2 * num_edges, index, bias)  # each edge under both of its units
    at += ends.nbytes
    degrees = np.diff(np.append(units["first"].astype(np.int64), len(ends)))
    rows, others = np.repeat(np.arange(num_units), degrees), ends["first"].astype(np.int64)
    once = others < rows
    edges, values = np.stack([rows, others], -1)[once], ends["bias"][once]
    labels = header["variables"]
    if labels and data[8] > 1:
        (length,) = struct.unpack_from("<I", data, at + 4)
        labels = json.loads(data[at + 8 : at + 8 + length])
    labels = list(map(label, labels)) if labels else range(num_units)
    return _parts(units["bias"], edges, values, header["vartype"], labels), float(offset)


def _records(
    data: bytes, at: int, count: int, first: np.dtype, second: np.dtype
) -> np.ndarray[Any, Any]:
    """`count` pairs of numbers, called "first" and "bias"; raises an error if there are fewer."""
    if not count:
        return np.empty(0, [("first", first), ("bias", second)])
    if count < 0:
        raise ValueError(f"a count of {count}")
    return np.frombuffer(data, [("first", first), ("bias", second)], count, at)


def _dtype(name: Any) -> np.dtype:
    dtype = np.dtype(name)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ValueError(f"numbers of type {dtype}")
    return dtype


def label(found: Any) -> Hashable:
    """A variable's label, of which JSON writes tuples as lists."""
    if isinstance(found, dict):
        raise ValueError("a label that is a dict")
    return tuple(map(label, found)) if isinstance(found, list) else found


def _parts(
    fields: np.ndarray, edges: np.ndarray, values: np.ndarray, vartype: str, labels: Sequence
) -> dict[str, Any]:
    if len(labels) != len(fields):
        raise ValueError(f"{len(labels)} labels for {len(fields)} variables")
    named = {"h": -fields, "edges": edges, "values": -values, "vartype": str(vartype)}
    return named | {"labels": tuple(labels)}
