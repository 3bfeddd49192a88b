"""Statically binarised MNIST (Salakhutdinov and Murray 2008), in Larochelle's split.

The bits were drawn once, by the authors, so that every paper's likelihoods are of the same images.
"""

import gzip
import io
from functools import partial
from pathlib import Path

import numpy as np
from absl import logging

from dvae_tf.data import pixels
from dvae_tf.data.dataset import SPLITS, DataError, Dataset
from dvae_tf.data.download import download
from sampler.io import reading
from sampler.io.errors import expect
from sampler.io.npz import read_npz

# No checksum of these files is published beside them; a download is checked for its length, and
# every value of it when it is read.
URL = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/{filename}"

LARGEST_DOWNLOAD = 100 << 20
"""Bytes: the largest of the files, train, has 50,000 lines of 1568 bytes, 78 MB."""

PIXELS = 784
_LONGEST_LINE = 16 * PIXELS
_MOST_BLANK_LINES = 1000
PUBLIC_ROWS = {"train": 50_000, "valid": 10_000, "test": 10_000}


def load(data_dir: Path) -> Dataset:
    """Reads binarised MNIST, uint8 [N, 784]; the public files have 50000, 10000 and 10000 rows.

    Takes `binarized_mnist.npz` (arrays train, valid, test) from `data_dir`, or else the public
    `binarized_mnist_{train,valid,test}.amat` (or .amat.gz), downloading those that are missing.

    Raises:
      DataError: a file cannot be downloaded or read, or is not rows of 784 values 0 or 1.
    """
    archive = data_dir / "binarized_mnist.npz"
    if archive.exists():
        arrays = read_npz(archive, SPLITS, required=SPLITS)
        splits = {name: _bits(a, f"{archive}: array {name!r}") for name, a in arrays.items()}
    else:
        splits = {split: read_amat(_amat_path(data_dir, split)) for split in SPLITS}
    rows = {split: len(images) for split, images in splits.items()}
    if rows != PUBLIC_ROWS:
        logging.warning(
            "binarized_mnist: %s images where the public files have %s: "
            "likelihoods are not comparable with published ones.",
            rows,
            PUBLIC_ROWS,
        )
    return Dataset("binarized_mnist", **splits, image_shape=(28, 28), stochastic=False)


def _bits(array: np.ndarray, where: str) -> np.ndarray:
    array = pixels.check_pixels(array, where)
    fit = array.ndim == 2 and array.shape[1] == PIXELS
    expect(fit, where, f"shape {array.shape}", f"(N, {PIXELS})", DataError)
    binary = pixels.is_binary(array)
    expect(binary, where, "values between 0 and 1", "0 and 1 only", DataError)
    return array.astype(np.uint8, copy=False)


def _amat_path(data_dir: Path, split: str) -> Path:
    """The split's text file, compressed or not, downloaded if there is neither."""
    path = data_dir / f"binarized_mnist_{split}.amat"
    compressed = path.with_name(path.name + ".gz")
    if compressed.exists() and not path.exists():
        return compressed
    if not path.exists():
        download(URL.format(filename=path.name), path, LARGEST_DOWNLOAD)
    return path


def read_amat(path: Path) -> np.ndarray:
    """Images of a text file with 784 values 0 or 1 on each line: uint8 [N, 784].

    Raises:
      DataError: it cannot be read, is empty, or has a line of anything else (which one, and what).
    """
    with reading.opened(path, "lines of text") as file:
        rows = _rows(gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file, path)
    accepted = f"lines of {PIXELS} values, each 0 or 1"
    expect(rows, str(path), "an empty file", accepted, DataError)
    return np.frombuffer(rows, np.uint8).reshape(-1, PIXELS) & 1  # of the characters 0 and 1


def _rows(lines: io.BufferedIOBase, path: Path) -> bytearray:
    """The characters 0 and 1 of all lines, without blank lines."""
    rows, size, blank = bytearray(), 0, 0
    for number, line in enumerate(iter(partial(lines.readline, _LONGEST_LINE), b""), 1):
        size += len(line)
        reading.check_size(path, size)
        blank += line.isspace()
        if not line.isspace():
            rows += _row(line, f"{path}, line {number}")
        few = blank <= _MOST_BLANK_LINES
        expect(few, str(path), f"more than {_MOST_BLANK_LINES} blank lines", "fewer", DataError)
    return rows


def _row(line: bytes, where: str) -> bytes:
    """The 784 characters 0 and 1 of a line; DataError if it has any others."""
    # One character between values, as in the public files: no need to make a list of them.
    text = line.rstrip()
    row, gaps = text[::2], text[1::2]
    if len(row) == PIXELS and gaps.isspace() and not row.translate(None, b"01"):
        return row
    values = line.split()
    odd = next((value for value in values if value not in (b"0", b"1")), None)
    if odd is None and len(values) == PIXELS:
        return b"".join(values)
    found = f"{len(values)} values" if odd is None else repr(odd[:20].decode("latin-1"))
    if len(line) == _LONGEST_LINE:
        found = f"a line of more than {_LONGEST_LINE} bytes"
    accepted = f"{PIXELS} values, each 0 or 1, separated by spaces"
    raise DataError(f"{where}: found {found}; accepted: {accepted}")
