"""Reads files in a child process, and holds every answer to the readers' promises."""

from __future__ import annotations

import collections
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ERRORS = ("FileError", "ConfigError", "ExportError")

FLOOR = 48 << 20
"""Bytes that reading may touch besides 4 times the honest size: lazily imported modules, buffers of
1 MiB, an archive's directory."""

CPU_SECONDS = 10.0
"""Of one input."""

WATCHDOG = 120.0
"""Seconds without an answer, generous as the whole machine may pause."""


class Sandbox:
    """A child process and what is known of the inputs that went into it.

    Args:
      options: of worker.py.
      floor: bytes that reading may touch besides 4 times the honest size.

    Attributes:
      outcomes: how many inputs ended in each outcome.
      slowest, largest: the worst CPU seconds and peak bytes of one input.
    """

    def __init__(self, *options: str, floor: int = FLOOR):
        self._options, self._floor = options, floor
        self._child: subprocess.Popen | None = None
        self.forget()

    def forget(self) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.slowest, self.largest = 0.0, 0

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def check(self, reader: str, path: Path, honest: int = 0) -> dict:
        """Asserts that the reader keeps its promises on a file or folder, and returns its answer.

        The honest size is the largest of the file's, the value's, and `honest`, the bytes of the
        contents that a compressed file really has.
        """
        answer = self.ask(reader, path)
        outcome, message = answer["outcome"], answer["message"]
        self.outcomes[outcome] += 1
        self.slowest = max(self.slowest, answer["seconds"])
        self.largest = max(self.largest, answer["peak"])
        assert outcome in ("value", *ERRORS), f"{outcome}: {message}"
        assert answer["valid"], "an invalid value"
        assert "\n" not in message and message.isprintable(), repr(message)
        assert answer["seconds"] < CPU_SECONDS, f"{answer['seconds']} s: {message}"
        honest = max(honest, answer["bytes"], path.stat().st_size)
        assert answer["peak"] <= 4 * honest + self._floor, (
            f"{answer['peak']} bytes, honest {honest}"
        )
        return answer

    def ask(self, reader: str, path: Path) -> dict:
        """The child's answer; AssertionError if it dies or does not answer."""
        child = self._child = self._child or self._start()
        child.stdin.write(f"{reader}\t{path}\n")
        child.stdin.flush()
        try:
            line = self._lines.get(timeout=WATCHDOG)
        except queue.Empty:
            self.close()
            raise AssertionError(f"{reader}: no answer in {WATCHDOG} s") from None
        if not line:
            status = child.wait()
            self.close()
            raise AssertionError(f"{reader}: the process died of {status}")
        return json.loads(line)

    def _start(self) -> subprocess.Popen:
        child = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py")), *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, args=(child, self._lines), daemon=True).start()
        return child

    @staticmethod
    def _listen(child: subprocess.Popen, lines: queue.Queue[str]) -> None:
        for line in child.stdout:
            lines.put(line)
        lines.put("")

    def report(self, title: str) -> str:
        """What came of the inputs, in a line."""
        counts = ", ".join(f"{n} {outcome}" for outcome, n in self.outcomes.most_common())
        return (
            f"{title}: {self.outcomes.total()} inputs: {counts}; at worst {self.slowest:.2f} s "
            f"and {self.largest / 2**20:.1f} MiB"
        )
