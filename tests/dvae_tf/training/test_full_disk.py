"""Disks that fill up in the middle of a run: an error of one line, and nothing lost."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import disks
import pytest

from benchmarks import kills


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run with room enough, which the others have to equal."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert kills.start(folder, kills.SMALL).wait() == 0
    return folder


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with disks.mounted(folder, "size=1g"):
        yield folder


def fails(log_dir: Path) -> str:
    """A run's last line, which must be an error that names something in the folder."""
    run = subprocess.run(
        kills.command(log_dir, kills.SMALL), capture_output=True, text=True, check=False
    )
    last = run.stderr.strip().splitlines()[-1]
    assert run.returncode == 1 and "Traceback" not in run.stderr, run.stderr[-3000:]
    assert last.startswith("run_dvae.py: ") and str(log_dir) in last and "No space" in last, last
    return last


def used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.soak
@pytest.mark.parametrize("percent", [0, 2, 30, 60, 90, 97])
def test_full_disk(whole, disk, percent):
    disks.remount(disk, f"size={max(4096, used(whole) * percent // 100)}")
    print(f"{percent} %: {fails(disk / 'run')}")
    disks.remount(disk, "size=1g")
    assert kills.start(disk / "run", kills.SMALL).wait() == 0
    assert kills.differences(whole, disk / "run") == []


@pytest.mark.soak
def test_full_disk_at_the_end(whole, disk):
    log_dir, chance = disk / "run", random.Random(0)
    assert kills.kill_at("the export half written", log_dir, kills.SMALL, 0, chance, signal.SIGKILL)
    shutil.rmtree(log_dir / "saved_model")
    blocks = int(subprocess.check_output(["du", "-s", "-B4096", str(disk)]).split()[0])
    lines = []
    for extra in (0, 1, 3, 10, 30, 100):
        disks.remount(disk, f"size={4096 * (blocks + extra)}")
        lines.append(fails(log_dir))
        print(f"{extra} blocks: {lines[-1]}")
        shutil.rmtree(log_dir / "saved_model", ignore_errors=True)
    assert any("events" in line for line in lines) and any("saved_model" in line for line in lines)
    disks.remount(disk, "size=1g")
    assert kills.start(log_dir, kills.SMALL).wait() == 0
    assert kills.differences(whole, log_dir) == []
