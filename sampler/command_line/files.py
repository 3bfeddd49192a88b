"""Where the command line writes: samples into an .npz, pictures into a folder."""

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sampler.io.errors import FileError, expect, reason

LONGEST = 3900
"""Bytes of a folder's path: Linux takes 4095, and TensorFlow's own files in it need 120 of them."""


def check_output(path: str | None) -> None:
    """Raises FileError unless `path` ends in .npz and lies in a folder that can be written to."""
    output = Path(path or "none")
    expect(output.suffix == ".npz", "--output", output, "a path that ends in .npz", FileError)
    folder = output.parent
    fit = folder.is_dir() and os.access(folder, os.W_OK)
    found = f"no folder {folder} to write to"
    expect(fit, f"--output={path}", found, "one that exists", FileError)
    check_file("output", output)


def check_file(flag: str, path: Path) -> None:
    """Raises FileError where a flag names what no file can replace: a folder, a pipe, a device."""
    try:
        mode = os.stat(path).st_mode
        # /dev/stdout may be a file, but what takes its place would be none of the system's
        system = os.path.abspath(path).startswith(("/dev/", "/proc/"))
        found = "" if stat.S_ISREG(mode) and not system else "a pipe or a device"
        found = "a folder" if stat.S_ISDIR(mode) else found
    except FileNotFoundError:
        return
    except OSError as error:  # the name is too long, or goes round in circles
        found = reason(error)
    expect(not found, f"--{flag}={path}", found, "a file's name", FileError)


def check_folder(flag: str, path: str | Path) -> None:
    """Makes the folder that a flag names; raises FileError unless files can be written into it."""
    try:
        if len(os.fsencode(path)) > LONGEST:
            raise OSError(errno.ENAMETOOLONG, f"its name is longer than {LONGEST} bytes")
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
