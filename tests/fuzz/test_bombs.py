"""Small files that would become large ones, or never end; and nothing is ever unpickled."""

from __future__ import annotations

import ast
import gzip
import io
import os
import struct
import zipfile
import zlib

import numpy as np
import pytest
from fuzz import files
from fuzz.sandbox import ROOT, Sandbox

NAMES = {
    "amat": "x.amat",
    "npz": "x.npz",
    "mnist": "binarized_mnist.npz",
    "machine": "rbm.npz",
    "mat": "chardata.mat",
    "config": "config.json",
}
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()


@pytest.fixture
def refused(sandbox, tmp_path):
    """Reads such a file; the message of the refusal, which touches at most as many bytes."""

    def read(reader: str, name: str, contents: bytes, most: int = 8 * MEBIBYTE) -> str:
        path = tmp_path / name
        path.write_bytes(contents)
        answer = sandbox.ask(reader, path)
        assert answer["outcome"] in ("FileError", "ConfigError"), answer
        assert "\n" not in answer["message"]
        assert answer["peak"] <= most
        return answer["message"]

    return read


def test_gzip_of_one_endless_line(refused):
    # 10 GB in 10 MB
    bomb = gzip.compress(bytes(MEBIBYTE)) * 10_000
    assert "line 1: found a line of more than" in refused("amat", "x.amat.gz", bomb)


def test_gzip_of_endless_lines(refused):
    # 157 MB of good lines: at most 200 times the file, 128 MiB for a small one
    line = files.amat(1).replace(b"1", b"0")
    member = gzip.compress(line * 1000)
    small = member * 100
    most = 4 * 128 * MEBIBYTE
    assert "its contents would have" in refused("amat", "x.amat.gz", small, most)


def test_gzip_of_blank_lines(refused):
    bomb = gzip.compress(b"\n" * MEBIBYTE) * 1000
    assert "more than 1000 blank lines" in refused("amat", "x.amat.gz", bomb)


def _archive(size: int) -> bytes:
    """An .npz whose `train` is that many zeros, compressed."""
    file = io.BytesIO()
    np.savez_compressed(file, train=np.zeros([size // 784, 784], np.uint8))
    return file.getvalue()


def test_npz_of_zeros(refused):
    # 200 MiB in 0.2 MB, told by the directory
    bomb = _archive(200 * MEBIBYTE)
    assert "its contents would have" in refused("npz", "x.npz", bomb)


def test_couplings_of_zeros(refused):
    file = io.BytesIO()
    w = np.zeros([200 * MEBIBYTE // 8, 8], np.uint8)
    np.savez_compressed(file, b1=np.zeros(len(w), bool), b2=np.zeros(8), w=w)
    assert "its contents would have" in refused("machine", "rbm.npz", file.getvalue())


def test_npz_with_a_false_directory(refused):
    whole = _archive(784_000)
    at = whole.index(b"PK\x01\x02") + 24
    bomb = whole[:at] + struct.pack("<I", 2**32 - 9) + whole[at + 4 :]
    assert "its contents would have 4294967287 bytes" in refused("npz", "x.npz", bomb)


def test_npz_with_a_false_header(refused):
    false = files.npy(np.zeros([2, 784], np.uint8)).replace(b"(2, 784)", b"(2000000000, 784)")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("train.npy", false)
    assert "cannot be read" in refused("npz", "x.npz", file.getvalue())


def test_npz_with_a_long_directory(refused):
    # ZipInfo takes 10 times what an entry takes in the file.
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(8000):
            archive.writestr(f"{i:0100d}", b"")
    assert "a part that should be small" in refused("npz", "x.npz", file.getvalue())


def _matrix(shape: tuple[int, int], size: int) -> bytes:
    parts = [
        files.element(6, struct.pack("<II", 6, 0)),
        files.element(5, struct.pack("<ii", *shape)),
        files.element(1, b"data"),
    ]
    return b"".join(parts) + struct.pack("<II", 9, size)


@pytest.mark.parametrize("columns", [40_000, 600_000])
def test_compressed_mat_of_zeros(refused, columns):
    # 10 MiB of zeros, compressed, then 3.8 GB said to be there
    size = 784 * columns * 8
    values = zlib.compress(
        files.element(14, _matrix((784, columns), size), min(size, 2**31)) + bytes(10 * MEBIBYTE)
    )
    bomb = files.mat_5(struct.pack("<II", 15, len(values)) + values)
    assert f"its contents would have {size} bytes" in refused("mat", "chardata.mat", bomb)


def test_mat_of_sizes_beyond_the_file(refused):
    size = 784 * 600_000 * 8
    bomb = files.mat_5(files.element(14, _matrix((784, 600_000), size)))
    assert "its contents would have" in refused("mat", "chardata.mat", bomb)
    bomb = files.mat_5(files.element(14, b"", 2**32 - 1))
    assert "an element's size is wrong" in refused("mat", "chardata.mat", bomb)


@pytest.mark.parametrize("user_block", [b"", files.mat_5(b"", 0x200).ljust(512, b"\0")])
def test_mat_of_version_7_3(refused, user_block):
    message = refused("mat", "chardata.mat", user_block + b"\x89HDF\r\n\x1a\n" + bytes(2000))
    assert "version 7.3, which is HDF5" in message


def test_long_and_deep_configurations(refused):
    assert "more than 65536 bytes" in refused("config", "config.json", b" " * 10**8)
    assert "recursion" in refused("config", "config.json", b"[" * 60_000)


@pytest.mark.parametrize("reader", NAMES)
def test_a_pipe_is_not_waited_for(sandbox, reader, tmp_path):
    os.mkfifo(tmp_path / NAMES[reader])
    answer = sandbox.ask(reader, tmp_path / NAMES[reader])
    assert "not a regular file" in answer["message"]


def test_the_sandbox_tells_of_a_death(tmp_path):
    sandbox = Sandbox()
    sandbox.ask("config", tmp_path)
    sandbox._child.kill()
    with pytest.raises((AssertionError, BrokenPipeError)):
        sandbox.ask("config", tmp_path)
    sandbox.close()


def test_nothing_is_unpickled():
    sources = [p for name in ("dvae_tf", "sampler") for p in (ROOT / name).rglob("*.py")]
    assert len(sources) > 50
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path}, line {getattr(node, 'lineno', 0)}"
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
                assert not names & {"pickle", "dill", "joblib", "cloudpickle"}, where
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, where
