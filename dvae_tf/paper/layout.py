"""How each table is laid out: its lines, its columns, and what is in each place."""

from __future__ import annotations

from typing import NamedTuple

from dvae_tf.paper.tables import (
    DATA,
    DIRECTED,
    LAYERS,
    PAPER,
    SAMPLES,
    SIZES,
    UNDIRECTED,
    Cell,
    Value,
)

TITLES = {
    1: "variational bound, shared context",
    2: "importance-weighted bound",
    3: "structured prediction",
    4: "with and without shared context",
}
METHODS = {"dvae#": "DVAE#", "concrete": "Concrete", "pwl": "PWL", UNDIRECTED: "DVAE##"}
"""A method's name as the paper writes it."""


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


class Layout(NamedTuple):
    """A table: for each size a block, in it a line for each dataset and parameter.

    Attributes:
      number: of the table.
      parameter: what a line varies: "L" or "K".
      values: the parameter's.
      data, sizes: as in `Cell`.
      columns: the models.
    """

    number: int
    parameter: str
    values: tuple[int, ...]
    data: tuple[str, ...]
    sizes: tuple[int, ...]
    columns: tuple[Column, ...]

    def cell(self, data: str, size: int, value: int, column: Column) -> Cell | None:
        """What is in a place; None where there is nothing, as below the first line of DVAE##."""
        task = "structured_prediction" if self.number == 3 else "vae"
        if column.num_layers is not None:
            return Cell(data, size, column.method, column.num_layers, value, task=task)
        if column.method == UNDIRECTED and value > 1:
            return None
        return Cell(data, size, column.method, value, 1, column.shared_context, task)

    def cells(self) -> list[Cell]:
        """Everything in the table that its own runs fill, in reading order."""
        places = (
            self.cell(data, size, value, column)
            for size in self.sizes
            for data in self.data
            for value in self.values
            for column in self.columns
            if column.belongs
        )
        return [cell for cell in places if cell is not None]


def layout(
    table: int,
    data: tuple[str, ...] = (),
    sizes: tuple[int, ...] = (),
    samples: tuple[int, ...] = (),
) -> Layout:
    """The paper's table, with lines and blocks for further datasets, sizes and K."""
    varies_k = table in (2, 3)
    return Layout(
        number=table,
        parameter="K" if varies_k else "L",
        values=_with(SAMPLES, samples) if varies_k else LAYERS,
        data=(*DATA, *(name for name in data if name not in DATA)),
        sizes=_with(SIZES[table], sizes),
        columns=_columns(table),
    )


def paper_value(table: int, cell: Cell) -> Value | None:
    """The paper's number; None where it has none."""
    value = PAPER[table].get(cell)
    return PAPER[1].get(cell) if value is None and table == 4 else value


def _columns(table: int) -> tuple[Column, ...]:
    directed = tuple(Column(method, None) for method in DIRECTED)
    if table == 1:
        return (*directed, Column(UNDIRECTED, None))
    if table == 4:
        without = (column._replace(shared_context=False) for column in directed)
        shown = (column._replace(belongs=False) for column in directed)
        return tuple(c for pair in zip(without, shown, strict=True) for c in pair)
    return (*(Column("pwl", num_layers) for num_layers in LAYERS), Column(UNDIRECTED, 1))


def _with(paper: tuple[int, ...], given: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({*paper, *given}))
