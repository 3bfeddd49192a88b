from __future__ import annotations

import numpy as np
import pytest

from dvae_tf import data
from dvae_tf.data.dataset import DataError, Dataset, binarise

BITS = np.eye(6, dtype=np.uint8)


def _dataset(**changes) -> Dataset:
    images = np.array([[0, 1, 1, 0, 0, 0], [0, 1, 0, 0, 0, 1]], np.uint8)
    fields = {"train": images, "valid": images[:1], "test": images[1:], **changes}
    return Dataset("tiny", **fields, image_shape=(2, 3), stochastic=False)


def test_split_returns_the_named_images():
    dataset = _dataset()
    assert dataset.split("train") is dataset.train
    assert dataset.split("valid") is dataset.valid
    assert dataset.split("test") is dataset.test


@pytest.mark.parametrize("name", ["validation", "name", "image_shape", ""])
def test_another_split_is_refused(name):
    with pytest.raises(DataError, match=f"'{name}'.*accepted: train, valid, test"):
        _dataset().split(name)


def test_train_mean():
    mean = _dataset().train_mean
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean, [0, 1, 0.5, 0, 0, 0.5])


def test_train_mean_does_not_drift_over_many_rows():
    # Added up in float32, ones stop counting at 2^24; a tenth loses digits long before that.
    train = np.full([200_000, 6], 0.1, np.float32)
    dataset = Dataset("grey", train, *2 * [BITS], image_shape=(2, 3), stochastic=True)
    np.testing.assert_allclose(dataset.train_mean, 0.1, rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 6), (3, 5), (3, 2, 3), (6,)])
def test_a_split_of_another_shape_is_refused(shape):
    with pytest.raises(DataError, match="tiny: split 'valid' has shape .*accepted: .N, 6."):
        _dataset(valid=np.zeros(shape, np.uint8))


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("pixels", [16 * BITS, 255 * BITS, 0.5 * BITS, np.nan * BITS])
def test_pixels_that_are_no_bits_are_refused(split, pixels):
    with pytest.raises(DataError, match=f"tiny: images of split '{split}': found .*; accepted: "):
        _dataset(**{split: pixels})


def test_binarise_draws_each_pixel_with_its_probability():
    probabilities = np.array([0.0, 0.1, 0.5, 0.9, 1.0], np.float32)
    n = 20_000
    bits = binarise(np.tile(probabilities, (n, 1)), seed=3)
    assert bits.dtype == np.uint8
    error = np.sqrt(probabilities * (1 - probabilities) / n)
    # Five standard errors, which for 0 and 1 are none.
    assert np.all(np.abs(bits.mean(0) - probabilities) <= 5 * error)


def test_binarise_is_fixed_by_its_seed():
    half = np.full([20, 20], 0.5)
    np.testing.assert_array_equal(binarise(half, seed=1), binarise(half, seed=1))
    assert (binarise(half, seed=1) != binarise(half, seed=2)).any()


def test_binarise_never_changes():
    # The bits of a test set, as published results have them: they may not vary with NumPy.
    assert "".join(map(str, binarise(np.full(24, 0.5), seed=0))) == "000010100100001110000010"


def test_an_unknown_name_lists_what_is_accepted(tmp_path):
    with pytest.raises(DataError) as caught:
        data.load("svhn", tmp_path)
    assert str(caught.value) == (
        "--dataset=svhn: no such dataset; accepted: digits, binarized_mnist, omniglot, mnist, "
        "fashion_mnist, or a path to an .npz or .npy file"
    )


def test_load_looks_names_up_in_the_registry(tmp_path, monkeypatch):
    monkeypatch.setitem(data.DATASETS, "tiny", lambda folder: _dataset() if folder else None)
    assert data.load("tiny", str(tmp_path)).name == "tiny"


def test_load_expands_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "own.npz", train=np.eye(30, dtype=bool))
    assert data.load("~/own.npz", "unused").image_shape == (1, 30)
