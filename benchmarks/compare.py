"""Runs benchmark commands in turn, A B C A B C ..., and prints their ratios to the first.

  python benchmarks/compare.py --rounds=5 \\
      --command="python benchmarks/train_step.py --prior_sweeps=5" \\
      --command="other/bin/python other_step.py --prior_sweeps=5"

Each command's last line must be JSON with `--key`. A ratio is taken within a round, so that a
machine that drifts between rounds does not spoil it; the median over the rounds is printed.
"""

from __future__ import annotations

import json
import shlex
import statistics
import subprocess

from absl import app, flags

flags.DEFINE_multi_string("command", [], "a benchmark; the first one is the reference")
flags.DEFINE_integer("rounds", 5, "runs of each command", lower_bound=1)
flags.DEFINE_string("key", "ms_per_step_median", "of the JSON line")
FLAGS = flags.FLAGS


def measure(command: str) -> float:
    """Runs a benchmark and returns its figure."""
    output = subprocess.run(
        shlex.split(command), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ).stdout.decode()
    return float(json.loads(output.strip().splitlines()[-1])[FLAGS.key])


def main(argv: list[str]) -> None:
    """Prints a line a round, then the medians."""
    del argv
    table: list[list[float]] = []
    for number in range(FLAGS.rounds):
        table.append([measure(command) for command in FLAGS.command])
        print(f"round {number + 1}:", "  ".join(f"{value:9.3f}" for value in table[-1]), flush=True)
    for command, column in zip(FLAGS.command, zip(*table, strict=True), strict=True):
        ratio = statistics.median(row[0] / v for row, v in zip(table, column, strict=True))
        print(f"{statistics.median(column):9.3f}  first/this {ratio:5.3f}  {command}")


if __name__ == "__main__":
    app.run(main)
