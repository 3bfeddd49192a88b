"""Each method of `python -m sampler log_z` on files with known answers, over seeds.

  python benchmarks/log_z_files.py --folder=FOLDER --seeds=20

The folder has `.npz` files, and truth.json with log Z by the files' stems. An answer is right
within 5 of its errors + .02 nats, or inside the interval that it gives; wrong without a warning is
silent. The last line is JSON.
"""

from __future__ import annotations

import collections
import contextlib
import io
import json
import statistics
import sys
from pathlib import Path

from absl import app, flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

METHODS = ["auto", "ais", "bracket", "pa"]

flags.DEFINE_string("folder", None, "of the files and truth.json", required=True)
flags.DEFINE_list("methods", METHODS, "of `python -m sampler log_z`")
flags.DEFINE_integer("seeds", 20, "how many, from 0 on", lower_bound=1)
FLAGS = flags.FLAGS


def answered(file: Path, method: str, seed: int) -> dict:
    """The line that the command prints."""
    from sampler.command_line.main import main as sampler_main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = sampler_main(["log_z", str(file), f"--method={method}", f"--seed={seed}"])
    if status:
        sys.exit(f"{file}: --method={method} --seed={seed} ended with {status}")
    answer: dict = json.loads(printed.getvalue())
    return answer


def judge(answer: dict, truth: float) -> str:
    """right, warned or silent."""
    error = abs(answer["log_z"] - truth)
    lower, upper = (answer.get(f"log_z_{side}") for side in ("lower", "upper"))
    inside = lower is not None and lower - 0.02 <= truth <= upper + 0.02
    if inside or error <= 5 * (answer.get("log_z_stderr") or 0) + 0.02:
        return "right"
    return "warned" if answer["warnings"] else "silent"


def main(argv: list[str]) -> None:
    """A line for each file and method."""
    del argv
    truths = json.loads((Path(FLAGS.folder) / "truth.json").read_text())
    table = []
    for method in FLAGS.methods:
        for name, truth in truths.items():
            counts, seconds = collections.Counter[str](), []
            for seed in range(FLAGS.seeds):
                answer = answered(Path(FLAGS.folder) / f"{name}.npz", method, seed)
                counts[judge(answer, truth)] += 1
                seconds.append(answer["seconds"])
            line = {"method": method, "file": name, **counts}
            line["median_seconds"] = round(statistics.median(seconds), 1)
            line["max_seconds"] = round(max(seconds), 1)
            print(line, file=sys.stderr, flush=True)
            table.append(line)
    print(json.dumps(table))


if __name__ == "__main__":
    app.run(main)
