"""Results of a table's finished runs, read from their folders."""

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from dvae_tf.config import Config
from dvae_tf.data.mat import read_shapes
from dvae_tf.paper.grid import Run, Selection, canonical, make_run, stem
from dvae_tf.paper.layout import Cell
from dvae_tf.paper.runner import read_commits
from dvae_tf.paper.tables import Value, paper_value

FULL_OMNIGLOT = {"data": (784, 24345), "testdata": (784, 8070)}
"""Shapes of the arrays in the OMNIGLOT file that the paper used."""

TEST_IMAGES = {"mnist": 10_000, "omniglot": 8070}
"""Sizes of the paper's test sets."""


class Finished(NamedTuple):
    """A run, its metrics, and the commits of the code that ran it."""

    run: Run
    metrics: dict[str, Any]
    commits: list[str]


class Results(NamedTuple):
    """A table's finished runs, whatever their seeds.

    Attributes:
      table: its number.
      cells: all of the table's.
      finished: the runs with the requested settings.
      left_out: names of runs with other settings.
      incomparable: datasets that differ from the paper's.
    """

    table: int
    cells: list[Cell]
    finished: list[Finished]
    left_out: list[str]
    incomparable: set[str]

    def ours(self, cell: Cell) -> Value | None:
        """Test NLL over a cell's runs (of one without std), or None if there are none."""
        nll = [f.metrics["test_nll"] for f in self.finished if f.run.cell == canonical(cell)]
        if not nll:
            return None
        std = statistics.stdev(nll) if len(nll) > 1 else None
        return Value(statistics.fmean(nll), std, len(nll))

    def theirs(self, cell: Cell) -> Value | None:
        """The paper's number, or None if it has none or used another dataset."""
        return None if cell.data in self.incomparable else paper_value(self.table, cell)


def gather(selection: Selection, output_dir: Path, data_dir: Path) -> Results:
    """Reads all finished runs of a table in `output_dir`, selected or not.

    For Table 4 these include runs of Table 1. ConfigError names a damaged config.json.
    """
    cells = selection.cells()
    finished, left_out = [], []
    for cell in dict.fromkeys(map(canonical, cells)):  # Table 4 has each cell of L = 1 twice
        for path in sorted(output_dir.glob(f"{stem(cell)}_seed*/metrics.json"), key=_seed):
            run = make_run(cell, _seed(path), selection.settings)
            if run.config.differences(Config.from_json(path.with_name("config.json"))):
                left_out.append(run.name)
            else:
                metrics = json.loads(path.read_text())
                finished.append(Finished(run, metrics, read_commits(path.parent)))
    found = _incomparable(data_dir, finished)
    return Results(selection.table, cells, finished, left_out, found)


def _incomparable(data_dir: Path, finished: Iterable[Finished]) -> set[str]:
    """Datasets that differ from the paper's.

    Judged by the shapes in OMNIGLOT's file, whatever its name, and by the number of test images
    that finished runs were evaluated on.
    """
    evaluated = [(f.run.cell.data, f.metrics.get("num_images")) for f in finished]
    found = {data for data, n in evaluated if n is not None and n != TEST_IMAGES.get(data, n)}
    paths = [data_dir.expanduser() / name for name in ("chardata.mat", "omniglot_small.mat")]
    for path in [path for path in paths if path.exists()][:1]:  # the one that the loader would read
        if not FULL_OMNIGLOT.items() <= read_shapes(path).items():
            found.add("omniglot")
    return found


def _seed(path: Path) -> int:
    return int(path.parent.name.rpartition("_seed")[2])
