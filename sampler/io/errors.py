"""Files that can't be used, and words about exceptions."""

import math
import os
import re
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

_LONGEST = 200
_TENSORFLOW_PLACE = re.compile(r"\{\{function_node [^}]*\}\} ?| \[Op:.*", re.DOTALL)
"""What TensorFlow puts around a message, longer than the message itself."""


class FileError(ValueError):
    """A file that can't be used; one line: the file, what was found, what is accepted."""


def expect(
    holds: Any, name: str, found: Any, accepted: str, kind: type[Exception] = ValueError
) -> None:
    """Raises an error of one line about an argument, flag or file, `name`, unless `holds`."""
    if not holds:
        raise kind(f"{name}: found {found}; accepted: {accepted}")


def expect_whole(found: Any, name: str, least: int) -> None:
    """Raises an error of one line unless an argument is an integer of `least` or more."""
    is_whole = isinstance(found, Integral) and not isinstance(found, bool)
    expect(is_whole and found >= least, name, repr(found), f"an integer of at least {least}")


def expect_number(found: Any, name: str, positive: bool = False) -> None:
    """Raises an error of one line unless an argument is a finite number, 0 or more."""
    is_number = isinstance(found, Real) and not isinstance(found, bool) and math.isfinite(found)
    good = is_number and (found > 0 if positive else found >= 0)
    expect(good, name, repr(found), "a positive number" if positive else "a number, 0 or more")


def expand(name: str, path: Any) -> Path:
    """A path in which ~ is the home folder; an error of one line for what is none."""
    is_path = isinstance(path, (str, os.PathLike)) and str(path) != ""
    expect(is_path, name, repr(path), "a path")
    return Path(os.path.expanduser(path))


def expect_sizes(found: Any, name: str, example: str) -> None:
    """Raises an error of one line unless an argument is a sequence of positive integers."""
    sizes = list(found) if np.ndim(found) == 1 else [None]
    good = all(isinstance(n, Integral) and not isinstance(n, bool) and int(n) > 0 for n in sizes)
    expect(good, name, repr(found), f"sizes, as {example}")


def reason(error: Exception) -> str:
    """An exception's message, on one line and not too long, or its type if it has none.

    What a hostile file brings into the message cannot steer the terminal either.
    """
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = error.strerror  # Its full text repeats the path.
    message = _TENSORFLOW_PLACE.sub("", message)
    return printable(" ".join(message.split()))[:_LONGEST] or type(error).__name__


def printable(text: str) -> str:
    """The text with control characters and the like escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
