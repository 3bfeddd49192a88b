"""Runs that are killed (SIGKILL) and started again end as if nothing had happened, bit for bit."""

from __future__ import annotations

import signal

import pytest

from benchmarks import kills


def test_killed_run_equals_the_whole_one(tmp_path, monkeypatch):
    """One kill: the third checkpoint is half written, and the steps after the second are lost."""
    aim = "the third checkpoint half written"
    monkeypatch.setitem(kills.AIMS, aim, "checkpoints/step-30_temp*")
    found = kills.run(tmp_path, kills.SMALL, 1, 0, [aim])
    assert found["different"] == [] and found["kills"] == 1


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_run_killed_twenty_times(tmp_path, number):
    found = kills.run(tmp_path, kills.SMALL, 20, 1, list(kills.AIMS), number)
    assert found["different"] == [] and found["kills"] == 20
