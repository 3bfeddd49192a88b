"""Runs of a grid one after another: finished ones are kept, failed ones reported and skipped."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from dvae_tf.config import Config, ConfigError
from dvae_tf.paper.child import PROJECT, RunError
from dvae_tf.paper.grid import Run
from dvae_tf.progress import say
from sampler.io.errors import expect

RunFn = Callable[[Config, Path], object]
"""(config, log_dir): leaves metrics.json in log_dir; RunError if the run fails."""

COMMITS = "commits.txt"
"""File in a run's folder: the commits of the code that ran it, one per line."""


def run_all(
    runs: Sequence[Run],
    output_dir: Path,
    run_fn: RunFn,
    on_finished: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """Makes the unfinished runs in order, each in its own folder of `output_dir`.

    Returns why runs failed, by name. `on_finished` is called after each of the others.

    Raises:
      ConfigError: a folder holds a run with another configuration; nothing was run.
      KeyboardInterrupt: on Ctrl-C.
    """
    check_folders(runs, output_dir)
    todo = [run for run in runs if not is_finished(run, output_dir)]
    failures: dict[str, str] = {}
    commit = current_commit()
    with tqdm(total=len(runs), initial=len(runs) - len(todo), desc="runs", unit="run") as bar:
        for run in todo:
            # the bar of all runs stays above the run's own
            bar.set_description(run.name)
            print(file=sys.stderr, flush=True)
            record_commit(output_dir / run.name, commit)
            try:
                run_fn(run.config, output_dir / run.name)
                on_finished()
            except RunError as error:
                failures[run.name] = str(error)
                say(f"{run.name} failed: {error}")
            bar.update()
    return failures


def is_finished(run: Run, output_dir: Path) -> bool:
    """Whether the run's folder has its metrics."""
    return (output_dir / run.name / "metrics.json").exists()


def difference(run: Run, output_dir: Path) -> str | None:
    """How the configuration in the run's folder differs, if there is one and it does."""
    path = output_dir / run.name / "config.json"
    if not path.exists():
        return None
    return "; ".join(run.config.differences(Config.from_json(path))) or None


def check_folders(runs: Sequence[Run], output_dir: Path) -> None:
    """Raises ConfigError if a run's folder holds a run with another configuration."""
    for run in runs:
        different = difference(run, output_dir)
        found = f"another configuration of {run.name} ({different})"
        accepted = "the same one, or another folder"
        expect(not different, f"--output_dir={output_dir}", found, accepted, ConfigError)


def current_commit() -> str:
    """The checkout's commit, with "-dirty" if files differ from it; "unknown" outside of one."""
    if _git("rev-parse", "--show-toplevel") != str(PROJECT):
        return "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return (_git("rev-parse", "--short=12", "HEAD") or "unknown") + ("-dirty" if changed else "")


def record_commit(log_dir: Path, commit: str) -> None:
    """Appends a commit to the run's list unless it is the last one there."""
    if read_commits(log_dir)[-1:] != [commit]:
        log_dir.mkdir(parents=True, exist_ok=True)
        with (log_dir / COMMITS).open("a") as file:
            file.write(commit + "\n")


def read_commits(log_dir: Path) -> list[str]:
    """The commits of the code that ran a run, in order."""
    path = log_dir / COMMITS
    return path.read_text().split() if path.exists() else []


def _git(*arguments: str) -> str | None:
    """What git says, or None if it cannot."""
    command = ["git", "-C", str(PROJECT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
