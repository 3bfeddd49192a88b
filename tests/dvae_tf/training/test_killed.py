"""Runs that are killed (SIGKILL) and started again end as if nothing had happened, bit for bit."""

from __future__ import annotations

import signal

import pytest

from benchmarks import kills


def test_killed_run_equals_the_whole_one(tmp_path):
    aims = ["steps after a checkpoint", "a checkpoint half written"]
    found = kills.run(tmp_path, kills.SMALL, len(aims), 0, aims)
    assert found["different"] == [] and found["kills"] == len(aims)


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_run_killed_twenty_times(tmp_path, number):
    found = kills.run(tmp_path, kills.SMALL, 20, 1, list(kills.AIMS), number)
    assert found["different"] == [] and found["kills"] == 20
