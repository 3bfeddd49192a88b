"""Nothing here may reach the network: every public address is replaced by a closed local port."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from dvae_tf.data import binarized_mnist, omniglot


@pytest.fixture
def closed_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(binarized_mnist, "URL", f"http://127.0.0.1:{closed_port}/{{filename}}")
    monkeypatch.setattr(omniglot, "URL", f"http://127.0.0.1:{closed_port}/chardata.mat")


@pytest.fixture
def real_data() -> Path:
    """The folder of real data files, named by the environment variable DVAE_TEST_DATA."""
    folder = os.environ.get("DVAE_TEST_DATA")
    if not folder:
        pytest.skip("DVAE_TEST_DATA does not name a folder with binarized_mnist.npz and omniglot")
    return Path(folder)
