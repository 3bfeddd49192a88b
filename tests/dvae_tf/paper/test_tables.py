from __future__ import annotations

from collections import Counter

import pytest

from dvae_tf.paper.layout import Cell, belongs, cells
from dvae_tf.paper.tables import PAPER, Value, paper_value

SP = "structured_prediction"


@pytest.mark.parametrize(
    ("table", "cell", "value"),
    [
        (1, Cell("mnist", 100, "dvae#", 1), (84.97, 0.03)),
        (1, Cell("mnist", 100, "dvae##"), (84.09, 0.06)),
        (1, Cell("mnist", 200, "dvae##"), (82.75, 0.05)),
        (1, Cell("mnist", 100, "concrete", 4), (84.39, 0.04)),
        (1, Cell("mnist", 200, "pwl", 2), (82.99, 0.05)),
        (1, Cell("omniglot", 100, "pwl", 1), (101.24, 0.02)),
        (1, Cell("omniglot", 200, "dvae##"), (98.61, 0.08)),
        (1, Cell("omniglot", 200, "concrete", 4), (99.97, 0.02)),
        (2, Cell("mnist", 100, "pwl", 4, 1), (84.04, 0.03)),
        (2, Cell("mnist", 100, "dvae##", 1, 25), (83.44, 0.04)),
        (2, Cell("mnist", 200, "dvae##", 1, 25), (82.97, 0.11)),
        (2, Cell("omniglot", 200, "pwl", 2, 5), (98.69, 0.09)),
        (2, Cell("omniglot", 100, "pwl", 1, 25), (100.58, 0.01)),
        (3, Cell("mnist", 100, "dvae##", 1, 1, True, SP), (57.13, 0.18)),
        (3, Cell("mnist", 100, "pwl", 2, 5, True, SP), (52.27, 0.16)),
        (3, Cell("omniglot", 100, "pwl", 4, 25, True, SP), (54.88, 0.06)),
        (4, Cell("mnist", 100, "pwl", 4, 1, False), (85.00, None)),
        (4, Cell("mnist", 100, "dvae#", 1, 1, False), (84.95, None)),
        (4, Cell("omniglot", 200, "concrete", 2, 1, False), (100.52, None)),
    ],
)
def test_number(table, cell, value):
    assert PAPER[table][cell][:2] == value


def test_every_place_has_its_number():
    for table in PAPER:
        assert {cell for cell in cells(table) if belongs(table, cell)} == set(PAPER[table])
    assert [len(PAPER[table]) for table in (1, 2, 3, 4)] == [40, 48, 24, 36]
    assert [Counter(cell.size for cell in PAPER[t])[200] for t in PAPER] == [20, 24, 0, 18]


@pytest.mark.parametrize("table", [1, 2, 3])
def test_order_of_the_paper_holds(table):
    # in every block DVAE## is below PWL with L = 1, and by several nats in MNIST's structured one
    for cell, value in PAPER[table].items():
        if cell.method == "dvae##":
            assert value.mean < PAPER[table][cell._replace(method="pwl")].mean
    numbers = [v for v in PAPER[table].values() if v.std is not None]
    assert len(numbers) == len(PAPER[table]) and all(0.01 <= v.std <= 0.18 for v in numbers)


def test_table_4_shows_table_1_where_contexts_are_shared():
    shared = Cell("mnist", 100, "pwl", 4)
    assert paper_value(4, shared) == Value(84.07, 0.04)
    assert paper_value(4, shared._replace(shared_context=False)) == Value(85.00, None)
    assert paper_value(1, shared._replace(shared_context=False)) is None
