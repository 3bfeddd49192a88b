"""An experiment's report: its numbers, a figure, and a paragraph that interprets them."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dvae_tf.files import replaced, write_atomically
from sampler.io.errors import expect


def save(
    output_dir: Path, name: str, rows: Sequence[Mapping[str, object]], figure: Figure, reading: str
) -> None:
    """Writes name.csv, name.png and name.md, each atomically; prints the reading and the paths.

    Args:
      output_dir: folder, created where missing.
      name: of the experiment; files of an earlier run are replaced.
      rows: the table, as for `to_csv`.
      figure: made without pyplot, as by `panels`.
      reading: one paragraph: what was run and what came out.
    """
    paths = [output_dir / f"{name}.{kind}" for kind in ("csv", "png", "md")]
    write_atomically(paths[0], to_csv(rows))
    write_atomically(paths[2], reading.strip() + "\n")
    print(reading.strip())
    write_png(paths[1], figure)  # last, as nothing hangs on it
    print(*paths, sep="\n")


def to_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """The rows as CSV text, its header their keys; ValueError unless all have the same ones."""
    expect(rows, "rows", "none", "at least one")
    names, text = list(rows[0]), io.StringIO()
    for i, row in enumerate(rows):
        expect(set(row) == set(names), f"rows[{i}]", f"the keys {list(row)}", str(names))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_png(path: Path, figure: Figure) -> None:
    """Writes a figure, whole or not at all."""
    with replaced(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def panels(
    size: tuple[float, float], *labels: tuple[str, str, str], columns: int = 0
) -> tuple[Figure, list[Axes]]:
    """A figure, its width and height in inches, of panels in rows of `columns` (0: in one row).

    The labels are those of each panel: its title, of its x axis, of its y axis.
    """
    figure = Figure(figsize=size, layout="constrained")
    columns = columns or len(labels)
    found = list(figure.subplots(-(-len(labels) // columns), columns, squeeze=False).flat)
    for axes, (title, xlabel, ylabel) in zip(found, labels, strict=False):
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        axes.set_axisbelow(True)
        axes.grid(color="#e6e8eb")
    return figure, found


def band(
    axes: Axes, x: np.ndarray, low: np.ndarray, middle: np.ndarray, high: np.ndarray, **style: Any
) -> None:
    """A line and the band around it, each [N]; the style is the line's: color, label."""
    axes.plot(x, middle, **style)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.13, linewidth=0)
