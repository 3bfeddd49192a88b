"""Damaged and hostile files: a valid value or one line, whatever the bytes.

A few hundred here; `make soak` reads thousands of each kind. Each file is read in a child process,
where a crash is a failed test, within a CPU time and within 4 times its honest size.
"""

from __future__ import annotations

import gzip

import pytest
from fuzz import files
from fuzz.mutations import check_examples, damaged
from fuzz.sandbox import Sandbox
from hypothesis import strategies as st

KINDS = {
    "amat": ("amat", "x.amat", damaged(files.AMATS) | files.wrong_amat()),
    "amat.gz": (
        "amat",
        "x.amat.gz",
        damaged(files.GZIPS)
        | st.builds(gzip.compress, damaged(files.AMATS) | files.wrong_amat(), st.just(1)),
    ),
    "npz": ("npz", "x.npz", damaged(files.NPZS) | files.wrong_npz()),
    "npy": ("npy", "x.npy", damaged(files.NPYS) | files.wrong_npy()),
    "idx": ("idx", "x", damaged(files.IDXS)),
    "idx.gz": ("idx", "x.gz", st.builds(gzip.compress, damaged(files.IDXS), st.just(1))),
    "binarized_mnist.npz": (
        "mnist",
        "binarized_mnist.npz",
        damaged(files.NPZS) | files.wrong_npz(),
    ),
    "rbm.npz": ("machine", "rbm.npz", damaged(files.RBMS) | files.wrong_npz(["b1", "b2", "w"])),
    "machine.npz": ("machine", "m.npz", damaged(files.MACHINES)),
    "rbm.h5": ("machine", "rbm.h5", damaged(files.HDF5S)),
    "x.bqm": ("machine", "x.bqm", damaged(files.BQMS)),
    "bqm.json": ("machine", "bqm.json", damaged(files.BQM_JSONS)),
    "x.coo": ("machine", "x.coo", damaged(files.COOS)),
    "mat": ("mat", "chardata.mat", damaged(files.MATS) | files.wrong_mat() | files.wrong_mat_4()),
    "config.json": ("config", "config.json", damaged(files.CONFIGS) | files.wrong_config()),
}
"""Reader, file name and contents of each kind of file."""


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()


def fuzz(sandbox: Sandbox, kind: str, folder, examples: int) -> None:
    """Reads as many files of a kind, and prints how it went."""
    reader, name, contents = KINDS[kind]
    path = folder / name
    sandbox.forget()

    def read(content: bytes) -> None:
        path.write_bytes(content)
        sandbox.check(reader, path)

    try:
        check_examples(contents, read, examples, folder)
    finally:
        print(sandbox.report(kind))
    assert sandbox.outcomes["value"] > 0.02 * examples, "hardly any file is still readable"


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_damaged_files(sandbox, kind, tmp_path):
    fuzz(sandbox, kind, tmp_path, 60)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(sandbox, kind, tmp_path):
    fuzz(sandbox, kind, tmp_path, 3000)
