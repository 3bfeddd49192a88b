from __future__ import annotations

import gzip

import numpy as np
import pytest

from dvae_tf import data
from dvae_tf.data.binarized_mnist import read_amat
from dvae_tf.data.dataset import DataError

SPLITS = ("train", "valid", "test")


def _images(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, [rows, 784], np.uint8)


def _text(images: np.ndarray, separator: str = " ", newline: str = "\n") -> str:
    return "".join(separator.join(map(str, row)) + newline for row in images)


def _write_amat(folder, images: dict[str, np.ndarray]) -> None:
    for split, rows in images.items():
        (folder / f"binarized_mnist_{split}.amat").write_text(_text(rows))


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    return {split: _images(4 + i, seed=i) for i, split in enumerate(SPLITS)}


def _check(dataset, images) -> None:
    for split, expected in images.items():
        np.testing.assert_array_equal(dataset.split(split), expected)
        assert dataset.split(split).dtype == np.uint8
    assert dataset.image_shape == (28, 28)
    assert not dataset.stochastic


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.float32])
def test_npz(tmp_path, images, dtype):
    arrays = {split: rows.astype(dtype) for split, rows in images.items()}
    np.savez_compressed(tmp_path / "binarized_mnist.npz", **arrays)
    _check(data.load("binarized_mnist", tmp_path), images)


def test_amat(tmp_path, images):
    _write_amat(tmp_path, images)
    _check(data.load("binarized_mnist", tmp_path), images)


def test_the_archive_comes_before_the_text_files(tmp_path, images):
    _write_amat(tmp_path, {split: 1 - rows for split, rows in images.items()})
    np.savez(tmp_path / "binarized_mnist.npz", **images)
    _check(data.load("binarized_mnist", tmp_path), images)


def test_amat_compressed(tmp_path, images):
    _write_amat(tmp_path, images)
    plain = tmp_path / "binarized_mnist_valid.amat"
    plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    _check(data.load("binarized_mnist", tmp_path), images)


@pytest.mark.parametrize(
    "text",
    [
        _text(_images(3)).rstrip("\n"),
        _text(_images(3), newline=" \n"),
        _text(_images(3), newline="\r\n"),
        _text(_images(3), newline="\n\n"),
        _text(_images(3), separator="\t"),
        _text(_images(3), separator="  "),
    ],
    ids=["no last newline", "trailing space", "Windows", "blank lines", "tabs", "two spaces"],
)
def test_amat_spacing_does_not_matter(tmp_path, text):
    path = tmp_path / "x.amat"
    path.write_bytes(text.encode())
    np.testing.assert_array_equal(read_amat(path), _images(3))


def _spoil(line: int, start: int, replacement: str) -> str:
    lines = _text(_images(3)).splitlines(keepends=True)
    lines[line - 1] = lines[line - 1][:start] + replacement + lines[line - 1][start + 1 :]
    return "".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_text(_images(3))[:-568], "line 3: found 500 values;"),
        (_spoil(2, 10, "2"), "line 2: found '2';"),
        (_spoil(2, 10, "x"), "line 2: found 'x';"),
        (_spoil(1, 10, "-1"), "line 1: found '-1';"),
        (_spoil(3, 11, ""), "line 3: found '[01][01]';"),
        (_spoil(3, 11, ","), "line 3: found '[01],[01]';"),
        (_spoil(2, 10, "\x00"), r"line 2: found '\\x00';"),
        (_spoil(2, 10, " "), "line 2: found 783 values;"),
        (_spoil(1, 10, "1 1"), "line 1: found 785 values;"),
        ("<!DOCTYPE html>\n<html>\n", "line 1: found '<!DOCTYPE';"),
        ("", ": found an empty file;"),
        ("\n\n", ": found an empty file;"),
    ],
)
def test_amat_errors_name_the_line(tmp_path, text, message):
    path = tmp_path / "x.amat"
    path.write_text(text)
    with pytest.raises(DataError, match=f"x.amat.*{message} accepted: .*784 values, each 0 or 1"):
        read_amat(path)


def test_amat_truncated_gzip(tmp_path):
    path = tmp_path / "x.amat.gz"
    path.write_bytes(gzip.compress(_text(_images(20)).encode())[:-500])
    with pytest.raises(DataError, match="x.amat.gz: cannot be read"):
        read_amat(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros([3, 783], np.uint8), r"found shape \(3, 783\); accepted: \(N, 784\)"),
        (np.zeros([3, 28, 28], np.uint8), r"found shape \(3, 28, 28\); accepted: \(N, 784\)"),
        (np.zeros([0, 784], np.uint8), "found no image"),
        (np.full([3, 784], 0.5), "found values between 0 and 1; accepted: 0 and 1 only"),
        (np.full([3, 784], 2), "found values from 2 to 2; accepted: "),
        (np.full([3, 784], "1"), "has dtype <U1; accepted: "),
    ],
)
def test_npz_errors_name_the_array(tmp_path, images, array, message):
    np.savez(tmp_path / "binarized_mnist.npz", **{**images, "valid": array})
    with pytest.raises(DataError, match=f"binarized_mnist.npz: array 'valid':? {message}"):
        data.load("binarized_mnist", tmp_path)


def test_npz_without_a_split(tmp_path, images):
    np.savez(tmp_path / "binarized_mnist.npz", train=images["train"], test=images["test"])
    with pytest.raises(
        DataError, match="array 'valid' is missing; found: 'test', 'train'; accepted"
    ):
        data.load("binarized_mnist", tmp_path)


def test_only_the_missing_file_is_downloaded(tmp_path, images):
    _write_amat(tmp_path, {split: images[split] for split in ("train", "test")})
    with pytest.raises(DataError) as caught:
        data.load("binarized_mnist", tmp_path)
    message = str(caught.value)
    assert message.startswith("http://127.0.0.1:")
    assert f"put the file at {tmp_path}/binarized_mnist_valid.amat yourself" in message
    assert "--dataset=digits" in message


def test_other_row_counts_are_warned_of(tmp_path, images, caplog):
    np.savez(tmp_path / "binarized_mnist.npz", **images)
    data.load("binarized_mnist", tmp_path)
    assert "{'train': 4, 'valid': 5, 'test': 6} images" in caplog.text


def test_the_real_files(real_data, caplog):
    mnist = data.load("binarized_mnist", real_data)
    assert [len(mnist.split(split)) for split in SPLITS] == [50_000, 10_000, 10_000]
    assert not caplog.text
    # MNIST's own statistic: 13% of the pixels are ink, and none in the corners.
    assert mnist.train_mean.mean() == pytest.approx(0.13, abs=0.005)
    assert not mnist.train_mean.reshape(28, 28)[[0, 0, -1, -1], [0, -1, 0, -1]].any()
