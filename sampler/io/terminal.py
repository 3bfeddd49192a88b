"""Standard output and error that never cost a result: what they can't take is dropped.

A pipe whose reader has left, a terminal that has been closed, an encoding without "±".
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import sys
from typing import Any

_PLAIN = {"±": "+/-", "…": "...", "’": "'", "→": "->", "−": "-"}


class _Patient(io.FileIO):
    """Drops what can't be written.

    Attributes:
      error: the first reason but for a reader that left, which is its own choice.
    """

    error: OSError | None = None

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                self.error = self.error or error
            return len(data)


_output: _Patient | None = None


def protect() -> None:
    """Replaces `sys.stdout` and `sys.stderr`; closed descriptors become the null device.

    Or the next file that is opened would be taken for them.
    """
    global _output
    for number in range(3):
        with contextlib.suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    codecs.register_error("plain", _plain)
    sys.stdout, _output = _stream(sys.stdout, 1)
    sys.stderr, _ = _stream(sys.stderr, 2)


def lost() -> OSError | None:
    """Why standard output is not all that was printed, if it is not."""
    sys.stdout.flush()
    return _output.error if _output else None


def check() -> None:
    """Raises OSError if standard output is not all that was printed."""
    if error := lost():
        raise OSError(error.errno, error.strerror, "standard output")


def _stream(old: Any, number: int) -> tuple[io.TextIOWrapper, _Patient]:
    if old is not None:
        old.flush()
    raw = _Patient(number, "w", closefd=False)
    text = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(old, "encoding", "utf-8"),
        errors="plain",
        line_buffering=number == 2 or os.isatty(number),
    )
    return text, raw


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What an encoding has no character for, in characters that every one has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c, ascii(c)[1:-1]) for c in text), error.end
