"""Files that are whole or absent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Writes a whole file or none; creates its folder."""
    with replaced(path) as temporary:
        temporary.write_text(text)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path to write to that takes the place of `path` at the end of the block, if it gets there.

    Creates the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    yield temporary
    os.replace(temporary, path)
