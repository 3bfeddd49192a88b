"""Downloads a file so that its name never refers to a part of it."""

import contextlib
import http.client
import os
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import tqdm

from dvae_tf.data.dataset import DataError
from sampler.io.errors import reason

TIMEOUT = 20.0
"""Seconds without a byte after which a download fails."""

SLOWEST = 1000.0
"""Bytes per second: a download that is slower on average fails after three timeouts."""

STALE = 3600.0
"""Seconds without a byte after which a partial file is taken for a killed process's and removed."""

_CHUNK = 1 << 16
_ALLOWED = (("http", "http"), ("http", "https"), ("https", "https"))


def download(url: str, destination: Path, limit: int, timeout: float = TIMEOUT) -> None:
    """Downloads `url` to `destination`, with a progress bar on stderr.

    The file is written under a name of its own in the same folder, which is created if need be,
    and renamed when it is complete; on failure nothing is left. Any number of processes may do so
    at once: each takes its own copy, and the last one stays.

    Raises:
      DataError: no connection, an HTTP error, a redirection to anything but HTTP or from HTTPS to
        it, fewer bytes than announced or more than `limit`, `timeout` seconds without an answer,
        less than `SLOWEST`, or the folder cannot be written.
    """
    partial = destination.with_name(f"{destination.name}.{secrets.token_hex(8)}.part")
    try:
        _fetch(url, partial, limit, timeout)
        os.replace(partial, destination)
        _remove_stale(destination)
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


def _fetch(url: str, path: Path, limit: int, timeout: float) -> None:
    """Writes what the URL holds to `path`."""
    with urllib.request.build_opener(_Redirections).open(url, timeout=timeout) as response:
        length = response.headers["Content-Length"]
        total = None if length is None else int(length)
        _check_length(total or 0, limit)
        # Only now, so that a failed connection does not leave a new folder behind.
        path.parent.mkdir(parents=True, exist_ok=True)
        bar = tqdm.tqdm(total=total, unit="B", unit_scale=True, desc=url.rpartition("/")[2])
        with bar, path.open("xb") as file:
            for chunk in _chunks(response, total, 3 * timeout):
                _check_length(file.tell() + len(chunk), limit)
                file.write(chunk)
                bar.update(len(chunk))


def _check_length(length: int, limit: int) -> None:
    if length > limit:
        raise OSError(f"it has {length} bytes or more, accepted are {limit}")


def _chunks(
    response: http.client.HTTPResponse, total: int | None, patience: float
) -> Iterator[bytes]:
    """The response's bytes as they come; OSError if they come too slowly or end too early."""
    received, started = 0, time.monotonic()
    # `read` would wait for a whole chunk, however slowly it comes.
    while chunk := response.read1(_CHUNK):
        received += len(chunk)
        yield chunk
        elapsed = time.monotonic() - started
        if elapsed > patience and received < SLOWEST * elapsed:
            raise OSError(f"too slow, {received} bytes in {elapsed:.0f} s")
        if received == total:
            return
    # A connection that ends early is not an error to `read1`.
    if total is not None and received != total:
        raise OSError(f"received {received} bytes of {total}")


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows redirections to HTTP and HTTPS, but never from HTTPS to HTTP."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        scheme = urllib.parse.urlsplit(newurl).scheme
        if (req.type, scheme) not in _ALLOWED:
            why = f"redirected from {req.type} to {scheme}"
            raise urllib.error.HTTPError(newurl, code, why, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _remove_stale(destination: Path) -> None:
    """Removes partial files of processes that were killed in earlier downloads of a file."""
    for path in destination.parent.glob(f"{destination.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE:
                path.unlink()
