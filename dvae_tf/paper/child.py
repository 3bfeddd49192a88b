"""A run in its own process, which frees its memory at the end and can crash alone."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dvae_tf.config import FIELDS, Config

PROJECT = Path(__file__).resolve().parents[2]
"""The folder that has run_dvae.py beside this package."""


class RunError(RuntimeError):
    """A run did not finish; one clear line."""


def run_in_process(config: Config, log_dir: Path, data_dir: Path) -> None:
    """Trains and evaluates by run_dvae.py, which resumes a run found in `log_dir`.

    The run's progress bars and errors go to standard error. Ctrl-C is passed on to it once, and
    waited for: it saves a checkpoint. A second Ctrl-C kills it.

    Raises:
      RunError: the run failed, or another process is working in the folder.
      KeyboardInterrupt: after the run has ended.
    """
    with _claimed(log_dir) as lock:
        # A session of its own keeps the terminal's Ctrl-C from reaching the run twice. The run
        # holds the lock too, in case it outlives this process.
        process = subprocess.Popen(
            command(config, log_dir, data_dir),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(lock,),
        )
        status = _wait(process)
    if status or not (log_dir / "metrics.json").exists():
        raise RunError(_reason(status))


def command(config: Config, log_dir: Path, data_dir: Path) -> list[str]:
    """A run's command line, with every setting given so that no default interferes."""
    settings = [f"--{name}={getattr(config, name)}" for name in FIELDS]
    folders = [f"--log_dir={log_dir}", f"--data_dir={data_dir}"]
    return [sys.executable, str(PROJECT / "run_dvae.py"), *settings, *folders]


@contextlib.contextmanager
def _claimed(log_dir: Path) -> Iterator[int]:
    """The descriptor of a lock on the folder; RunError if another process holds it."""
    log_dir.mkdir(parents=True, exist_ok=True)
    lock = os.open(log_dir / "lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock
    except BlockingIOError:
        raise RunError("another process is at it") from None
    finally:
        os.close(lock)


def _wait(process: subprocess.Popen) -> int:
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        try:
            process.wait()
        except KeyboardInterrupt:
            process.kill()
            process.wait()
        raise


def _reason(status: int) -> str:
    if status < 0:
        name = signal.Signals(-status).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"ended by {name}{hint}"
    if status == 0:
        return "it ended without metrics.json"
    return f"exit status {status}, for the reason above"
