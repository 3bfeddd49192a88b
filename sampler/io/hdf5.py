"""The parameters of RBMs that the package `rbms` has saved in HDF5."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sampler.io import reading
from sampler.io.errors import FileError

MAGIC = b"\x89HDF\r\n\x1a\n"
_ACCEPTED = "HDF5 as the package rbms saves it"


def read_parameters(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of the last update that was saved; raises FileError as `npz.read_npz`."""
    try:
        import h5py
    except ImportError as error:
        raise FileError(f"{path}: found HDF5; accepted where h5py is installed") from error
    with reading.opened(path, _ACCEPTED), h5py.File(path, "r") as file:
        updates = [int(found[1]) for key in file if (found := re.fullmatch(r"update_(\d+)", key))]
        if not updates:
            raise FileError(
                f"{path}: found HDF5 without update_1 or another; accepted: {_ACCEPTED}"
            )
        group = _own(file, f"update_{max(updates)}", h5py)
        group = _own(group, "params", h5py) if "params" in group else group
        reading.require(path, list(group), names)
        arrays = {name: _own(group, name, h5py) for name in names}
        for name, array in arrays.items():
            reading.check_dtype(array.dtype, f"{path}: array {name!r}")
            if array.is_virtual or array.external:
                raise ValueError(f"{name!r} lies in another file")
        reading.check_size(path, sum(array.nbytes for array in arrays.values()))
        return {name: array[()] for name, array in arrays.items()}


def _own(group: Any, name: str, h5py: Any) -> Any:
    """A member of a group, which must be no link to elsewhere."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name!r} is a link")
    return group[name]
