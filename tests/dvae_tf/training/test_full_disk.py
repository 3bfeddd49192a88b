"""Disks that fill up in the middle of a run: an error of one line, and nothing lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks import kills


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run with room enough, which the others have to equal."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert kills.start(folder, kills.SMALL).wait() == 0
    return folder


@pytest.fixture
def disk(tmp_path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs needs privileges")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


@pytest.mark.soak
@pytest.mark.parametrize("percent", [0, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 97])
def test_full_disk(whole, disk, percent):
    size = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    remount(disk, f"size={max(4096, size * percent // 100)}")
    # the log is on the disk as well: what does not fit there is lost
    run = subprocess.run(
        kills.command(disk / "run", kills.SMALL), capture_output=True, text=True, check=False
    )
    last = run.stderr.strip().splitlines()[-1]
    print(f"{percent} %: {last}")
    assert run.returncode == 1 and "Traceback" not in run.stderr, run.stderr[-3000:]
    assert last.startswith("run_dvae.py: ") and str(disk) in last, last
    remount(disk, "size=1g")
    again = subprocess.run(
        kills.command(disk / "run", kills.SMALL), capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr[-3000:]
    assert kills.differences(whole, disk / "run") == []
