"""How the paper's Tables 1 to 4 are laid out: lines, columns, and what is in each place."""

from __future__ import annotations

from typing import NamedTuple

UNDIRECTED = "dvae##"
METHODS = {"dvae#": "DVAE#", "concrete": "Concrete", "pwl": "PWL", UNDIRECTED: "DVAE##"}
"""A method's name as the paper writes it."""

TITLES = {
    1: "variational bound, shared context",
    2: "importance-weighted bound",
    3: "structured prediction",
    4: "with and without shared context",
}
DATA = ("mnist", "omniglot")
LAYERS = (1, 2, 4)
SAMPLES = (1, 5, 25)
DIRECTED = ("dvae#", "concrete", "pwl")


class Cell(NamedTuple):
    """A model on a dataset: what one number of a table is of.

    Attributes:
      data: "mnist" or "omniglot", or any other name or path that the program's datasets have.
      size: units on each side of the RBMs; 100 means 100+100.
      method: "dvae#", "concrete", "pwl" (directed posteriors) or "dvae##" (undirected).
      num_layers: L, groups of a directed posterior.
      num_samples: K of the importance-weighted bound; 1 is the variational bound.
      shared_context: whether the groups of a directed posterior share a context.
      task: "vae", or "structured_prediction" of the bottom half given the top.
    """

    data: str
    size: int
    method: str
    num_layers: int = 1
    num_samples: int = 1
    shared_context: bool = True
    task: str = "vae"


class Column(NamedTuple):
    """A column of models.

    Attributes:
      method: a key of METHODS.
      num_layers: L, or None where the line says it.
      shared_context: as in `Cell`.
      belongs: whether the table's runs include the column's; Table 4 only shows those of Table 1.
    """

    method: str
    num_layers: int | None
    shared_context: bool = True
    belongs: bool = True


class Line(NamedTuple):
    """A line of a table: `value` is its L or K, `cells` has None where a column has nothing."""

    data: str
    size: int
    value: int
    cells: list[Cell | None]


class Layout(NamedTuple):
    """A table: for each size a block, in it a line for each dataset and value of L or K."""

    number: int
    values: tuple[int, ...]
    data: tuple[str, ...]
    sizes: tuple[int, ...]
    columns: tuple[Column, ...]

    @property
    def parameter(self) -> str:
        """What a line varies, "L" or "K"."""
        return "K" if self.number in (2, 3) else "L"

    def cell(self, data: str, size: int, value: int, column: Column) -> Cell | None:
        """What is in a place; None where there is nothing, as below the first line of DVAE##."""
        task = "structured_prediction" if self.number == 3 else "vae"
        if column.num_layers is not None:
            return Cell(data, size, column.method, column.num_layers, value, task=task)
        if column.method == UNDIRECTED and value > 1:
            return None
        return Cell(data, size, column.method, value, 1, column.shared_context, task)

    def lines(self) -> list[Line]:
        """All lines, in reading order."""
        return [
            Line(data, size, value, [self.cell(data, size, value, c) for c in self.columns])
            for size in self.sizes
            for data in self.data
            for value in self.values
        ]

    def cells(self) -> list[Cell]:
        """Everything in the table that its own runs fill, in reading order."""
        own = self._replace(columns=tuple(c for c in self.columns if c.belongs))
        return [cell for line in own.lines() for cell in line.cells if cell is not None]


def layout(
    table: int,
    data: tuple[str, ...] = (),
    sizes: tuple[int, ...] = (),
    samples: tuple[int, ...] = (),
) -> Layout:
    """The paper's table, with lines and blocks for further datasets, sizes and K."""
    return Layout(
        number=table,
        values=_with(SAMPLES, samples) if table in (2, 3) else LAYERS,
        data=tuple(dict.fromkeys((*DATA, *data))),
        sizes=_with((100,) if table == 3 else (100, 200), sizes),
        columns=_columns(table),
    )


def _columns(table: int) -> tuple[Column, ...]:
    directed = [Column(method, None) for method in DIRECTED]
    if table == 1:
        return (*directed, Column(UNDIRECTED, None))
    if table == 4:
        return tuple(
            column._replace(shared_context=shared, belongs=not shared)
            for column in directed
            for shared in (False, True)
        )
    return (*(Column("pwl", num_layers) for num_layers in LAYERS), Column(UNDIRECTED, 1))


def _with(paper: tuple[int, ...], given: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({*paper, *given}))
