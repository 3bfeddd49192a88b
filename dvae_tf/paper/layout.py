"""The models of the paper's Tables 1 to 4, and the line and column of each."""

from typing import NamedTuple

UNDIRECTED = "dvae##"
METHODS = {"dvae#": "DVAE#", "concrete": "Concrete", "pwl": "PWL", UNDIRECTED: "DVAE##"}
"""The paper's names of the methods."""

TITLES = {
    1: "variational bound, shared context",
    2: "importance-weighted bound",
    3: "structured prediction",
    4: "with and without shared context",
}
DATA = ("mnist", "omniglot")
LAYERS = (1, 2, 4)
SAMPLES = (1, 5, 25)


class Cell(NamedTuple):
    """A model on a dataset: the subject of one number in a table.

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


def parameter(table: int) -> str:
    """What varies from line to line: "L", or "K" where each L has a column of its own."""
    return "K" if table in (2, 3) else "L"


def line(table: int, cell: Cell) -> tuple[str, int]:
    """A cell's line within the block of its size: dataset, and L or K."""
    return cell.data, cell.num_samples if parameter(table) == "K" else cell.num_layers


def column(table: int, cell: Cell) -> str:
    """The heading of a cell's column."""
    text = METHODS[cell.method]
    if parameter(table) == "K" and cell.method != UNDIRECTED:
        text += f" L={cell.num_layers}"
    return text + (", shared" if table == 4 and cell.shared_context else "")


def cells(
    table: int,
    data: tuple[str, ...] = (),
    sizes: tuple[int, ...] = (),
    samples: tuple[int, ...] = (),
) -> list[Cell]:
    """The paper's table in reading order, extended to further datasets, sizes and K."""
    values = sorted({*SAMPLES, *samples}) if parameter(table) == "K" else LAYERS
    return [
        model._replace(data=name, size=size)
        for size in sorted({*((100,) if table == 3 else (100, 200)), *sizes})
        for name in dict.fromkeys((*DATA, *data))
        for value in values
        for model in _models(table, value)
    ]


def belongs(table: int, cell: Cell) -> bool:
    """Whether the table's own runs fill a cell: Table 4 also shows numbers of Table 1."""
    return table != 4 or not cell.shared_context


def _models(table: int, value: int) -> list[Cell]:
    """The models of a line, from the left."""
    if parameter(table) == "K":
        task = "structured_prediction" if table == 3 else "vae"
        models = [("pwl", num_layers) for num_layers in LAYERS] + [(UNDIRECTED, 1)]
        return [Cell("", 0, *model, num_samples=value, task=task) for model in models]
    contexts = (False, True) if table == 4 else (True,)
    directed = [
        Cell("", 0, method, value, shared_context=shared)
        for method in METHODS
        for shared in contexts
        if method != UNDIRECTED
    ]
    return directed + ([Cell("", 0, UNDIRECTED)] if table == 1 and value == 1 else [])
