"""Valid files to damage, and files built wrong from the start."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib

import dimod
import h5py
import numpy as np
import scipy.io
from fuzz.mutations import NUMBERS
from hypothesis import strategies as st

from dvae_tf.config import Config

BITS = np.random.default_rng(0).integers(0, 2, [6, 784], np.uint8)
GREY = np.random.default_rng(1).random([784, 6])


def amat(rows: int = 6) -> bytes:
    return "".join(" ".join(map(str, row)) + "\n" for row in BITS[:rows]).encode()


def npz(save=np.savez, **arrays) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def mat(**options) -> bytes:
    file = io.BytesIO()
    arrays = {"data": GREY.astype(np.float32), "testdata": GREY[:, :2], "target": np.eye(3)}
    scipy.io.savemat(file, arrays, **options)
    return file.getvalue()


SPLITS = {"train": BITS, "valid": BITS[:2], "test": BITS[:3]}
SMALL = {"train": GREY[:9, :].T, "extra": BITS[:2, :9]}
AMATS = [amat(), amat().replace(b" ", b"\t"), b"\n\n" + amat(2)]
GZIPS = [gzip.compress(AMATS[0]), gzip.compress(AMATS[1], 1) + gzip.compress(AMATS[2])]
NPZS = [
    npz(save, **arrays) for save in (np.savez, np.savez_compressed) for arrays in (SPLITS, SMALL)
]
RBMS = [
    npz(save, b1=GREY[:5, 0], b2=GREY[:4, 1].astype("f4"), w=GREY[:5, :4])
    for save in (np.savez, np.savez_compressed)
]
MACHINES = [
    npz(families=["Spin", "Gaussian"], field_0=GREY[:4, 0], field_1=GREY[:3, 0], precision_1=2.0),
    npz(h=GREY[:3, 0], edges=[[0, 1], [2, 1]], values=[1.0, 2.0], vartype="SPIN", labels='["a"]'),
]
BQM = dimod.BinaryQuadraticModel({"a": 0.5, 3: -1.0}, {("a", 3): 2.0, (3, "b"): 0.1}, 1.5, "SPIN")
BQM_JSONS = [json.dumps(BQM.to_serializable()).encode()]
COOS = [b"# vartype=SPIN\n0 0 -1.5\n0 1 2.000000\n1 12 1e-3\n"]


def bqm(version: int) -> bytes:
    with BQM.to_file(version=version) as file:
        return file.read()


def hdf5() -> bytes:
    """As the package rbms saves an RBM."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for update in (1, 12):
            group = file.create_group(f"update_{update}/params")
            group["vbias"], group["hbias"] = GREY[:5, 0], GREY[:3, 0]
            group["weight_matrix"] = GREY[:5, :3]
    return memory.getvalue()


BQMS, HDF5S = [bqm(1), bqm(2)], [hdf5()]
MATS = [mat(), mat(do_compression=True), mat(format="4")]
CONFIG = json.loads(Config().to_json())
CONFIGS = [Config().to_json().encode(), Config(dataset="omniglot", seed=2**40).to_json().encode()]


@st.composite
def wrong_amat(draw) -> bytes:
    """Lines of odd values and widths."""
    values = st.sampled_from([b"0", b"1", b"2", b"-1", b"1e9", b"nan", b"\0", b"\xff", b"01", b""])
    separators = st.sampled_from([b" ", b"  ", b"\t", b",", b"\r", b"\x0b", b""])
    lines = []
    for _ in range(draw(st.integers(0, 4))):
        line = [b"0"] * draw(st.sampled_from([784, 784, 784, 0, 1, 783, 785, 12544, 20000]))
        for _ in range(draw(st.integers(0, 2))):
            line[:1] = [draw(values)]
        lines.append(draw(separators).join(line) if draw(st.booleans()) else b" ".join(line))
    return draw(st.sampled_from([b"\n", b"\r\n", b"\n" * 1200])).join(lines)


DIMENSIONS = st.sampled_from([1, 2, 6, 784, -1, 0, True, 1.5, None, *NUMBERS, 10**30])
DTYPES = ["|u1", "|b1", "<f8", ">f4", "<f2", "|O", "<U4", "|V9", "<c16", "<f16", "<M8[s]", "(9,)u1"]
HEADERS = st.one_of(
    st.sampled_from(
        [
            "__import__('os').abort()",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1L, 784)}",
            "{'descr': '\\d', 'fortran_order': False, 'shape': (1,)}",
            "(" * 9000,
            "[" * 90 + "]" * 90,
            "-" * 9000 + "1",
            "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (3,)}",
            "{'descr': '|u1', 'fortran_order': 0, 'shape': (6, 784)}",
            "",
        ]
    ),
    st.builds(
        lambda descr, order, shape: repr(
            {"descr": descr, "fortran_order": order, "shape": tuple(shape)}
        ),
        st.sampled_from(DTYPES),
        st.booleans(),
        st.lists(DIMENSIONS, max_size=4),
    ),
)


@st.composite
def wrong_npy(draw) -> bytes:
    """An entry with any header over some values."""
    header = draw(HEADERS).encode("latin-1") + b"\n"
    version = draw(st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]))
    length = draw(st.sampled_from([len(header)] * 5 + NUMBERS[:12]))
    layout = "<H" if version == (1, 0) else "<I"
    length %= 256 ** struct.calcsize(layout)
    special = st.sampled_from([np.nan, np.inf, -np.inf, -1, 2, 1e308])
    values = draw(st.sampled_from([b"", BITS.tobytes(), b"\xff" * 784, GREY.tobytes()]))
    values += np.array([draw(special)]).tobytes() * draw(st.integers(0, 2))
    return b"\x93NUMPY" + bytes(version) + struct.pack(layout, length) + header + values


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


NPYS = [npy(BITS), npy(GREY.T), npy(np.asfortranarray(BITS[:, :9]))]
IDXS = [struct.pack(">4I", 0x803, 6, 28, 28) + (255 * BITS).tobytes()]


@st.composite
def wrong_npz(draw, own=("train", "train.npy", "valid.npy", "test.npy")) -> bytes:
    """An archive of odd entries: repeated names, wrong headers, archives, foreign compression."""
    file = io.BytesIO()
    methods = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED] * 3 + [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    names = [*own, "../x\n.npy", "", f"{own[0]}.npy/"]
    entries = st.one_of(wrong_npy(), st.sampled_from([NPZS[1], npy(BITS), npy(GREY.T > 0.5)]))
    with zipfile.ZipFile(file, "w", draw(st.sampled_from(methods))) as archive:
        for name in draw(st.lists(st.sampled_from(names), max_size=4, unique=True)):
            archive.writestr(zipfile.ZipInfo(name), draw(entries), draw(st.sampled_from(methods)))
    return file.getvalue()


def element(kind: int, values: bytes, size: int | None = None, order: str = "<") -> bytes:
    """An element of a MATLAB file of version 5, whose tag may lie about its size."""
    size = len(values) if size is None else size
    return struct.pack(order + "II", kind, size) + values + b"\0" * (-len(values) % 8)


def mat_5(elements: bytes, version: int = 0x100, order: str = "<") -> bytes:
    mark = struct.pack(order + "H", version) + (b"IM" if order == "<" else b"MI")
    return b"MATLAB 5.0 MAT-file".ljust(124) + mark + elements


@st.composite
def wrong_mat(draw) -> bytes:
    """Files of odd elements: any class, shape, type and size, compressed or not."""
    order = draw(st.sampled_from("<<<>"))
    sizes = st.sampled_from([None] * 12 + [n for n in NUMBERS if n < 2**32])
    elements = b""
    for name in draw(st.sampled_from([["data", "testdata"]] * 3 + [["data"] * 2, ["x"], [""]])):
        body = draw(_wrong_matrix(name, order, sizes))
        body = element(draw(st.sampled_from([14] * 9 + [15, 0, 1])), body, draw(sizes), order)
        if draw(st.booleans()):
            inner = zlib.compress(body)
            inner = draw(st.sampled_from([inner] * 5 + [inner[:-3], inner + b"junk" * 9, body]))
            body = struct.pack(order + "II", 15, draw(sizes) or len(inner)) + inner
        elements += body
    return mat_5(elements, draw(st.sampled_from([0x100] * 9 + [0x200, 0])), order)


@st.composite
def _wrong_matrix(draw, name, order, sizes) -> bytes:
    flags = draw(st.sampled_from([6, 6, 6, 7, 9, *range(20), 0x806, 0x209]))
    stored = draw(st.sampled_from([9, 7, 2] * 3 + [*range(20), 0x40002, 0x90001]))
    numbers = [784, 6, 2, 1] * 4 + [0, -1, 2**31 - 1, -(2**31)]
    shape = draw(st.sampled_from([[784, 6]] * 3 + [None]))
    shape = shape or draw(st.lists(st.sampled_from(numbers), max_size=10))
    dtype = {9: "f8", 7: "f4"}.get(stored, "u1")
    values = (GREY > 0.5).astype(order + dtype).tobytes("F")
    return b"".join(
        [
            element(6, struct.pack(order + "II", flags, 0), draw(sizes), order),
            element(5, struct.pack(f"{order}{len(shape)}i", *shape), draw(sizes), order),
            element(1, name.encode(), draw(sizes), order),
            element(
                stored,
                values[: draw(st.sampled_from([10**6] * 5 + [0, 9, 784]))],
                draw(sizes),
                order,
            ),
        ]
    )


@st.composite
def wrong_mat_4(draw) -> bytes:
    """Files of version 4 with odd headers."""
    file = b""
    for name in draw(st.sampled_from([["data", "testdata"]] * 3 + [["data"] * 2, ["x"]])):
        options = draw(st.sampled_from([0, 0, 10, 50, 1, 2, 3, 60, 1000, 4999, -1, 2**31 - 1]))
        numbers = st.sampled_from([6, 784, 784, -1, 0, 2**31 - 1])
        header = [options, draw(numbers), draw(numbers), draw(st.sampled_from([0, 0, 1, 9]))]
        name_size = draw(st.sampled_from([len(name) + 1] * 5 + [0, -1, 2**31 - 1]))
        file += struct.pack("<5i", *header, name_size) + name.encode() + b"\0"
        file += GREY.tobytes("F")[: draw(st.sampled_from([10**6] * 3 + [0, 784 * 6]))]
    return file


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([2**31, 2**63, 10**400, -1, 1e308, float("nan"), float("inf")]),
        st.floats(),
        st.text(max_size=9),
        st.sampled_from(["digits", "undirected", "pwl", "a\nb", "\x1b[2J", "\ud800", "x" * 9999]),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@st.composite
def wrong_config(draw) -> bytes:
    """JSON with values of any type, fields too many, too few or twice, or far too deep."""
    fields = dict(CONFIG)
    for _ in range(draw(st.integers(0, 3))):
        fields[draw(st.sampled_from([*CONFIG, "hidden_units", "other", "a\nb"]))] = draw(JSON)
    for name in draw(st.lists(st.sampled_from(sorted(CONFIG)), max_size=2)):
        fields.pop(name, None)
    text = json.dumps(fields)
    encode = draw(st.sampled_from(["utf-8"] * 6 + ["utf-16", "utf-8-sig"]))
    frame = draw(
        st.sampled_from(
            ["{}"] * 9
            + ["[" * 50000 + "{}", '{{"a":' * 9000 + "{}", "{}{}", " " * 70000 + "{}", "[{}]"]
            + ['{{"seed": 1, "seed": 2, "hidden_units": [1]}}', "9" * 5000, '{{"seed": NaN}}', ""]
        )
    )
    return frame.replace("{}", text).replace("{{", "{").replace("}}", "}").encode(encode)
