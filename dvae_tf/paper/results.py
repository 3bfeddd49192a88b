"""What the finished runs of a table came to, read from their folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dvae_tf.config import Config
from dvae_tf.data.mat import read_shapes
from dvae_tf.paper.grid import Run, canonical, make_run, stem
from dvae_tf.paper.layout import Layout
from dvae_tf.paper.runner import read_commits
from dvae_tf.paper.tables import Cell

FULL_OMNIGLOT = {"data": (784, 24345), "testdata": (784, 8070)}
"""Shapes of the arrays of the set that the paper's OMNIGLOT columns are of."""

TEST_IMAGES = {"mnist": 10_000, "omniglot": 8070}
"""Test images of the datasets that the paper reports."""


class Finished(NamedTuple):
    """A run with its metrics and the commits that it was run with."""

    run: Run
    metrics: dict[str, Any]
    commits: tuple[str, ...]


class Results(NamedTuple):
    """The finished runs of a table, of any seed.

    Attributes:
      finished: those with the settings asked for.
      left_out: names of those with other settings.
    """

    finished: list[Finished]
    left_out: list[str]

    def statistic(self, cell: Cell) -> Statistic | None:
        """The cell's test NLL over its runs; None without any."""
        nll = [f.metrics["test_nll"] for f in self.finished if f.run.cell == canonical(cell)]
        return Statistic.of(nll) if nll else None


class Statistic(NamedTuple):
    """Mean over n runs, and their standard deviation (n - 1 in the denominator; None for one)."""

    mean: float
    std: float | None
    n: int

    @staticmethod
    def of(values: Sequence[float]) -> Statistic:
        """The statistic of one or more values."""
        n = len(values)
        return Statistic(
            float(np.mean(values)), float(np.std(values, ddof=1)) if n > 1 else None, n
        )


def gather(table: Layout, settings: Mapping[str, Any], output_dir: Path) -> Results:
    """Reads every finished run of a table in `output_dir`.

    Table 4 takes the columns that are Table 1's along. ConfigError names a damaged config.json.
    """
    places = (
        table.cell(data, size, value, column)
        for size in table.sizes
        for data in table.data
        for value in table.values
        for column in table.columns
    )
    # a dict, as Table 4 has each cell of L = 1 twice
    cells = dict.fromkeys(canonical(cell) for cell in places if cell is not None)
    results = Results([], [])
    for cell in cells:
        for path in sorted(output_dir.glob(f"{stem(cell)}_seed*/metrics.json"), key=_seed):
            run = make_run(cell, _seed(path), settings)
            config = Config.from_json(path.with_name("config.json"))
            if run.config.differences(config):
                results.left_out.append(run.name)
            else:
                metrics = json.loads(path.read_text())
                commits = tuple(read_commits(path.parent))
                results.finished.append(Finished(run, metrics, commits))
    return results


def incomparable(data_dir: Path, finished: Iterable[Finished]) -> set[str]:
    """Datasets here that are not those of the paper, so that NLLs must not be compared.

    Told by the shapes in OMNIGLOT's file, whatever its name, and by the number of test images that
    finished runs were evaluated on.
    """
    found = {
        f.run.cell.data
        for f in finished
        if (expected := TEST_IMAGES.get(f.run.cell.data))
        and f.metrics.get("num_images", expected) != expected
    }
    return found | ({"omniglot"} if _omniglot_is_partial(data_dir) else set())


def _omniglot_is_partial(data_dir: Path) -> bool:
    """Whether the file that the loader would read is not the full set; no file is downloaded."""
    for name in ("chardata.mat", "omniglot_small.mat"):
        path = data_dir.expanduser() / name
        if path.exists():
            shapes = read_shapes(path)
            return any(shapes.get(array) != shape for array, shape in FULL_OMNIGLOT.items())
    return False


def _seed(path: Path) -> int:
    return int(path.parent.name.rpartition("_seed")[2])
