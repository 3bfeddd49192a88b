from __future__ import annotations

import io
import re
import sys

import pytest

from dvae_tf import progress
from dvae_tf.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand, also tqdm's."""

    class Clock:
        now = 1000.0

        def __call__(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    monkeypatch.setattr("tqdm.std.time", clock)
    return clock


def work(bar: Progress, clock, steps: int, seconds: float) -> None:
    for _ in range(steps):
        clock.now += seconds
        bar.update()


def test_compilation_is_told_and_does_not_count(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    with Progress(3000, "training", "step") as bar:
        assert shown.getvalue().rstrip().endswith("training: compiling…")
        clock.now += 59
        bar.update()
        work(bar, clock, 20, 0.1)
        early = shown.getvalue()
        assert "21/3000" in early and "<" not in early  # nothing is said of the time that is left
        bar.note("validation NLL 20.50")
        work(bar, clock, 280, 0.1)
    # 2700 steps of 0.1 s
    left = re.findall(
        r"301/3000 \[\d\d:\d\d<(\d\d):(\d\d), .*validation NLL 20.50", shown.getvalue()
    )
    minutes, seconds = map(int, left[-1])
    assert 260 <= 60 * minutes + seconds <= 280


def test_without_a_terminal_there_is_a_line_a_minute(clock, capsys):
    with Progress(3600, "training", "step", announce=True) as bar:
        clock.now += 59  # to compile
        bar.update()
        bar.note("validation NLL 20.50")
        work(bar, clock, 1200, 1.0)
        bar.pause()
        clock.now += 500  # to validate
        work(bar, clock, 1, 1.0)
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == "training: compiling…"
    assert len(lines) == 1200 // 61 + 2
    found = re.match(
        r"training: step (\d+) of 3600, (\d+):(\d+) left, validation NLL 20.50", lines[-2]
    )
    done, minutes, seconds = map(int, found.groups())
    assert abs(60 * minutes + seconds - (3600 - done)) < 5


def test_hidden_ones_and_short_ones_say_nothing(clock, capsys):
    for hidden in (True, False):
        with Progress(10, "validation images", "image", hidden=hidden) as bar:
            work(bar, clock, 10, 3600.0 if hidden else 1.0)
    assert capsys.readouterr().err == ""
