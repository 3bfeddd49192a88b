"""Hypothesis strategies for damaged files."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, configuration, given, settings
from hypothesis import strategies as st

NUMBERS = [0, 1, 2, 7, 255, 783, 784, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63]
"""Lengths that are too small, too large, and where integers overflow."""

SMALL = st.integers(0, 300)


def check_examples(contents, check: Callable, examples: int, folder: Path) -> None:
    """Calls `check` on so many values of a strategy, always the same; shrinks a failing one."""
    configuration.set_hypothesis_home_dir(folder / "hypothesis")
    settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )(given(contents)(check))()


@st.composite
def damaged(draw, wholes: Sequence[bytes]) -> bytes:
    """One of the valid files with up to four faults; now and then none, or noise alone."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=400))
    data = bytearray(draw(st.sampled_from(wholes)))
    for _ in range(draw(st.integers(0, 4))):
        fault = draw(st.sampled_from(_FAULTS))
        fault(draw, data, draw(_positions(len(data))))
        if draw(st.integers(0, 9)) == 0:
            data[:0] = draw(st.sampled_from(wholes))[: draw(SMALL)]
    return bytes(data)


def _positions(length: int):
    """Anywhere, but as often near the ends, where files keep their directories and headers."""
    last = max(0, length - 1)
    return st.one_of(
        st.integers(0, min(last, 300)), st.integers(max(0, last - 300), last), st.integers(0, last)
    )


def _flip(draw, data, at):
    if at < len(data):
        data[at] ^= 1 << draw(st.integers(0, 7))


def _truncate(draw, data, at):
    del data[at:]


def _delete(draw, data, at):
    del data[at : at + draw(SMALL)]


def _repeat(draw, data, at):
    data[at:at] = bytes(data[at : at + draw(SMALL)]) * draw(st.integers(1, 5))


def _splice(draw, data, at):
    start = draw(_positions(len(data)))
    data[at:at] = data[start : start + draw(SMALL)]


def _insert(draw, data, at):
    data[at:at] = draw(st.binary(max_size=20))


def _number(draw, data, at):
    """Writes a number that may be some length or offset."""
    layout = draw(st.sampled_from(["<H", "<I", "<Q", ">I"]))
    size = struct.calcsize(layout)
    number = draw(st.sampled_from(NUMBERS)) % 256**size
    data[at : at + size] = struct.pack(layout, number)


_FAULTS = [_flip, _truncate, _delete, _repeat, _splice, _insert, _number]
