"""Runs in processes of their own, with small programs in place of run_dvae.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dvae_tf.paper import child
from dvae_tf.paper.grid import Selection

CONFIG = (
    Selection(3, rows=("pwl_l2",), seeds=(5,), settings={"learning_rate": 1e-7}).runs()[0].config
)


def stand_in(monkeypatch, source: str) -> None:
    """Lets the run be a Python program that has the run's folder as sys.argv[1]."""
    monkeypatch.setattr(
        child,
        "command",
        lambda config, log_dir, data_dir: [sys.executable, "-c", source, str(log_dir)],
    )


def run(tmp_path: Path) -> None:
    child.run_in_process(CONFIG, tmp_path / "new" / "run", tmp_path)


def test_command_line_says_the_whole_configuration(tmp_path, project):
    script, *given = child.command(CONFIG, tmp_path / "run", tmp_path / "data")[1:]
    read = """
import sys, run_dvae
from absl import flags
from dvae_tf import config
flags.FLAGS(sys.argv)
print(config.resolve(**{name: flags.FLAGS[name].value for name in config.FIELDS}).to_json())
print(flags.FLAGS.log_dir, flags.FLAGS.data_dir, end="")
"""
    environment = os.environ | {"PYTHONPATH": str(project)}
    done = subprocess.run(
        [sys.executable, "-c", read, *given], env=environment, capture_output=True, text=True
    )
    expected = f"{CONFIG.to_json()}\n{tmp_path / 'run'} {tmp_path / 'data'}"
    assert done.stdout == expected, done.stderr
    assert Path(script) == project / "run_dvae.py" and Path(script).exists()


def test_a_run_with_metrics_is_a_success(monkeypatch, tmp_path):
    stand_in(
        monkeypatch,
        "import sys; open(sys.argv[1] + '/metrics.json', 'w').write('{\"a\": 1}')",
    )
    run(tmp_path)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise SystemExit(3)", "exit status 3, for the reason above"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL (out of memory?)"),
        ("import os; os.abort()", "ended by SIGABRT"),
        ("pass", "it ended without metrics.json"),
    ],
)
def test_failure_is_one_line(source, reason, monkeypatch, tmp_path):
    stand_in(monkeypatch, source)
    with pytest.raises(child.RunError) as caught:
        run(tmp_path)
    assert str(caught.value) == reason


WAIT = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
counts = []
signal.signal(signal.SIGINT, lambda *_: counts.append(1))
(folder / "ready").touch()
while not counts:
    time.sleep(0.01)
time.sleep(0.3)  # saves a checkpoint
(folder / "saved").write_text(str(len(counts)))
"""


def test_interrupt_is_passed_on_once_and_waited_for(monkeypatch, tmp_path):
    stand_in(monkeypatch, WAIT)
    folder = tmp_path / "new" / "run"

    def interrupt() -> None:
        while not (folder / "ready").exists():
            time.sleep(0.01)
        # as the terminal does: to every process of this group
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert (folder / "saved").read_text() == "1"


def test_run_is_out_of_the_terminal_s_reach(monkeypatch, tmp_path):
    stand_in(monkeypatch, "import os; raise SystemExit(os.getpgid(0) != os.getpid())")
    with pytest.raises(child.RunError, match="without metrics"):
        run(tmp_path)


def test_folder_that_another_process_is_at_is_refused(monkeypatch, tmp_path):
    stand_in(monkeypatch, WAIT)
    folder = tmp_path / "new" / "run"
    with child._claimed(folder), pytest.raises(child.RunError, match="another process is at it"):
        run(tmp_path)
    assert not (folder / "ready").exists()
    stand_in(monkeypatch, "raise SystemExit(3)")  # free again
    with pytest.raises(child.RunError, match="exit status 3"):
        run(tmp_path)


def test_lock_lasts_as_long_as_a_run_that_outlives_the_grid(tmp_path):
    with child._claimed(tmp_path) as lock:
        wait = [sys.executable, "-c", "input()"]
        orphan = subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=(lock,))
    with pytest.raises(child.RunError, match="another process"), child._claimed(tmp_path):
        pass
    orphan.communicate(b"\n")
    with child._claimed(tmp_path) as lock:
        assert os.fstat(lock).st_size == 0
