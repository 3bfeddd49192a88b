"""Files that are whole or absent."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Writes a whole file or none; creates its folder."""
    with replaced(path) as temporary:
        temporary.write_text(text)


def to_json(fields: Mapping[str, object]) -> str:
    """JSON text, one field a line; a number that is none, such as one image's spread, is null."""
    numbers = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
    }
    return json.dumps(numbers, indent=2, allow_nan=False) + "\n"


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path to write to that takes the place of `path` at the end of the block, if it gets there.

    Creates the folder. An `OSError`, such as that of a full disk, names `path`, and leaves nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        reason = error.strerror or str(error)
        raise OSError(error.errno or errno.EIO, reason, str(path)) from None
