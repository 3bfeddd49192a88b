"""Files that can't be used, and words about exceptions."""

import re
from typing import Any

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
