"""A table as a picture: this program's test NLL as dots beside the paper's."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dvae_tf.paper.layout import METHODS, TITLES, Layout, paper_value
from dvae_tf.paper.markdown import DATA_TITLES
from dvae_tf.paper.results import Results, Statistic
from dvae_tf.paper.tables import UNDIRECTED, Cell, Value
from sampler.plots import BLUE, GREY


class Entry(NamedTuple):
    """A line of a panel: a model, ours and theirs."""

    label: str
    ours: Statistic | None
    theirs: Value | None


def draw(table: Layout, results: Results, incomparable: set[str]) -> Figure:
    """A panel for each dataset and size that has a number of ours; `results` has one at least."""
    panels = {}
    for data in table.data:
        for size in table.sizes:
            lines = entries(table, results, data, size, data in incomparable)
            if any(entry.ours for entry in lines):
                panels[f"{DATA_TITLES.get(data, data)}, {size}+{size}"] = lines
    longest = max(len(lines) for lines in panels.values())
    num_columns = min(2, len(panels))
    num_rows = -(-len(panels) // num_columns)
    shape = (5.2 * num_columns, 0.4 + num_rows * (1.1 + 0.26 * longest))
    figure = Figure(figsize=shape, layout="constrained")
    figure.suptitle(f"Table {table.number}: {TITLES[table.number]}", x=0.01, ha="left")
    for i, (name, lines) in enumerate(panels.items()):
        _panel(figure.add_subplot(num_rows, num_columns, i + 1), name, lines)
    return figure


def entries(
    table: Layout, results: Results, data: str, size: int, incomparable: bool
) -> list[Entry]:
    """A panel's lines, from the top."""
    found = []
    for column in table.columns:
        for value in table.values:
            cell = table.cell(data, size, value, column)
            if cell is not None:
                theirs = None if incomparable else paper_value(table.number, cell)
                found.append(Entry(_label(table, cell), results.statistic(cell), theirs))
    return found


def _label(table: Layout, cell: Cell) -> str:
    text = METHODS[cell.method]
    if cell.method != UNDIRECTED:
        text += f" L={cell.num_layers}"
    if table.parameter == "K":
        text += f" K={cell.num_samples}"
    return text + (", shared" if table.number == 4 and cell.shared_context else "")


def _panel(ax: Axes, name: str, lines: list[Entry]) -> None:
    ax.set_title(name, loc="left")
    heights = range(len(lines))
    theirs = [
        (y, e.theirs.mean, e.theirs.std) for y, e in zip(heights, lines, strict=True) if e.theirs
    ]
    ours = [(y, e.ours.mean, e.ours.std) for y, e in zip(heights, lines, strict=True) if e.ours]
    for points, marker, colour, label in (
        (theirs, "D", GREY, "the paper"),
        (ours, "o", BLUE, "this program"),
    ):
        if points:
            y, mean, std = zip(*points, strict=True)
            spread = [s or 0 for s in std]
            ax.errorbar(mean, y, xerr=spread, fmt=marker, color=colour, label=label, markersize=5)
    ax.set_yticks(list(heights), [entry.label for entry in lines])
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.set_xlabel("test NLL (nats)")
    ax.grid(axis="x", color="#e6e8eb")
    ax.spines[["top", "right"]].set_visible(False)
    if ours or theirs:
        ax.legend(frameon=False, fontsize="small")
