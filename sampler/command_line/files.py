"""Where the command line writes: samples into an .npz, pictures into a folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sampler.io.errors import FileError, reason


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


def arrays_of(machine: Any, state: tuple[Any, ...]) -> dict[str, np.ndarray]:
    """Samples [..., S, n] by name: z1 and z2 of an RBM's bits, x of a graph, else x_0, x_1, ...

    Bits of RBMs are uint8, other discrete units int8, Gaussian ones float32.
    """
    from sampler.machines.graph import GraphMachine
    from sampler.machines.low_rank import LowRankRBM
    from sampler.machines.rbm import RBM

    if isinstance(machine, (RBM, LowRankRBM)):
        return {f"z{k}": np.asarray(z, np.uint8) for k, z in enumerate(state, 1)}
    if isinstance(machine, GraphMachine):
        return {"x": np.asarray(machine.to_units(state), np.int8)}
    dtypes = [np.int8 if family.discrete else np.float32 for family in machine.families]
    return {f"x_{k}": np.asarray(x, dtypes[k]) for k, x in enumerate(state)}
