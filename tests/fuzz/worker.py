"""A process that reads the files it is told to, and says how each went.

    python worker.py [export]

Input: a line `reader<tab>path` for each file. Output: a JSON object on a line for each:
outcome ("value" or the exception's type), message, valid (of a value, whether it keeps its
promises), bytes (of the value's arrays), peak (bytes touched beyond those before) and seconds (of
this process's CPU time). Warnings are exceptions. Memory is limited, so that a runaway dies alone.
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import sys
import time
import warnings
from pathlib import Path

os.environ["DVAE_TF_LAZY"] = "1"  # readers of data need no TensorFlow

import h5py  # noqa: F401  (so that its memory is not the first input's)
import numpy as np

from dvae_tf import data
from dvae_tf.config import Config
from dvae_tf.data.binarized_mnist import read_amat
from dvae_tf.data.mnist import read_idx
from sampler.io import formats, reading

MEMORY = 4 << 30
"""Bytes of address space of a process without TensorFlow."""

FREE = 256 << 20
"""Bytes of memory that the readers are told are free, so that bombs may be small."""


def _export(path: Path):
    from dvae_tf.export import ExportedModel

    return ExportedModel(path)


READERS = {
    "amat": read_amat,
    "npz": lambda path: data.load(str(path), "unused"),
    "mnist": lambda path: data.load("binarized_mnist", path.parent),
    "machine": formats.read,
    "mat": lambda path: data.load("omniglot", path.parent),
    "npy": lambda path: data.load(str(path), "unused"),
    "idx": read_idx,
    "config": Config.from_json,
    "export": _export,
}


def main() -> None:
    if "export" in sys.argv:
        import dvae_tf.export  # noqa: F401  (so that its memory is not the first input's)
    else:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("error")
    reading.memory.available = lambda: FREE
    for line in sys.stdin:
        reader, path = line.rstrip("\n").split("\t")
        print(json.dumps(examine(READERS[reader], Path(path))), flush=True)


def examine(read, path: Path) -> dict:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # Makes the high-water mark the present size.
    before, started = _memory("VmRSS"), time.process_time()
    answer = {"message": "", "valid": True, "bytes": 0}
    try:
        value = read(path)
        answer |= {"outcome": "value", "valid": bool(is_valid(value)), "bytes": size(value)}
    except BaseException as error:
        answer |= {"outcome": type(error).__name__, "message": str(error)}
    answer["seconds"] = time.process_time() - started
    answer["peak"] = _memory("VmHWM") - before
    return answer


def _memory(name: str) -> int:
    """Bytes, as the kernel counts them."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{name}:\s+(\d+)", status)[1])


def size(value) -> int:
    if isinstance(value, data.Dataset):
        return sum(value.split(name).nbytes for name in data.dataset.SPLITS)
    if isinstance(value, formats.Parts):
        return sum(map(size, value.arrays.values()))
    return value.nbytes if isinstance(value, np.ndarray) else 0


def is_valid(value) -> bool:
    """Whether a value is what its reader promises."""
    if isinstance(value, np.ndarray):
        images = value.ndim == 3 or value.shape[1:] == (784,) and value.max() <= 1
        return value.dtype == np.uint8 and images
    if isinstance(value, formats.Parts):
        numbers = [x for x in value.arrays.values() if isinstance(x, np.ndarray)]
        required = formats.LAYOUTS[value.kind]
        return set(required) <= set(value.arrays) and all(np.isfinite(x).all() for x in numbers)
    if isinstance(value, Config):
        return Config(**json.loads(value.to_json()) | {"hidden_units": value.hidden_units}) == value
    if isinstance(value, data.Dataset):
        return all(_is_valid_split(value, name) for name in data.dataset.SPLITS)
    return value.num_pixels > 0


def _is_valid_split(dataset, name: str) -> bool:
    images = dataset.split(name)
    dtype = np.float32 if dataset.stochastic and name == "train" else np.uint8
    return images.dtype == dtype and 0 <= images.min() <= images.max() <= 1


if __name__ == "__main__":
    main()
