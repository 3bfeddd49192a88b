from __future__ import annotations

import struct
import warnings
import zipfile

import numpy as np
import pytest

from dvae_tf import data
from dvae_tf.data.dataset import DataError

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, [30, 12], np.uint8)
GREY = RNG.random([30, 12])


@pytest.fixture
def load(tmp_path):
    """Saves arrays as own.npz, and loads it as a dataset."""

    def save_and_load(**arrays):
        np.savez(tmp_path / "own.npz", **arrays)
        return data.load(str(tmp_path / "own.npz"), "unused")

    return save_and_load


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
def test_binary_images(load, tmp_path, dtype):
    bits = BITS.astype(dtype)
    dataset = load(train=bits[:20], valid=bits[20:24], test=bits[24:])
    assert dataset.name == str(tmp_path / "own.npz")
    assert not dataset.stochastic
    for images, expected in zip(
        [dataset.train, dataset.valid, dataset.test], np.split(BITS, [20, 24]), strict=True
    ):
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(images, expected)


def test_grey_images(load):
    dataset = load(train=GREY, valid=GREY, test=GREY)
    assert dataset.stochastic
    assert dataset.train.dtype == np.float32
    np.testing.assert_allclose(dataset.train, GREY, rtol=1e-6)
    for images in (dataset.valid, dataset.test):
        assert images.dtype == np.uint8
        assert set(np.unique(images)) == {0, 1}
    assert (dataset.valid != dataset.test).any()


def test_one_grey_split_makes_the_dataset_stochastic(load):
    dataset = load(train=BITS, valid=BITS, test=GREY)
    assert dataset.stochastic
    assert dataset.train.dtype == np.float32
    np.testing.assert_array_equal(dataset.train, BITS)
    np.testing.assert_array_equal(dataset.valid, BITS)


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [
        ((3, 4), (3, 4)),
        ((4, 3), (4, 3)),
        ((16,), (4, 4)),
        ((12,), (1, 12)),
        ((1,), (1, 1)),
        ((4, 5, 1), (4, 5)),
        ((1, 4, 5), (4, 5)),
        ((4, 5, 3), (4, 5, 3)),
        ((4, 3, 3), (4, 3, 3)),
    ],
)
def test_image_shape(load, shape, image_shape):
    images = np.random.default_rng(1).integers(0, 2, [30, *shape])
    dataset = load(train=images, valid=images, test=images)
    assert dataset.image_shape == image_shape
    assert dataset.is_pictorial == (len(shape) > 1 or shape == (16,))
    np.testing.assert_array_equal(dataset.train, images.reshape(30, -1))


def test_colours_come_last(load):
    images = np.random.default_rng(1).integers(0, 2, [30, 3, 4, 5])
    dataset = load(train=images)
    first_last = load(train=images.transpose(0, 2, 3, 1))
    assert dataset.image_shape == first_last.image_shape == (4, 5, 3)
    np.testing.assert_array_equal(dataset.train, first_last.train)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_bytes_are_scaled_and_it_is_said(load, dtype, capsys):
    levels = np.random.default_rng(1).integers(0, 256, [30, 8, 8])
    dataset = load(train=levels.astype(dtype))
    assert dataset.stochastic and dataset.train.dtype == np.float32
    assert set(np.round(255 * dataset.train).ravel()) <= set(range(256))
    assert abs(dataset.train_mean.mean() - 0.5) < 0.05
    assert "own.npz: pixels from 0 to 255, taken for 8-bit ones and divided by 255" in (
        capsys.readouterr().err
    )
    with pytest.raises(DataError, match="'train': found values from 0 to 255; accepted: .*divide"):
        load(train=levels.astype(dtype), valid=BITS.repeat(2, 0)[:, :8].reshape(-1, 8)[:8][None])


def test_a_dark_split_is_of_bytes_where_another_is(load):
    levels = np.random.default_rng(1).integers(0, 256, [30, 8, 8], np.uint8)
    dataset = load(train=levels, test=levels[:4] // 3)
    np.testing.assert_allclose(dataset.train.max(), 1)
    assert 0 < dataset.test.mean() < 0.25  # were it taken as it stands, all would be ones


@pytest.mark.parametrize(
    "names",
    ["x_train x_val x_test", "train_images x_valid test", "X_train Valid X_TEST", "arr_0 val test"],
)
def test_names_that_others_use(load, names):
    parts = dict(zip(names.split(), np.split(BITS, [20, 24]), strict=True))
    dataset = load(**parts, y_train=np.zeros(20), labels=np.zeros(9))
    np.testing.assert_array_equal(dataset.valid, BITS[20:24])
    np.testing.assert_array_equal(dataset.test, BITS[24:])


def test_one_array_of_an_npy_file(tmp_path):
    np.save(tmp_path / "own.npy", np.asfortranarray(_numbered(200)))
    dataset = data.load(str(tmp_path / "own.npy"), "unused")
    parts = [dataset.split(name) for name in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [160, 20, 20]
    assert sorted(sum(map(_numbers, parts), [])) == list(range(200))
    whole = (tmp_path / "own.npy").read_bytes()
    for harm in (whole[:-1], whole + b"x", b"", b"text", whole.replace(b"<i8", b"|O8")):
        (tmp_path / "own.npy").write_bytes(harm)
        with pytest.raises(DataError, match="own.npy.*; accepted: "):
            data.load(str(tmp_path / "own.npy"), "unused")


def test_a_sparse_matrix_is_no_bomb(tmp_path):
    """900 x 20,000 numbers of 8 bytes, compressed 700 times."""
    matrix = np.zeros([900, 20_000])
    matrix[np.arange(900), np.arange(900)] = 1
    np.savez_compressed(tmp_path / "own.npz", train=matrix)
    assert (tmp_path / "own.npz").stat().st_size < matrix.nbytes / 500
    dataset = data.load(str(tmp_path / "own.npz"), "unused")
    assert sum(dataset.split(name).sum() for name in ("train", "valid", "test")) == 900


def test_contents_are_judged_by_the_free_memory(load, monkeypatch):
    monkeypatch.setattr("sampler.io.reading.ALWAYS_ALLOWED", 100)
    monkeypatch.setattr("sampler.io.memory.available", lambda: 1000)
    with pytest.raises(DataError, match="would have .* bytes; accepted: 500, half of the free mem"):
        load(train=BITS.repeat(10, 1))


def _numbered(count: int) -> np.ndarray:
    """Binary images that can be told apart."""
    return (np.arange(count)[:, None] >> np.arange(8)) & 1


def _numbers(images: np.ndarray) -> list[int]:
    return (images.astype(int) << np.arange(8)).sum(-1).tolist()


@pytest.mark.parametrize(
    ("given", "counts"),
    [((), (160, 20, 20)), (("valid",), (180, 5, 20)), (("test",), (180, 20, 5))],
)
def test_missing_splits_are_cut_from_train(load, given, counts):
    own = {name: np.ones([5, 8]) for name in given}
    dataset = load(train=_numbered(200), **own)
    assert (len(dataset.train), len(dataset.valid), len(dataset.test)) == counts
    parts = [dataset.split(name) for name in ("train", "valid", "test") if name not in given]
    assert sorted(sum(map(_numbers, parts), [])) == list(range(200))
    # Random, since files are often sorted by class; the last or first tenth would be biased.
    assert 40 < np.mean(_numbers(parts[1])) < 160


def test_missing_splits_are_always_the_same(load):
    first, again = (load(train=_numbered(200)) for _ in range(2))
    np.testing.assert_array_equal(first.valid, again.valid)
    np.testing.assert_array_equal(first.test, again.test)


def test_three_images_are_enough(load):
    dataset = load(train=_numbered(3))
    assert sorted(_numbers(np.concatenate([dataset.train, dataset.valid, dataset.test]))) == [
        0,
        1,
        2,
    ]


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train", BITS * 255, "found values from 0 to 255; accepted: .*divide 8-bit pixels by 255"),
        ("train", BITS * 4, "found values from 0 to 4; accepted: pixels in .0, 1.$"),
        ("train", BITS * 127.5, "found values from 0 to 127.5; accepted: pixels in .0, 1.$"),
        ("train", GREY - 0.5, "found values from -0.4.* to 0.4.*; accepted: pixels in .0, 1.$"),
        ("train", np.where(GREY < 0.1, np.nan, GREY), "found NaN or infinity; accepted"),
        ("test", np.where(GREY < 0.1, np.inf, GREY), "found NaN or infinity; accepted"),
        ("valid", BITS[:0], r"found no image, shape \(0, 12\); accepted"),
        ("valid", BITS[:, :6], r"found shape \(30, 6\); accepted: images of shape \(12,\)"),
        ("valid", BITS.reshape(30, 3, 4), r"found shape \(30, 3, 4\); accepted: images of shape"),
        ("train", BITS[0], r"found shape \(12,\); accepted: \[N, D\], \[N, H, W\]"),
        ("train", BITS.reshape(30, 2, 3, 2), r"found shape \(30, 2, 3, 2\); accepted: \[N, D\]"),
        ("train", np.array(1.0), r"found shape \(\); accepted: \[N, D\]"),
        ("test", BITS.astype(str), "has dtype <U.*; accepted: bool, integers or floats"),
        ("test", BITS * 1j, "has dtype complex128; accepted"),
    ],
)
def test_errors_name_the_array(load, name, array, message):
    with pytest.raises(DataError, match=f"own.npz: array '{name}':? {message}") as caught:
        load(**{"train": BITS, "valid": BITS, "test": BITS, name: array})
    assert "\n" not in str(caught.value)


def test_too_few_images_to_split(load):
    with pytest.raises(DataError, match="found 2 images, too few to take valid and test from"):
        load(train=BITS[:2])


def test_without_train(load):
    with pytest.raises(
        DataError, match="found the arrays 'test', 'x'; accepted: .* train, x_train, "
    ):
        load(test=BITS, x=BITS)


def test_objects_are_never_unpickled(load):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    with pytest.raises(DataError, match="own.npz: cannot be read .Object arrays .*; accepted"):
        load(train=np.array([Bomb()], object))


def _damaged(whole: bytes, damage: str) -> bytes:
    middle = len(whole) // 2
    return {
        "truncated": whole[:middle],
        "empty": b"",
        "text": b"not an archive\n",
        "npy": b"\x93NUMPY" + whole[6:middle],
        "index": whole.replace(b"PK\x01\x02", b"PK??"),
        "flipped": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
    }[damage]


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "npy", "index", "flipped"])
def test_a_damaged_file(tmp_path, damage):
    path = tmp_path / "own.npz"
    np.savez(path, train=RNG.integers(0, 2, [3000, 12], np.uint8))
    path.write_bytes(_damaged(path.read_bytes(), damage))
    with pytest.raises(DataError, match="own.npz: (cannot be read|not a zip)") as caught:
        data.load(str(path), "unused")
    message = str(caught.value)
    assert "\n" not in message
    assert "accepted: an .npz file with the arrays train, valid, test of numbers" in message
    assert "pickle" not in message


@pytest.mark.parametrize(
    ("header", "message"),
    [
        # NumPy warns of such old headers, and would print it with a line of its own source
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (1L, 784)}", "Python 2"),
        (
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 784), '\x1b\n': 0}",
            "x1b|unterminated string",
        ),
        ("{'descr': '\\d', 'fortran_order': False, 'shape': (1,)}", "cannot be read"),
    ],
)
def test_an_odd_header_is_an_error_of_one_printable_line(tmp_path, header, message):
    entry = header.encode() + b"\n"
    entry = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(entry)) + entry + bytes(784)
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("train.npy", entry)
    with warnings.catch_warnings(), pytest.raises(DataError, match=message) as caught:
        warnings.simplefilter("default")  # as in the programs
        data.load(str(tmp_path / "own.npz"), "unused")
    assert str(caught.value).isprintable()


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(DataError, match=r"none.npz: cannot be read \(No such file"):
        data.load(str(tmp_path / "none.npz"), tmp_path)
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(DataError, match=r"folder.npz: cannot be read \(not a regular file"):
        data.load(str(tmp_path / "folder.npz"), tmp_path)


@pytest.mark.parametrize("name", ["~nobody-of-that-name/own.npz", "x" * 300 + ".npz"])
def test_a_name_that_can_be_none_is_an_error_of_one_line(name):
    with pytest.raises(DataError, match="cannot be read"):
        data.load(name, "unused")


def test_no_image_among_bytes_is_what_is_told(load):
    """And not that the others are bytes, which they may be."""
    with pytest.raises(DataError, match="array 'test': found no image, shape"):
        load(train=BITS * 255, test=BITS[:0])
