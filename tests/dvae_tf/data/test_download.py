from __future__ import annotations

import contextlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from dvae_tf.data import download as module
from dvae_tf.data.dataset import DataError
from dvae_tf.data.download import download

BODY = b"0 1 0 1\n" * 50_000
LIMIT = len(BODY)

REDIRECTIONS = {
    "/to_whole": "/whole",
    "/to_file": "file:///etc/hostname",
    "/to_ftp": "ftp://127.0.0.1/file",
    "/to_data": "data:text/plain,0",
    "/to_itself": "/to_itself",
}

CHILD = (
    "import sys; from pathlib import Path; from dvae_tf.data.download import download; "
    "download(sys.argv[1], Path(sys.argv[2]), 10**9)"
)


class _Handler(http.server.BaseHTTPRequestHandler):
    """A page for each way in which a server may behave; anything else is 404."""

    released = threading.Event()

    def do_GET(self) -> None:
        if self.path in REDIRECTIONS:
            self.send_response(302)
            self.send_header("Location", REDIRECTIONS[self.path])
            self.end_headers()
        elif self.path == "/silent":
            self.released.wait(10)
        elif self.path in self.PAGES:
            length, send = self.PAGES[self.path]
            self.send_response(200)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            # The other side may have had enough.
            with contextlib.suppress(OSError):
                send(self)
        else:
            self.send_error(404)

    def send_whole(self) -> None:
        self.wfile.write(BODY)

    def send_less(self) -> None:
        self.wfile.write(BODY[:1000])

    def send_without_end(self) -> None:
        while not self.released.is_set():
            self.wfile.write(BODY)

    def drip(self) -> None:
        while not self.released.wait(0.05):
            self.wfile.write(b"0")

    def send_in_pieces(self) -> None:
        for start in range(0, len(BODY), 40_000):
            self.wfile.write(BODY[start : start + 40_000])
            self.released.wait(0.03)

    PAGES = {
        "/whole": (len(BODY), send_whole),
        "/unannounced": (None, send_whole),
        "/truncated": (len(BODY), send_less),
        "/announced": (10**10, send_less),
        "/endless": (None, send_without_end),
        "/drip": (len(BODY), drip),
        "/pieces": (len(BODY), send_in_pieces),
        "/negative": ("-5", send_whole),
        "/no_number": ("many", send_whole),
    }
    """Announced length, and what sends the body."""

    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="module")
def server():
    """The address of a local web server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as httpd:
        # Polled often, so that shutting down takes no time.
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        _Handler.released.set()
        httpd.shutdown()
        thread.join()


def test_the_whole_file_arrives(server, tmp_path, capsys):
    destination = tmp_path / "new" / "folder" / "file.amat"
    download(f"{server}/whole", destination, LIMIT)
    assert destination.read_bytes() == BODY
    assert list(destination.parent.iterdir()) == [destination]
    printed = capsys.readouterr()
    assert "whole: 100%" in printed.err
    assert not printed.out


def test_a_length_is_not_required(server, tmp_path):
    download(f"{server}/unannounced", tmp_path / "file", LIMIT)
    assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("truncated", "1000 bytes"),
        ("absent", "HTTP Error 404"),
        ("silent", "timed out"),
        ("announced", f"it has 10000000000 bytes or more, accepted are {LIMIT}"),
        ("endless", f"bytes or more, accepted are {LIMIT}"),
        ("drip", "too slow, "),
        ("no_number", "invalid literal"),
        ("negative", "received 400000 bytes of -5"),
        ("to_file", "HTTP Error 302"),
        ("to_data", "HTTP Error 302"),
        ("to_ftp", "redirected from http to ftp"),
        ("to_itself", "infinite loop"),
    ],
)
def test_a_failure_leaves_nothing(server, tmp_path, page, reason):
    destination = tmp_path / "file.mat"
    with pytest.raises(DataError) as caught:
        download(f"{server}/{page}", destination, LIMIT, timeout=0.3)
    message = str(caught.value)
    assert message.startswith(f"{server}/{page}: download failed (")
    assert reason in message
    assert f"put the file at {destination} yourself, or use --dataset=digits" in message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("page", ["to_whole", "pieces"])
def test_other_ways_to_answer_are_fine(server, tmp_path, page):
    download(f"{server}/{page}", tmp_path / "file", LIMIT)
    assert (tmp_path / "file").read_bytes() == BODY


def test_what_is_announced_is_refused_before_anything_is_written(server, tmp_path):
    with pytest.raises(DataError, match="accepted are 9"):
        download(f"{server}/whole", tmp_path / "new" / "file", limit=9)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("scheme", ["http", "ftp", "file"])
def test_from_https_a_redirection_leads_to_https_alone(scheme):
    request = urllib.request.Request("https://127.0.0.1/file")
    redirect = module._Redirections().redirect_request
    with pytest.raises(OSError, match=f"redirected from https to {scheme}"):
        redirect(request, None, 302, "Found", {}, f"{scheme}://127.0.0.1/file")
    assert redirect(request, None, 302, "Found", {}, "https://127.0.0.1/other") is not None


def _start(url: str, destination: Path) -> subprocess.Popen:
    root = Path(__file__).resolve().parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, url, str(destination)],
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.DEVNULL,
    )


def _wait_for(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def test_two_processes_at_once(server, tmp_path):
    destination = tmp_path / "file"
    # One of them is still at it when the other one has finished.
    processes = [_start(f"{server}/{page}", destination) for page in ("pieces", "whole")]
    while any(process.poll() is None for process in processes):
        assert not destination.exists() or destination.read_bytes() == BODY
        time.sleep(0.002)
    assert [process.returncode for process in processes] == [0, 0]
    assert destination.read_bytes() == BODY
    assert list(tmp_path.iterdir()) == [destination]


def test_a_killed_process_leaves_a_partial_file_that_does_no_harm(server, tmp_path):
    destination = tmp_path / "file"
    process = _start(f"{server}/endless", destination)
    _wait_for(lambda: any(path.stat().st_size for path in tmp_path.iterdir()))
    process.send_signal(signal.SIGKILL)
    process.wait()
    (partial,) = tmp_path.iterdir()
    assert partial.suffix == ".part"
    # It may be of a process that lives.
    download(f"{server}/whole", destination, LIMIT)
    assert set(tmp_path.iterdir()) == {destination, partial}
    os.utime(partial, (time.time() - module.STALE - 60,) * 2)
    download(f"{server}/whole", destination, LIMIT)
    assert list(tmp_path.iterdir()) == [destination]
    assert destination.read_bytes() == BODY


def test_a_failure_keeps_the_file_that_was_there(server, tmp_path):
    destination = tmp_path / "file"
    destination.write_bytes(b"old")
    with pytest.raises(DataError):
        download(f"{server}/truncated", destination, LIMIT)
    assert destination.read_bytes() == b"old"


def test_the_name_appears_last(server, tmp_path, monkeypatch):
    destination = tmp_path / "file"
    replace = module.os.replace
    seen = []

    def replace_and_look(source, target):
        seen.append((source.parent, source.read_bytes() == BODY, destination.exists()))
        replace(source, target)

    monkeypatch.setattr(module.os, "replace", replace_and_look)
    download(f"{server}/whole", destination, LIMIT)
    assert seen == [(tmp_path, True, False)]


def test_an_interruption_leaves_nothing(server, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        download(f"{server}/whole", tmp_path / "file", LIMIT)
    assert not list(tmp_path.iterdir())


def test_a_refused_connection(closed_port, tmp_path):
    destination = tmp_path / "new" / "file"
    with pytest.raises(DataError, match="Connection refused.*put the file at"):
        download(f"http://127.0.0.1:{closed_port}/file", destination, LIMIT)
    assert not destination.parent.exists()


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match="download failed .(File exists|Not a directory)"):
        download(f"{server}/whole", tmp_path / "taken" / "file", LIMIT)
