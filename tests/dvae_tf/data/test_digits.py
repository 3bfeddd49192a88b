from __future__ import annotations

import hashlib

import numpy as np
from sklearn.datasets import load_digits

from dvae_tf import data


def test_splits():
    digits = data.load("digits", "unused")
    assert digits.train.shape == (1297, 64)
    assert digits.valid.shape == (200, 64)
    assert digits.test.shape == (300, 64)
    assert {images.dtype for images in (digits.train, digits.valid, digits.test)} == {
        np.dtype("u1")
    }
    assert digits.image_shape == (8, 8)
    assert not digits.stochastic


def test_every_image_is_in_one_split():
    digits = data.load("digits", "unused")
    together = np.concatenate([digits.train, digits.valid, digits.test])
    expected = (load_digits().data > 7.5).astype(np.uint8)
    np.testing.assert_array_equal(*(x[np.lexsort(x.T)] for x in (together, expected)))


def test_the_split_never_changes():
    # Results on one test set are comparable only as long as it is the same set.
    test = data.load("digits", "unused").test
    assert hashlib.sha256(test.tobytes()).hexdigest()[:16] == "934b35e1eaf46c20"
