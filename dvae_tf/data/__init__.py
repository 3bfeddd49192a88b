"""Datasets by name. To add one, write a file with a `load(data_dir)` and enter it here."""

import os
from collections.abc import Callable
from pathlib import Path

from dvae_tf.data import arrays, binarized_mnist, digits, mnist, omniglot
from dvae_tf.data.dataset import DataError, Dataset

__all__ = ["DATASETS", "DataError", "Dataset", "check_name", "load"]

DATASETS: dict[str, Callable[[Path], Dataset]] = {
    "digits": digits.load,
    "binarized_mnist": binarized_mnist.load,
    "omniglot": omniglot.load,
    "mnist": mnist.load,
    "fashion_mnist": mnist.load_fashion,
}


def load(name: str, data_dir: str | Path) -> Dataset:
    """Loads a dataset.

    Args:
      name: a name in DATASETS, or a path ending in .npz or .npy (see `arrays.load`); DataError for
        others.
      data_dir: folder of the registered datasets' files; missing files are downloaded into it.
    """
    check_name(name)
    if name in DATASETS:
        return DATASETS[name](Path(os.path.expanduser(data_dir)))
    return arrays.load(Path(os.path.expanduser(name)))


def check_name(name: str) -> None:
    """Raises DataError for what is neither a registered name nor a path to a file of arrays."""
    if name not in DATASETS and not name.lower().endswith((".npz", ".npy")):
        raise DataError(
            f"--dataset={name}: no such dataset; "
            f"accepted: {', '.join(DATASETS)}, or a path to an .npz or .npy file"
        )
