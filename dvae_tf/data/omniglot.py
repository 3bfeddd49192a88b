"""OMNIGLOT (Lake et al. 2015) at 28x28 pixels, as Burda et al. prepared it for the IWAE."""

from pathlib import Path

import numpy as np
from absl import logging

from dvae_tf.data import pixels
from dvae_tf.data.dataset import DataError, Dataset, binarise
from dvae_tf.data.download import download
from dvae_tf.data.mat import read_mat
from sampler.io.errors import expect

# No checksum of this file is published beside it; a download is checked for its length, and every
# value of it when it is read.
URL = "https://raw.githubusercontent.com/yburda/iwae/master/datasets/OMNIGLOT/chardata.mat"

LARGEST_DOWNLOAD = 256 << 20
"""Bytes: the full set's 32,415 images as float64, not compressed, are 203 MB."""

SIDE = 28
VALID_FRACTION = 1345 / 24345


def load(data_dir: Path) -> Dataset:
    """Reads `chardata.mat` from `data_dir`, or `omniglot_small.mat`, or downloads the former.

    Both have images as columns, in [0, 1]: `data` (784, N) to train and validate, `testdata`
    (784, M). The last 1345 of the full set's 24345 columns validate, as in the literature, and the
    same fraction of any other file's: the small file is shuffled (neighbouring columns are no more
    alike than any two), so that its last are as good as any. Train is float32 [N, 784], of
    probabilities (`stochastic`); valid and test are binarised once, with fixed seeds.

    Raises:
      DataError: the file cannot be downloaded or read, lacks an array, or has one of another
        shape or with values outside [0, 1].
    """
    path = _find(data_dir)
    arrays = read_mat(path, ("data", "testdata"))
    images = _images(arrays["data"], f"{path}: array 'data'")
    accepted = "2 or more, 1 to validate"
    expect(len(images) > 1, f"{path}: array 'data'", "1 column", accepted, DataError)
    num_valid = max(1, round(VALID_FRACTION * len(images)))
    return Dataset(
        name="omniglot",
        train=images[:-num_valid],
        valid=binarise(images[-num_valid:], seed=0),
        test=binarise(_images(arrays["testdata"], f"{path}: array 'testdata'"), seed=1),
        image_shape=(SIDE, SIDE),
        stochastic=True,
    )


def _find(data_dir: Path) -> Path:
    """The file to read, the full set before the small one, downloaded if there is neither."""
    full, small = data_dir / "chardata.mat", data_dir / "omniglot_small.mat"
    if full.exists():
        return full
    if small.exists():
        logging.warning(
            "omniglot: no chardata.mat, so reading %s, a subset: "
            "likelihoods are not comparable with published ones.",
            small,
        )
        return small
    download(URL, full, LARGEST_DOWNLOAD)
    return full


def _images(columns: np.ndarray, where: str) -> np.ndarray:
    """Row-major images, float32 [N, 784], from column-major ones in columns, (784, N)."""
    columns = pixels.check_pixels(columns, where)
    fit = columns.ndim == 2 and columns.shape[0] == SIDE * SIDE
    accepted = f"({SIDE * SIDE}, N), an image per column"
    expect(fit, where, f"shape {columns.shape}", accepted, DataError)
    images: np.ndarray = columns.T.reshape(-1, SIDE, SIDE).swapaxes(1, 2)
    return images.reshape(-1, SIDE * SIDE).astype(np.float32, copy=False)
