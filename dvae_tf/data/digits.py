"""The 8x8 handwritten digits that ship with scikit-learn: no files, no network."""

from pathlib import Path

import numpy as np

from dvae_tf.data.dataset import Dataset, random_state

THRESHOLD = 8
"""Pixels run from 0 to 16; from half of that on they are ink."""

NUM_VALID = 200
NUM_TEST = 300


def load(data_dir: Path) -> Dataset:
    """scikit-learn's `load_digits`, 1797 images, binarised at half intensity.

    The order is shuffled once and for all, and cut into 1297 images to train, 200 to validate
    and 300 to test: uint8 [N, 64]. `data_dir` is not used.
    """
    del data_dir
    # Slow to import, and no other dataset needs it.
    from sklearn.datasets import load_digits

    images = (load_digits().data >= THRESHOLD).astype(np.uint8)
    images = images[random_state(0).permutation(len(images))]
    train, valid, test = np.split(images, [-NUM_TEST - NUM_VALID, -NUM_TEST])
    return Dataset("digits", train, valid, test, image_shape=(8, 8), stochastic=False)
