from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import scipy.io

from dvae_tf import data
from dvae_tf.data.dataset import DataError
from dvae_tf.data.mat import read_mat, read_shapes


def _columns(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random([784, count])


def _save(path, **arrays) -> None:
    scipy.io.savemat(path, {"data": _columns(50, 0), "testdata": _columns(5, 1), **arrays})


def test_columns_become_rows_in_order(tmp_path):
    _save(tmp_path / "chardata.mat")
    omniglot = data.load("omniglot", tmp_path)
    # 50 * 1345 / 24345 = 2.8, so 3 to validate.
    assert omniglot.train.shape == (47, 784)
    assert omniglot.valid.shape == (3, 784)
    assert omniglot.test.shape == (5, 784)
    for i in (0, 46):
        expected = _columns(50, 0)[:, i].reshape(28, 28, order="F")
        np.testing.assert_allclose(omniglot.train[i].reshape(28, 28), expected, rtol=1e-6)


def test_images_are_upright(tmp_path):
    # A bar along the top row: in MATLAB's order, every 28th value.
    bar = np.zeros([784, 40])
    bar[::28] = 1
    _save(tmp_path / "chardata.mat", data=bar, testdata=bar)
    omniglot = data.load("omniglot", tmp_path)
    for images in (omniglot.train, omniglot.valid, omniglot.test):
        grid = images.reshape(-1, 28, 28)
        assert (grid[:, 0] == 1).all()
        assert not grid[:, 1:].any()


def test_train_stays_grey_and_the_rest_is_binary(tmp_path):
    _save(tmp_path / "chardata.mat")
    omniglot = data.load("omniglot", tmp_path)
    assert omniglot.stochastic
    assert omniglot.train.dtype == np.float32
    for images in (omniglot.valid, omniglot.test):
        assert images.dtype == np.uint8
        assert set(np.unique(images)) == {0, 1}


def test_the_last_columns_validate(tmp_path):
    columns = np.zeros([784, 40])
    columns[:, -2:] = 1
    _save(tmp_path / "chardata.mat", data=columns)
    omniglot = data.load("omniglot", tmp_path)
    assert omniglot.valid.all()
    assert not omniglot.train.any()


def test_at_least_one_column_validates(tmp_path):
    _save(tmp_path / "chardata.mat", data=_columns(2, 0))
    omniglot = data.load("omniglot", tmp_path)
    assert len(omniglot.train) == len(omniglot.valid) == 1


def test_the_full_set_validates_on_1345(tmp_path):
    columns = np.zeros([784, 24345], np.uint8)
    scipy.io.savemat(
        tmp_path / "chardata.mat",
        {"data": columns, "testdata": columns[:, :1]},
        do_compression=True,
    )
    omniglot = data.load("omniglot", tmp_path)
    assert len(omniglot.train) == 23_000
    assert len(omniglot.valid) == 1345


def test_valid_and_test_are_binarised_once(tmp_path):
    half = np.full([784, 40], 0.5)
    _save(tmp_path / "chardata.mat", data=half, testdata=half)
    first, again = (data.load("omniglot", tmp_path) for _ in range(2))
    np.testing.assert_array_equal(first.valid, again.valid)
    np.testing.assert_array_equal(first.test, again.test)
    # With their own noise: equal seeds would repeat it.
    assert (first.valid != first.test[: len(first.valid)]).any()


def test_the_small_file_stands_in_with_a_warning(tmp_path, caplog):
    _save(tmp_path / "omniglot_small.mat")
    assert len(data.load("omniglot", tmp_path).train) == 47
    assert "omniglot_small.mat" in caplog.text


def test_the_full_file_comes_first(tmp_path, caplog):
    _save(tmp_path / "omniglot_small.mat")
    _save(tmp_path / "chardata.mat", data=_columns(20, 2))
    assert len(data.load("omniglot", tmp_path).train) == 19
    assert not caplog.text


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("data", np.zeros([40, 784]), r"found shape \(40, 784\); accepted: \(784, N\)"),
        ("data", np.zeros([784, 1]), "found 1 column; accepted: 2 or more"),
        ("testdata", np.zeros([784, 0]), "found no image"),
        ("testdata", np.zeros([28, 28, 4]), r"found shape \(28, 28, 4\); accepted: \(784, N\)"),
        ("data", np.full([784, 9], np.nan), "found NaN or infinity"),
        ("data", np.full([784, 9], -np.inf), "found NaN or infinity"),
        ("testdata", np.full([784, 9], 255.0), "found values from 255 to 255; .*divide .* by 255"),
        ("testdata", np.full([784, 9], -0.1), "found values from -0.1 to -0.1"),
        ("data", np.array([["a"] * 9] * 784, object), "is a cell array; accepted: real"),
        ("data", np.full([784, 9], 1j), "is complex; accepted: real numbers"),
    ],
)
def test_errors_name_the_array(tmp_path, name, array, message):
    _save(tmp_path / "chardata.mat", **{name: array})
    with pytest.raises(DataError, match=f"chardata.mat: array '{name}':? {message}"):
        data.load("omniglot", tmp_path)


def test_a_missing_array(tmp_path):
    scipy.io.savemat(tmp_path / "chardata.mat", {"data": _columns(4, 0), "target": np.eye(3)})
    with pytest.raises(DataError, match="'testdata' is missing; found: 'data', 'target'; accepted"):
        data.load("omniglot", tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "garbage", "folder"])
def test_a_damaged_file(tmp_path, damage):
    path = tmp_path / "chardata.mat"
    _save(path)
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        garbage = np.random.default_rng(0).bytes(500)
        contents = {"truncated": whole[:5000], "empty": b"", "text": b"404: Not Found\n" * 20}
        path.write_bytes(contents.get(damage, garbage))
    with pytest.raises(DataError, match=r"chardata.mat: cannot be read \(.+\); accepted: a MATLAB"):
        data.load("omniglot", tmp_path)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f4", "f8", "i8", "?"])
@pytest.mark.parametrize("form", [{}, {"do_compression": True}, {"format": "4"}])
def test_arrays_are_those_that_scipy_reads(tmp_path, dtype, form):
    generator = np.random.default_rng(0)
    arrays = {
        name: generator.integers(0, 2, shape).astype(dtype)
        for name, shape in {"one": (1, 1), "row": (1, 3), "table": (7, 5), "a" * 31: (2, 3)}.items()
    }
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {**arrays, "text": "abc", "other": np.eye(3) * 1j}, **form)
    read, expected = read_mat(path, list(arrays)), scipy.io.loadmat(path)
    assert set(read) == set(arrays)
    for name, array in read.items():
        np.testing.assert_array_equal(array, expected[name])
    scipy_only = {"struct": {"a": 1}, "cell": np.array([1, "b"], object)}
    if "format" not in form:
        scipy.io.savemat(path, {**scipy_only, "row": arrays["row"]}, **form)
        np.testing.assert_array_equal(read_mat(path, ["row"])["row"], arrays["row"])


@pytest.mark.parametrize("form", [{}, {"do_compression": True}, {"format": "4"}])
def test_shapes_need_no_values(tmp_path, form):
    path = tmp_path / "x.mat"
    arrays = {"a": np.ones([3, 4]), "text": "words", "b": np.zeros([2, 5], np.uint8)}
    scipy.io.savemat(path, arrays, **form)
    expected = {name: shape for name, shape, _ in scipy.io.whosmat(path)}
    assert read_shapes(path) == {**expected, "text": (1, 5)}
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(DataError, match="x.mat: cannot be read"):
        read_shapes(path)


def test_other_byte_order(tmp_path):
    path = tmp_path / "x.mat"
    values = np.arange(6.0)
    matrix = [(6, np.array([6, 0], ">u4")), (5, np.array([2, 3], ">i4"))]
    parts = [(kind, a.tobytes()) for kind, a in matrix] + [(1, b"x"), (9, values.astype(">f8"))]
    body = b""
    for kind, part in parts:
        data = bytes(part)
        body += struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)
    head = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI"
    path.write_bytes(head + struct.pack(">II", 14, len(body)) + body)
    expected = values.reshape(2, 3, order="F")
    np.testing.assert_array_equal(scipy.io.loadmat(path)["x"], expected)
    np.testing.assert_array_equal(read_mat(path, ["x"])["x"], expected)


@pytest.mark.parametrize("cut", [1, 4, 100])
def test_a_compressed_array_is_compared_with_its_checksum(tmp_path, cut):
    path = tmp_path / "chardata.mat"
    scipy.io.savemat(
        path, {"testdata": _columns(5, 1), "data": _columns(50, 0)}, do_compression=True
    )
    whole = bytearray(path.read_bytes())
    whole[-cut] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DataError, match="Error -3 while decompressing data"):
        data.load("omniglot", tmp_path)


def test_a_checksum_is_compared_even_where_the_values_need_no_more_bytes(tmp_path):
    path = tmp_path / "chardata.mat"
    scipy.io.savemat(path, {"data": np.zeros([784, 50])})
    values = path.read_bytes()[128:]
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(values) + packer.flush()
    # empty blocks, so that a reader of 64 KiB at a time has all values before it has the checksum
    empty = b"\0\0\0\xff\xff" * ((2**16 - len(packed)) // 5)
    for checksum in (zlib.adler32(values), zlib.adler32(values) ^ 1):
        stream = b"\x78\x9c" + empty + packed + struct.pack(">I", checksum)
        assert 2**16 < len(stream) <= 2**16 + 4
        header = path.read_bytes()[:128]
        path.write_bytes(header + struct.pack("<II", 15, len(stream)) + stream)
        if checksum == zlib.adler32(values):
            np.testing.assert_array_equal(read_mat(path, ["data"])["data"], np.zeros([784, 50]))
    with pytest.raises(DataError, match="Error -3 while decompressing data"):
        read_mat(path, ["data"])


def test_without_a_file_or_a_network(tmp_path):
    folder = tmp_path / "new"
    with pytest.raises(DataError, match=f"put the file at {folder}/chardata.mat yourself"):
        data.load("omniglot", folder)
    assert not folder.exists()


def test_the_real_file(real_data):
    omniglot = data.load("omniglot", real_data)
    total = len(omniglot.train) + len(omniglot.valid)
    assert len(omniglot.valid) == round(total * 1345 / 24345)
    # Binarisation keeps the mean: five standard errors of a mean over that many bits, each of
    # variance below 1/4, beside the train images' own; drawings differ by .03 in ink.
    for images in (omniglot.valid, omniglot.test):
        error = np.hypot(0.5 / np.sqrt(images.size), 0.03 / np.sqrt(len(images)))
        assert images.mean() == pytest.approx(omniglot.train.mean(), abs=5 * error)
