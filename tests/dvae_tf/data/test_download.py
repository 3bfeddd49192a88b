from __future__ import annotations

import hashlib
import http.server
import threading

import pytest

from dvae_tf.data import download as module
from dvae_tf.data.dataset import DataError
from dvae_tf.data.download import download

BODY = b"0 1 0 1\n" * 50_000
SHA256 = hashlib.sha256(BODY).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    """/whole, /unannounced (no length), /truncated, /silent (no answer); anything else is 404."""

    released = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/silent":
            self.released.wait(10)
            return
        if self.path not in ("/whole", "/truncated", "/unannounced"):
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unannounced":
            self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:1000] if self.path == "/truncated" else BODY)

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


@pytest.mark.parametrize("sha256", [None, SHA256, SHA256.upper()])
def test_the_whole_file_arrives(server, tmp_path, sha256, capsys):
    destination = tmp_path / "new" / "folder" / "file.amat"
    download(f"{server}/whole", destination, sha256)
    assert destination.read_bytes() == BODY
    assert list(destination.parent.iterdir()) == [destination]
    printed = capsys.readouterr()
    assert "whole: 100%" in printed.err
    assert not printed.out


def test_a_length_is_not_required(server, tmp_path):
    download(f"{server}/unannounced", tmp_path / "file", SHA256)
    assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize(
    ("page", "sha256", "reason"),
    [
        ("whole", "0" * 64, f"its SHA-256 is {SHA256}, expected 000"),
        ("truncated", None, "1000 bytes"),
        ("truncated", SHA256, "1000 bytes"),
        ("absent", None, "HTTP Error 404"),
        ("silent", None, "timed out"),
    ],
)
def test_a_failure_leaves_nothing(server, tmp_path, page, sha256, reason):
    destination = tmp_path / "file.mat"
    with pytest.raises(DataError) as caught:
        download(f"{server}/{page}", destination, sha256, timeout=0.3)
    message = str(caught.value)
    assert message.startswith(f"{server}/{page}: download failed (")
    assert reason in message
    assert f"put the file at {destination} yourself, or use --dataset=digits" in message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


def test_a_failure_keeps_the_file_that_was_there(server, tmp_path):
    destination = tmp_path / "file"
    destination.write_bytes(b"old")
    with pytest.raises(DataError):
        download(f"{server}/truncated", destination)
    assert destination.read_bytes() == b"old"


def test_the_name_appears_last(server, tmp_path, monkeypatch):
    destination = tmp_path / "file"
    replace = module.os.replace
    seen = []

    def replace_and_look(source, target):
        seen.append((source.parent, source.read_bytes() == BODY, destination.exists()))
        replace(source, target)

    monkeypatch.setattr(module.os, "replace", replace_and_look)
    download(f"{server}/whole", destination)
    assert seen == [(tmp_path, True, False)]


def test_an_interruption_leaves_nothing(server, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        download(f"{server}/whole", tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_a_refused_connection(closed_port, tmp_path):
    destination = tmp_path / "new" / "file"
    with pytest.raises(DataError, match="Connection refused.*put the file at"):
        download(f"http://127.0.0.1:{closed_port}/file", destination)
    assert not destination.parent.exists()


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match="download failed .(File exists|Not a directory)"):
        download(f"{server}/whole", tmp_path / "taken" / "file")
