"""Where the command line writes: samples into an .npz, pictures into a folder."""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sampler.io.errors import FileError, expect, reason


def check_output(path: str | None) -> None:
    """Raises FileError unless `path` ends in .npz and lies in a folder that can be written to."""
    output = Path(path or "none")
    expect(output.suffix == ".npz", "--output", output, "a path that ends in .npz", FileError)
    folder = output.parent
    fit = folder.is_dir() and os.access(folder, os.W_OK) and not output.is_dir()
    found = f"no folder {folder} to write to"
    expect(fit, f"--output={path}", found, "one that exists", FileError)


def check_folder(flag: str, path: str | Path) -> None:
    """Makes the folder that a flag names; raises FileError unless files can be written into it."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        accepted = "a folder, or the name of a new one, with the right to write"
        found = f"--{flag}={path}: can't be written to ({reason(error)})"
        raise FileError(f"{found}; accepted: {accepted}") from error


def arrays_of(machine: Any, state: tuple[Any, ...]) -> dict[str, np.ndarray]:
    """Samples [..., S, n] by name: z1 and z2 of an RBM's bits, x of a graph, else x_0, x_1, ...

    Bits of RBMs are uint8, other discrete units int8, Gaussian ones float32.
    """
    from sampler.machines.graph import GraphMachine
    from sampler.machines.rbm import RBM, LowRankRBM

    if isinstance(machine, (RBM, LowRankRBM)):
        return {f"z{k}": np.asarray(z, np.uint8) for k, z in enumerate(state, 1)}
    if isinstance(machine, GraphMachine):
        return {"x": np.asarray(machine.to_units(state), np.int8)}
    dtypes = [np.int8 if family.discrete else np.float32 for family in machine.families]
    return {f"x_{k}": np.asarray(x, dtypes[k]) for k, x in enumerate(state)}
