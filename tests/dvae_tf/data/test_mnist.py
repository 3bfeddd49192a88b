from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from dvae_tf import data
from dvae_tf.data import mnist
from dvae_tf.data.dataset import DataError

LEVELS = np.random.default_rng(0).integers(0, 256, [80, 28, 28], np.uint8)
TRAIN, TEST = LEVELS[:60], LEVELS[60:]


def idx(images: np.ndarray) -> bytes:
    """The file format's layout, http://yann.lecun.com/exdb/mnist: big-endian, magic first."""
    return struct.pack(">4I", 0x803, *images.shape) + images.tobytes()


def write_idx(folder, compressed: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, images in (("train-images-idx3-ubyte", TRAIN), ("t10k-images-idx3-ubyte", TEST)):
        content = gzip.compress(idx(images)) if compressed else idx(images)
        (folder / (name + ".gz" * compressed)).write_bytes(content)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def check(dataset, name: str) -> None:
    """The last sixth validates, of the real files the last 10,000."""
    assert dataset.name == name and dataset.stochastic and dataset.image_shape == (28, 28)
    np.testing.assert_allclose(dataset.train, TRAIN[:50].reshape(50, -1) / 255, rtol=1e-6)
    for bits, levels in ((dataset.valid, TRAIN[50:]), (dataset.test, TEST)):
        assert bits.dtype == np.uint8 and bits.shape == (len(levels), 784)
        levels = levels.reshape(len(levels), -1)
        assert bits[levels == 255].all() and not bits[levels == 0].any()
        # five standard errors of bits with a variance of 1/6 on average
        assert abs(bits.mean() - levels.mean() / 255) < 5 * np.sqrt(1 / 6 / bits.size)


@pytest.mark.parametrize(
    ("name", "folder", "compressed"),
    [
        ("mnist", ".", True),
        ("mnist", "MNIST/raw", False),
        ("fashion_mnist", "FashionMNIST/raw", False),
        ("fashion_mnist", "fashion-mnist", True),
    ],
)
def test_original_files(name, folder, compressed, tmp_path):
    write_idx(tmp_path / "data" / folder, compressed)
    check(data.load(name, tmp_path / "data"), name)


def test_original_files_by_their_other_names(tmp_path):
    write_idx(tmp_path, False)
    for path in tmp_path.glob("*-idx3-ubyte"):  # and packed without a word
        path.rename(tmp_path / path.name.replace("-idx3", ".idx3"))
    train = tmp_path / "train-images.idx3-ubyte"
    train.write_bytes(gzip.compress(train.read_bytes()))
    check(data.load("mnist", tmp_path), "mnist")


def test_keras_archive(tmp_path, home):
    keras = home / ".keras" / "datasets"
    keras.mkdir(parents=True)
    labels = np.zeros(60, np.uint8)
    np.savez(keras / "mnist.npz", x_train=TRAIN, x_test=TEST, y_train=labels, y_test=labels)
    check(data.load("mnist", tmp_path / "data"), "mnist")
    write_idx(keras / "fashion-mnist", True)
    check(data.load("fashion_mnist", tmp_path / "data"), "fashion_mnist")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_nothing_there_says_what_would_do(name, tmp_path):
    with pytest.raises(DataError, match=rf"--dataset={name}: found none of .*{name}\.npz, .*ubyte"):
        data.load(name, tmp_path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (idx(TRAIN)[:-1], "it ends after"),
        (idx(TRAIN) + b"x", "it goes on"),
        (b"\0\0\x08\x01" + idx(TRAIN)[4:], "it begins with 0x00000801"),
        (b"", "unpack requires"),
        (struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 28), "contents would have"),
    ],
)
def test_damaged_files_are_named(content, found, tmp_path):
    for packed in (content, gzip.compress(content)):
        path = tmp_path / "x.gz"  # whatever it is called
        path.write_bytes(packed)
        with pytest.raises(DataError, match=f"{path}: .*{found}"):
            mnist.read_idx(path)
