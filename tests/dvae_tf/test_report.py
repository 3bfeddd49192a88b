"""An experiment's files say what they were given, and are whole or absent."""

import csv

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from dvae_tf import report

ROWS = [
    {"estimator": "Gibbs, t = 1", "step": 0, "kl": 0.125},
    {"estimator": 'the "exact" one', "step": 10, "kl": 1e-9},
]


def picture():
    figure = Figure(figsize=(3, 2))
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def test_files_hold_the_rows_the_figure_and_the_reading(tmp_path, capsys):
    folder = tmp_path / "new" / "folder"
    report.save(folder, "toy", ROWS, picture(), "What came out.")
    assert sorted(p.name for p in folder.iterdir()) == ["toy.csv", "toy.md", "toy.png"]
    with (folder / "toy.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == ["estimator", "step", "kl"]
    assert [{**r, "step": int(r["step"]), "kl": float(r["kl"])} for r in read] == ROWS
    assert imread(folder / "toy.png").shape == (300, 450, 4)
    assert np.ptp(imread(folder / "toy.png")) > 0
    assert (folder / "toy.md").read_text() == "What came out.\n"
    printed = capsys.readouterr().out
    assert printed.startswith("What came out.\n") and str(folder / "toy.csv") in printed


def test_a_failed_write_leaves_the_earlier_picture(tmp_path):
    report.save(tmp_path, "toy", ROWS, picture(), "first")
    before = (tmp_path / "toy.png").read_bytes()

    class Broken(Figure):
        def savefig(self, path, **options):
            path.write_bytes(b"half a picture")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        report.save(tmp_path, "toy", ROWS, Broken(), "second")
    assert (tmp_path / "toy.png").read_bytes() == before


@pytest.mark.parametrize("rows", [[], [{"a": 1}, {"b": 2}], [{"a": 1}, {"a": 1, "b": 2}]])
def test_a_table_without_one_header_is_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="accepted"):
        report.save(tmp_path, "toy", rows, picture(), "reading")
    assert list(tmp_path.iterdir()) == []
