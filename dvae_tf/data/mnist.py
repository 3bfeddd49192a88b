"""MNIST and Fashion-MNIST in grey, from the files in which people have them; nothing is downloaded.

Grey levels are probabilities: train images are binarised anew for each batch, the others once. The
likelihoods are not those of the statically binarised MNIST (`binarized_mnist`).
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from dvae_tf.data import arrays
from dvae_tf.data.dataset import SPLITS, DataError, Dataset
from sampler.io import reading
from sampler.io.npz import read_npz

FOLDERS = {
    "mnist": ("mnist", "MNIST/raw", "."),
    "fashion_mnist": ("fashion_mnist", "fashion-mnist", "FashionMNIST/raw", "."),
}
"""Where in the data folder the original files may be; the last is torchvision's."""

FILES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
NUM_VALID = 10_000
"""The last of the 60,000 train images, as in Larochelle's split."""

_KERAS = Path("~/.keras/datasets")
_IMAGES = 0x0803
_ACCEPTED = "images in the IDX format"


def load(data_dir: Path, name: str = "mnist") -> Dataset:
    """Reads the original files, `name`.npz as Keras writes it, or torchvision's raw folder.

    They are looked for in `data_dir`, then where Keras keeps them.

    Raises:
      DataError: they are not there, or cannot be used.
    """
    folders = [data_dir / part for part in FOLDERS[name]]
    keras = _KERAS.expanduser()
    folders += [keras / name.replace("_", "-")] * (name != "mnist")
    paths = [f"{folder}/{FILES['train']}[.gz]" for folder in folders]
    archives = [data_dir / f"{name}.npz", keras / f"{name}.npz"]
    for path in archives:
        if path.exists():
            found = read_npz(path, ["x_train", "x_test"], required=["x_train", "x_test"])
            return _dataset(name, found["x_train"], found["x_test"], str(path))
    for folder in folders:
        train, test = (_find(folder / file) for file in FILES.values())
        if train and test:
            return _dataset(name, read_idx(train), read_idx(test), str(folder))
    looked = ", ".join(dict.fromkeys([*map(str, archives), *paths]))
    raise DataError(f"--dataset={name}: found none of {looked}; accepted: one of them")


def load_fashion(data_dir: Path) -> Dataset:
    """`load` of Fashion-MNIST."""
    return load(data_dir, "fashion_mnist")


def read_idx(path: Path) -> np.ndarray:
    """Images of an IDX file, plain or compressed, uint8 [N, H, W]; DataError if it is none."""
    with reading.opened(path, _ACCEPTED) as file:
        # browsers unpack files and leave their names
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if compressed else file
        magic, *shape = struct.unpack(">4I", stream.read(16))
        if magic != _IMAGES:
            raise ValueError(f"it begins with {magic:#010x}, not {_IMAGES:#010x}")
        size = shape[0] * shape[1] * shape[2]
        reading.check_size(path, size)
        images = reading.read_bytes(stream, size).reshape(shape)
        if stream.read(1):
            raise ValueError("it goes on after its last image")
    return images


def _find(path: Path) -> Path | None:
    """The file, compressed or not; some archives write it with a dot before idx."""
    names = [path.name + end for end in ("", ".gz")]
    names += [name.replace("-idx", ".idx") for name in names]
    return next((p for p in map(path.with_name, names) if p.exists()), None)


def _dataset(name: str, train: np.ndarray, test: np.ndarray, where: str) -> Dataset:
    """The last 10,000 of the train images to validate; of a smaller file, the last sixth."""
    count = min(NUM_VALID, len(train) // 6)
    if not count:
        raise DataError(f"{where}: found {len(train)} train images; accepted: 6 or more")
    parts = {"train": train[:-count], "valid": train[-count:], "test": test}
    return arrays.build(name, parts, dict.fromkeys(SPLITS, where))
