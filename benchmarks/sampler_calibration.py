"""Are log Z, its errors and the moments what they claim? 200 small machines against enumeration.

  python benchmarks/sampler_calibration.py --seed=0

20 random structures of 1 to 5 blocks of 1 to 6 units, of all families, with 10 machines each of
scales 0.1 to 3. The truth is NumPy's, in float64: `tests/machine_oracle.py`. Each method's errors
are told in its own standard errors (`tests/calibration.py`); scores of machines that a method warns
of are left out. A table on standard output; its last line is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from absl import app, flags

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

METHODS = ["exact", "gibbs", "mean field", "ais", "reverse", "bracket", "pa", "pt"]

flags.DEFINE_integer("seed", 0, "of the machines and of the runs", lower_bound=0)
flags.DEFINE_list("methods", METHODS, f"some of {', '.join(METHODS)}")
flags.DEFINE_integer("num_structures", 20, "kinds and sizes of blocks", lower_bound=1)
flags.DEFINE_integer("each", 10, "machines of each structure", lower_bound=3)
flags.DEFINE_integer("num_chains", 1000, "chains of each run of AIS", lower_bound=2)
flags.DEFINE_integer("num_temperatures", 1001, "of AIS's linear schedule", lower_bound=2)
flags.register_validator(
    "methods", lambda names: set(names) <= set(METHODS), f"accepted: {', '.join(METHODS)}"
)
FLAGS = flags.FLAGS


def summary(groups: list[dict[str, np.ndarray]]) -> dict[str, float]:
    """A method's line of the table, from the columns of each structure."""
    columns = {name: np.concatenate([g[name] for g in groups]) for name in groups[0]}
    line: dict[str, float] = {"machines": FLAGS.num_structures * FLAGS.each}
    if "z" in columns:
        warned = columns.get("warned", np.zeros(columns["z"].shape, bool))
        told = columns["z"][~warned & (columns.get("informative", True))]
        quiet = columns["z"][~warned]
        line |= {"warnings": warned.sum(), "sd of z": told.std(ddof=1), "mean z": told.mean()}
        line |= {"largest z": abs(quiet).max(), "within 5": np.mean(abs(quiet) < 5)}
    if "covered" in columns:
        line["coverage"] = columns["covered"].mean()
    if "moments" in columns:
        line["largest moment z"] = columns["moments"].max()
    for name, worst in (("error", max), ("gap", min)):
        if name in columns:
            line[f"{worst.__name__} {name}"] = worst(columns[name])
    return {name: float(f"{value:.3g}") for name, value in line.items()}


def main(argv: list[str]) -> None:
    """Measures structure by structure, prints the table."""
    del argv
    import calibration
    from tqdm import tqdm

    calibration.CHAINS, calibration.TEMPERATURES = FLAGS.num_chains, FLAGS.num_temperatures
    started, found = time.perf_counter(), []
    for number in tqdm(range(FLAGS.num_structures), desc="structures"):
        case = calibration.case(1000 * FLAGS.seed + number, 1 + number % 5, FLAGS.each)
        columns = {}
        for method in FLAGS.methods:
            columns[method] = calibration.METHODS[method](case, 1000 * FLAGS.seed + number)
            if "warned" in columns[method]:
                # of one block log Z is exact: its error is rounding's, which is no normal one's
                informative = np.full(FLAGS.each, len(case.machine.families) > 1)
                columns[method]["informative"] = informative
        found.append(columns)
    lines = {method: summary([group[method] for group in found]) for method in FLAGS.methods}
    for method, line in lines.items():
        print(f"{method:10}", *(f"{name} {value:<8g}" for name, value in line.items()))
    seconds = round(time.perf_counter() - started, 1)
    print(json.dumps({"seed": FLAGS.seed, "seconds": seconds, **lines}))


if __name__ == "__main__":
    app.run(main)
