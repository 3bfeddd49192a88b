"""Kills a run of `run_dvae.py` again and again, and compares its end with a whole run's.

  python benchmarks/kills.py --kills=20
  python benchmarks/kills.py --kills=20 --signal=TERM
  python benchmarks/kills.py --kills=50 --flags="--dataset=binarized_mnist --num_steps=2000 ..."

The same command is started after each kill. A line tells of each kill what it was aimed at and
which checkpoint the run had; the last one is JSON with what differs: parameters, moments and
chains of the last checkpoint, which are kept, the best model, metrics (but for times), pictures,
event values.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import app, flags

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    "--num_steps=120 --checkpoint_every=10 --eval_every=40 --num_latents=12 --batch_size=50 "
    "--posterior_sweeps=2 --prior_sweeps=2 --prior_chains=100 --valid_samples=20 "
    "--eval_samples=20 --prior_temperatures=500"
)
AIMS = {
    "a moment drawn from the whole time": None,
    "steps after a checkpoint": "checkpoints/step-*.index",
    "a checkpoint half written": "checkpoints/*_temp*",
    "the best model half written": "checkpoints/best/*_temp*",
    "the export half written": "saved_model/variables*",
    "after the export": "saved_model/saved_model.pb",
    "pictures": "*.png*",
}
"""What a kill waits for: a file that was not there when the process started."""

INTERRUPTED = 130
"""The exit status after Ctrl-C."""


def command(log_dir: Path, run_flags: str) -> list[str]:
    """That of a run, as `subprocess` takes it."""
    program = [sys.executable, str(ROOT / "run_dvae.py"), f"--log_dir={log_dir}"]
    return [*program, *shlex.split(run_flags)]


def start(log_dir: Path, run_flags: str) -> subprocess.Popen:
    """The command, its output kept in a file beside `log_dir`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with log_dir.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            command(log_dir, run_flags), env=environment, stdout=log, stderr=log
        )


def kill_at(
    aim: str, log_dir: Path, run_flags: str, whole: float, chance: random.Random, number: int
) -> bool:
    """Starts the command and kills it as aimed; False if it came to its end before.

    Args:
      whole: seconds that a whole run takes.
      number: of the signal.
    """
    pattern = AIMS[aim]
    known = set(log_dir.glob(pattern)) if pattern else set()
    process = start(log_dir, run_flags)
    moment = time.monotonic() + chance.uniform(0, whole)
    while process.poll() is None:
        seen = pattern and set(log_dir.glob(pattern)) - known
        if seen or (not pattern and time.monotonic() > moment):
            time.sleep(chance.uniform(0, 0.2) if aim == "steps after a checkpoint" else 0)
            process.send_signal(number)
            break
        time.sleep(0.0005)
    status = process.wait()
    # SIGTERM is Ctrl-C from a moment after the start on
    accepted = {0, -number} | ({INTERRUPTED} if number == signal.SIGTERM else set())
    text = log_dir.with_suffix(".log").read_text()
    assert status in accepted and "Traceback" not in text, f"{status}: {text[-3000:]}"
    return status != 0


def differences(whole: Path, killed: Path) -> list[str]:
    """What of two runs' results is not the same, bit for bit."""
    found = []
    for part in ("checkpoints", "checkpoints/best"):
        found += _different(part, _checkpoint(whole / part), _checkpoint(killed / part))
    kept, theirs = (
        {path.relative_to(run) for path in run.glob("checkpoints/**/*.index")}
        for run in (whole, killed)
    )
    found += [f"kept: {path}" for path in sorted(kept ^ theirs)]
    found += _different("metrics.json", _metrics(whole), _metrics(killed))
    # the curves show the time, too
    pictures = [p.name for p in whole.glob("*.png") if p.name != "curves.png"]
    for name in ["config.json", *pictures]:
        same = (killed / name).exists() and _bytes(whole / name) == _bytes(killed / name)
        found += [] if same else [name]
    events = [dict(_events(folder, found)) for folder in (whole, killed)]
    return found + _different("events", *events)


def _different(what: str, first: dict, second: dict) -> list[str]:
    names = sorted({*first, *second}, key=str)
    missing = object()
    return [
        f"{what}: {n}" for n in names if not _equal(first.get(n, missing), second.get(n, missing))
    ]


def _equal(a: object, b: object) -> bool:
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _checkpoint(folder: Path) -> dict[str, np.ndarray]:
    """Tensors of the newest checkpoint by name, with its step; without times."""
    import tensorflow as tf

    path = tf.train.latest_checkpoint(str(folder))
    reader = tf.train.load_checkpoint(path)
    names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n]
    kept = {n: reader.get_tensor(n) for n in names if not n.startswith(("seconds", "save_counter"))}
    return {**kept, "step": np.array(path.rsplit("-", 1)[1])}


def _metrics(log_dir: Path) -> dict[str, float]:
    metrics = json.loads((log_dir / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if "seconds" not in name}


def _events(log_dir: Path, found: list[str]) -> Iterator[tuple[tuple[str, int], bytes]]:
    """Event values by tag and step; steps done twice that differ go into `found`."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    seen: dict[tuple[str, int], bytes] = {}
    for path in sorted(log_dir.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tag.startswith("_hparams_"):  # has the time at which it was written
                    continue
                key, content = (value.tag, event.step), value.tensor.SerializeToString()
                if seen.setdefault(key, content) != content:
                    found.append(f"events: {key} was written twice, and differently")
                yield key, content


def run(
    folder: Path,
    run_flags: str,
    kills: int,
    seed: int,
    aims: list[str],
    number: int = signal.SIGKILL,
) -> dict:
    """A whole run, and killed ones as many as the kills take, in `folder`; prints a line a kill.

    Args:
      aims: of the kills, in turn, names of `AIMS`.
      number: of the signal.
    """
    chance = random.Random(seed)
    whole = folder / "whole"
    started = time.monotonic()
    assert start(whole, run_flags).wait() == 0, (folder / "whole.log").read_text()
    seconds = time.monotonic() - started
    killed, runs, done, different = folder / "killed 1", 1, 0, []
    while done < kills:
        aim = aims[done % len(aims)]
        if kill_at(aim, killed, run_flags, seconds, chance, number):
            done += 1
            steps = [int(p.stem[5:]) for p in killed.glob("checkpoints/step-*.index")]
            line = f"kill {done:3d}  run {runs}  checkpoint {max(steps, default=0):6d}  {aim}"
            print(line, flush=True)
        else:  # it came to its end
            different += differences(whole, killed)
            runs += 1
            killed = folder / f"killed {runs}"
    assert start(killed, run_flags).wait() == 0, killed.with_suffix(".log").read_text()
    different += differences(whole, killed)
    return {"kills": done, "runs": runs, "different": different}


def main(argv: list[str]) -> None:
    """Flags to runs, to a verdict."""
    del argv
    given = flags.FLAGS
    number = getattr(signal, f"SIG{given.signal}")
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), given.flags, given.kills, given.seed, list(AIMS), number)
    print(json.dumps(found))
    sys.exit(bool(found["different"]))


if __name__ == "__main__":
    flags.DEFINE_string("flags", SMALL, "of run_dvae.py")
    flags.DEFINE_integer("kills", 20, "how many", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "of the moments")
    flags.DEFINE_enum("signal", "KILL", ["KILL", "TERM"], "that is sent")
    app.run(main)
