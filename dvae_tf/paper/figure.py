"""A table as a figure: dots for this program's test NLL and for the paper's."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dvae_tf.paper.layout import TITLES, UNDIRECTED, Cell, column, line, parameter
from dvae_tf.paper.markdown import DATA_TITLES
from dvae_tf.paper.results import Results
from dvae_tf.paper.tables import Value

BLUE, GREY = "#2a6f97", "#8a8f98"  # those of `sampler.plots`, which loads TensorFlow


class Entry(NamedTuple):
    """A model in a panel, with our result and the paper's."""

    label: str
    ours: Value | None
    theirs: Value | None


def draw(results: Results) -> Figure:
    """A panel for each dataset and size with a result of ours, of which there is at least one."""
    panels = {}
    for data, size in sorted({(cell.data, cell.size) for cell in results.cells}):
        found = entries(results, data, size)
        if any(entry.ours for entry in found):
            panels[f"{DATA_TITLES.get(data, data)}, {size}+{size}"] = found
    longest = max(map(len, panels.values()))
    num_columns = min(2, len(panels))
    num_rows = -(-len(panels) // num_columns)
    shape = (5.2 * num_columns, 0.4 + num_rows * (1.1 + 0.26 * longest))
    figure = Figure(figsize=shape, layout="constrained")
    figure.suptitle(f"Table {results.table}: {TITLES[results.table]}", x=0.01, ha="left")
    for i, (name, found) in enumerate(panels.items(), 1):
        _panel(figure.add_subplot(num_rows, num_columns, i), name, found)
    return figure


def entries(results: Results, data: str, size: int) -> list[Entry]:
    """A panel's lines, from the top: column by column."""
    table = results.table
    cells = [cell for cell in results.cells if (cell.data, cell.size) == (data, size)]
    order = list(dict.fromkeys(column(table, cell) for cell in cells))
    return [
        Entry(_label(table, cell), results.ours(cell), results.theirs(cell))
        for cell in sorted(cells, key=lambda cell: order.index(column(table, cell)))
    ]


def _label(table: int, cell: Cell) -> str:
    varies, value = parameter(table), line(table, cell)[1]
    told = varies == "K" or cell.method != UNDIRECTED
    return column(table, cell) + f" {varies}={value}" * told


def _panel(axes: Axes, name: str, lines: list[Entry]) -> None:
    axes.set_title(name, loc="left")
    _dots(axes, [entry.theirs for entry in lines], "D", GREY, "the paper")
    _dots(axes, [entry.ours for entry in lines], "o", BLUE, "this program")
    axes.set_yticks(range(len(lines)), [entry.label for entry in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel("test NLL (nats)")
    axes.grid(axis="x", color="#e6e8eb")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")


def _dots(axes: Axes, values: Sequence[Value | None], marker: str, colour: str, label: str) -> None:
    points = [(value.mean, y, value.std or 0) for y, value in enumerate(values) if value]
    if points:
        mean, y, std = zip(*points, strict=True)
        axes.errorbar(mean, y, xerr=std, fmt=marker, color=colour, label=label, markersize=5)
