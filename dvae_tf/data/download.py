"""Downloading a file so that under its name there is the whole of it or nothing."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

import tqdm

from dvae_tf.data.dataset import DataError
from dvae_tf.errors import reason

TIMEOUT = 20.0
"""Seconds without a byte after which a download has failed."""

_CHUNK = 1 << 16


def download(
    url: str, destination: Path, sha256: str | None = None, timeout: float = TIMEOUT
) -> None:
    """Downloads `url` to `destination`, with a progress bar on stderr.

    The file is written under a temporary name in the same folder, which is created if need be,
    and renamed when it is complete; on failure nothing is left.

    Args:
      url: where the file is.
      destination: what to call it.
      sha256: the file's checksum in hexadecimal, or None where it is not known.
      timeout: seconds without an answer after which to give up.

    Raises:
      DataError: no connection, an HTTP error, fewer bytes than announced, another checksum, or
        the folder cannot be written.
    """
    partial = destination.with_name(f"{destination.name}.{os.getpid()}.part")
    try:
        digest = _fetch(url, partial, timeout)
        if sha256 is not None and digest != sha256.lower():
            raise OSError(f"its SHA-256 is {digest}, expected {sha256}")
        os.replace(partial, destination)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # It is also the server's answer, with an open connection.
        raise DataError(
            f"{url}: download failed ({reason(error)}); put the file at {destination.absolute()} "
            "yourself, or use --dataset=digits, which needs no files"
        ) from error
    finally:
        # Missing after a success; on failure, why it failed matters more.
        with contextlib.suppress(OSError):
            partial.unlink()


def _fetch(url: str, path: Path, timeout: float) -> str:
    """Writes what the URL holds to `path`, and returns its SHA-256."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=timeout) as response:
        length = response.headers["Content-Length"]
        total = None if length is None else int(length)
        # Only now, so that a failed connection does not leave a new folder behind.
        path.parent.mkdir(parents=True, exist_ok=True)
        bar = tqdm.tqdm(total=total, unit="B", unit_scale=True, desc=url.rpartition("/")[2])
        with bar, path.open("wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
            received = file.tell()
    # A connection that ends early is not an error to `read`.
    if total is not None and received != total:
        raise OSError(f"received {received} bytes of {total}")
    return digest.hexdigest()
