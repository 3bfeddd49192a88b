"""Files that are whole or absent, and a folder that one process at a time holds."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from dvae_tf.progress import say
from sampler.io.errors import FileError, reason

_PATTERNS = frozenset("*?[]\\")

_NAMING = 0.2
"""Seconds in which a process that has just begun to hold a folder has said that it is the one."""

_held: set[Path] = set()


def write_atomically(path: Path, text: str) -> None:
    """Writes a whole file or none; creates its folder."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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

    Creates the folder; of several processes that write the same file each has a path of its own. An
    `OSError`, such as that of a full disk, names `path`, and leaves nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # the name itself may be as long as can be
    temporary = path.with_name(f"{path.name[:50]}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from None


def for_tensorflow(folder: Path) -> str:
    """A name of an existing folder that TensorFlow takes as it stands, for the process's life.

    It reads names with brackets, stars and backslashes as patterns, and can't take those that are
    no UTF-8; such a folder is named by a file descriptor.
    """
    text = str(folder)
    if _PATTERNS.isdisjoint(text) and text.isprintable():
        return text
    return f"/proc/self/fd/{os.open(folder, os.O_RDONLY | os.O_DIRECTORY)}"


@contextlib.contextmanager
def held(folder: Path, flag: str, worker: int = 0) -> Iterator[None]:
    """Holds a folder during the block: no other process can, on any machine that has it mounted.

    The lock is the kernel's, on a file that stays; it ends with its process, however that ends.

    Args:
      folder: exists and can be written to.
      flag: that named it.
      worker: of several processes that share the folder, each holds a place of its own.

    Raises:
      FileError: another process holds it, or another thread; the line says which, and where.
    """
    path = folder.resolve() / (f".lock-{worker}" if worker else ".lock")
    with _alone(path, f"--{flag}={folder}"), path.open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                time.sleep(_NAMING)
                file.seek(0)
                _refuse(f"--{flag}={folder}", file.read(200).strip() or "another process")
            say(f"{folder} can't be locked ({reason(error)}): let no other process work in it")
        with contextlib.suppress(OSError):  # on a full disk the lock is nameless
            file.truncate(0)
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield


@contextlib.contextmanager
def _alone(path: Path, name: str) -> Iterator[None]:
    """Lets one thread of this process at a time into the block, which the kernel's lock does not.

    To open and close the file a second time would even end the first's hold.
    """
    if path in _held:
        _refuse(name, f"process {os.getpid()}, this one,")
    _held.add(path)
    try:
        yield
    finally:
        _held.discard(path)


def _refuse(name: str, holder: str) -> NoReturn:
    raise FileError(
        f"{name}: {holder} is at work in it; accepted is another folder, or the same command once "
        "that process has ended"
    ) from None
