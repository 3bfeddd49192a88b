"""The paper's Tables 1 to 4 as data: test NLL in nats, mean and std of five runs."""

from collections.abc import Iterator
from typing import NamedTuple

from dvae_tf.paper.layout import Cell, belongs, cells, line


class Value(NamedTuple):
    """A test NLL: a mean over runs and their standard deviation, which Table 4 lacks.

    Attributes:
      n: how many runs of ours it is of; 0 for the paper's.
    """

    mean: float
    std: float | None
    n: int = 0

    def __str__(self) -> str:
        spread = "" if self.std is None else f" ± {self.std:.2f}"
        return f"{self.mean:.2f}{spread}" + f" (n={self.n})" * (self.n > 0)


# Tables 1 and 4: a line for each L; for each size the DVAE#, Concrete and PWL columns, and in
# Table 1 a fourth, DVAE##, which has L = 1 alone. Tables 2 and 3: a line for each K; for each size
# PWL with L = 1, 2, 4, then DVAE##.
_TEXT = {
    1: """
mnist    1 | 84.97±.03 84.66±.04 84.62±.05 84.09±.06 | 83.21±.03 83.19±.05 83.22±.05 82.75±.05
mnist    2 | 84.96±.05 84.71±.03 84.50±.07           | 83.13±.04 83.04±.02 82.99±.05
mnist    4 | 84.58±.02 84.39±.04 84.07±.04           | 82.93±.04 83.14±.04 82.90±.03
omniglot 1 | 101.64±.05 101.41±.06 101.24±.02 100.69±.04 | 99.51±.03 99.39±.04 99.32±.04 98.61±.08
omniglot 2 | 101.75±.04 101.39±.06 101.14±.05            | 99.40±.05 99.12±.07 99.10±.04
omniglot 4 | 101.74±.07 102.04±.10 101.14±.05            | 99.47±.04 99.97±.02 99.30±.03
""",
    2: """
mnist    1  | 84.60±.04 84.49±.03 84.04±.03 84.06±.03 | 83.27±.06 82.99±.04 82.89±.03 82.76±.05
mnist    5  | 84.15±.06 83.88±.02 83.53±.06 83.56±.02 | 83.24±.06 82.90±.06 82.65±.03 82.76±.06
mnist    25 | 83.96±.05 83.70±.03 83.38±.02 83.44±.04 | 83.38±.04 83.05±.03 82.84±.02 82.97±.11
omniglot 1  | 101.21±.06 101.14±.07 101.12±.03 100.68±.05 | 99.32±.02 99.11±.02 99.28±.09 98.61±.06
omniglot 5  | 100.72±.05 100.58±.05 100.51±.04 100.16±.04 | 99.19±.05 98.69±.09 98.78±.02 98.34±.03
omniglot 25 | 100.58±.01 100.48±.05 100.37±.03 100.02±.04 | 99.10±.03 98.70±.07 98.86±.06 98.34±.04
""",
    3: """
mnist    1  | 60.82±.17 59.54±.12 60.22±.12 57.13±.18
mnist    5  | 52.38±.03 52.27±.16 52.67±.05 49.25±.07
mnist    25 | 48.30±.08 48.41±.05 48.61±.11 45.75±.10
omniglot 1  | 67.06±.04 67.11±.11 67.35±.08 63.74±.08
omniglot 5  | 59.00±.03 59.28±.08 59.34±.10 57.53±.08
omniglot 25 | 54.79±.04 54.83±.04 54.88±.06 54.32±.04
""",
    4: """
mnist    1 | 84.95 84.65 84.57 | 83.26 83.21 83.23
mnist    2 | 84.81 84.75 84.70 | 83.26 83.24 83.38
mnist    4 | 84.61 84.90 85.00 | 83.13 83.69 83.85
omniglot 1 | 101.69 101.41 101.21 | 99.53 99.39 99.37
omniglot 2 | 101.84 102.45 101.64 | 99.66 100.52 100.07
omniglot 4 | 101.93 102.76 101.97 | 99.63 100.99 100.45
""",
}


def _numbers(table: int) -> Iterator[tuple[Cell, Value]]:
    own = [cell for cell in cells(table) if belongs(table, cell)]
    for row in _TEXT[table].strip().splitlines():
        head, *blocks = row.split("|")
        data, value = head.split()
        found = [cell for cell in own if line(table, cell) == (data, int(value))]
        for cell, text in zip(found, " ".join(blocks).split(), strict=True):
            mean, _, std = text.partition("±")
            yield cell, Value(float(mean), float(std) if std else None)


PAPER = {table: dict(_numbers(table)) for table in _TEXT}
"""Each table's numbers by cell. Table 4 has those without shared context; its columns with it
repeat Table 1."""


def paper_value(table: int, cell: Cell) -> Value | None:
    """The paper's number for a cell, or None."""
    value = PAPER[table].get(cell)
    return PAPER[1].get(cell) if value is None and table == 4 else value
