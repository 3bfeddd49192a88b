"""From a selection to the table's files, with made-up runs."""

from __future__ import annotations

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.io
from matplotlib.figure import Figure

from dvae_tf.paper import commands, figure
from dvae_tf.paper.child import RunError
from dvae_tf.paper.grid import Selection
from dvae_tf.paper.results import gather
from dvae_tf.paper.tables import Value

SETTINGS = {"num_steps": 100, "prior_sweeps": 5}


def rows_of(page: str) -> dict[tuple[str, str, str], list[str]]:
    """Cells of each line of the page's tables, by (size, data, L or K)."""
    found, size = {}, ""
    for line in page.splitlines():
        if line.startswith("## "):
            size = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith(("| ---", "| data")):
            data, value, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            found[size, data, value] = cells
    return found


def csv_of(path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def no_picture(monkeypatch):
    """Spares the tests of pages the time that pictures take."""
    monkeypatch.setattr(figure, "draw", lambda *_: Figure(figsize=(0.1, 0.1)))


@pytest.fixture
def make(program, tmp_path):
    """Makes runs of a table and returns its page."""

    def run(table: int, **selection) -> str:
        settings = selection.pop("settings", SETTINGS)
        chosen = Selection(table, settings=settings, **selection)
        commands.run_table(chosen, tmp_path / "out", tmp_path / "data", program)
        return (tmp_path / "out" / f"table{table}.md").read_text()

    return run


def test_structured_prediction_has_no_bracket(make, no_picture, tmp_path):
    page = make(3, rows=("dvae##",), data=("mnist",), samples=(5,))
    assert rows_of(page)["100+100", "MNIST", "5"][6:] == ["87.85 (n=1)", "49.25 ± 0.07"]
    (line,) = csv_of(tmp_path / "out" / "table3.csv")
    assert line["run"] == "mnist_100_undirected_k5_structured_seed0" and not line["log_z_width"]


def test_table_1(make, tmp_path):
    page = make(1, rows=("dvae##", "pwl_l2"), data=("mnist",), sizes=(100,), seeds=(0, 1, 2))
    assert page.startswith("# Table 1: variational bound, shared context\n")
    assert "- Training steps: 100 (the paper: 1,000,000)." in page
    assert "- Prior sweeps: 5 (the paper: 40)." in page
    assert "- Time: 6 s of training and 10 min of evaluation, 6 runs." in page
    assert "Other settings" not in page
    rows = rows_of(page)
    assert len(rows) == 2 * 2 * 3
    # seeds 0, 1, 2 are a nat apart: the mean is that of seed 1, the deviation 1
    ours = "88.89 ± 1.00 (n=3)"
    assert rows["100+100", "MNIST", "1"] == [
        *("—", "84.97 ± 0.03", "—", "84.66 ± 0.04", "—", "84.62 ± 0.05", ours, "84.09 ± 0.06")
    ]
    assert rows["100+100", "MNIST", "2"][4:] == ["90.79 ± 1.00 (n=3)", "84.50 ± 0.07", "", ""]
    assert rows["200+200", "OMNIGLOT", "4"] == [
        *("—", "99.47 ± 0.04", "—", "99.97 ± 0.02", "—", "99.30 ± 0.03", "", "")
    ]
    lines = csv_of(tmp_path / "out" / "table1.csv")
    assert len(lines) == 6
    assert lines[1]["run"] == "mnist_100_undirected_k1_seed1"
    assert (lines[1]["size"], lines[1]["method"], lines[1]["seed"]) == ("100", "dvae##", "1")
    assert float(lines[1]["test_nll"]) == pytest.approx(88.89)
    assert (lines[1]["test_nll_stderr"], lines[1]["log_z_width"]) == ("0.2", "0.25")
    assert (lines[1]["seconds"], lines[1]["evaluation_seconds"]) == ("1.0", "100.0")
    assert (tmp_path / "out" / "table1.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("no_picture")
def test_rows_of_earlier_commands_stay_in_the_table(make, program):
    make(1, rows=("pwl_l1",), data=("mnist",), sizes=(100,))
    page = make(1, rows=("dvae##",), data=("mnist",), sizes=(100,))
    assert len(program.asked) == 2
    row = rows_of(page)["100+100", "MNIST", "1"]
    assert row[4] == "89.89 (n=1)" and row[6] == "87.89 (n=1)"
    assert "MNIST 100+100 2.00 (the paper: 0.53)." in page


@pytest.mark.usefixtures("no_picture")
def test_other_settings_are_in_the_heading(make):
    settings = SETTINGS | {"batch_size": 50, "prior_sampler": "pcd"}
    page = make(1, rows=("dvae##",), data=("mnist",), sizes=(100,), settings=settings)
    assert "- Other settings: batch_size=50, prior_sampler=pcd." in page


@pytest.mark.usefixtures("no_picture")
def test_other_settings_are_left_out_of_the_table(make, tmp_path):
    make(1, rows=("pwl_l1",), data=("mnist",), sizes=(100,), settings={"num_steps": 50})
    page = make(1, rows=("dvae##",), data=("mnist",), sizes=(100,))
    assert rows_of(page)["100+100", "MNIST", "1"][4] == "—"
    assert "Left out, having other settings: mnist_100_pwl_l1_k1_seed0." in page


@pytest.mark.usefixtures("no_picture")
def test_tables_2_and_3(make):
    page = make(2, data=("mnist",), sizes=(200,), samples=(5,))
    row = rows_of(page)["200+200", "MNIST", "5"]
    assert row[::2] == [*("89.85 (n=1)", "89.75 (n=1)", "89.55 (n=1)", "87.85 (n=1)")]
    assert row[1::2] == ["83.24 ± 0.06", "82.90 ± 0.06", "82.65 ± 0.03", "82.76 ± 0.06"]
    page = make(3, rows=("dvae##",), data=("mnist",), samples=(5,))
    rows = rows_of(page)
    assert {size for size, _, _ in rows} == {"100+100"}
    assert rows["100+100", "MNIST", "5"][6:] == ["87.85 (n=1)", "49.25 ± 0.07"]


@pytest.mark.usefixtures("no_picture")
def test_table_4_shows_table_1_beside_it(make, program):
    make(1, rows=("pwl",), data=("mnist",), sizes=(100,))
    page = make(4, rows=("pwl",), data=("mnist",), sizes=(100,))
    assert len(program.asked) == 5  # the two structures of L = 1 are one
    assert "| data | L | DVAE# | paper | DVAE#, shared | paper |" in page
    rows = rows_of(page)
    assert rows["100+100", "MNIST", "1"][8:] == [
        *("89.89 (n=1)", "84.57", "89.89 (n=1)", "84.62 ± 0.05")
    ]
    assert rows["100+100", "MNIST", "4"][8:] == [
        *("89.59 (n=1)", "85.00", "89.59 (n=1)", "84.07 ± 0.04")
    ]


def write_omniglot(path, num_train, num_test):
    path.parent.mkdir(exist_ok=True)
    arrays = {
        "data": np.zeros((784, num_train), np.uint8),
        "testdata": np.zeros((784, num_test), np.uint8),
    }
    scipy.io.savemat(path, arrays, do_compression=True)


@pytest.mark.parametrize("name", ["omniglot_small.mat", "chardata.mat"])
@pytest.mark.usefixtures("no_picture")
def test_part_of_omniglot_is_not_put_beside_the_paper(name, make, tmp_path):
    # whatever it is called
    write_omniglot(tmp_path / "data" / name, 40, 10)
    page = make(1, rows=("dvae##",), sizes=(100,))
    assert "**OMNIGLOT here is not the paper's set**" in page
    assert "not comparable with the paper's" in page
    rows = rows_of(page)
    assert rows["100+100", "OMNIGLOT", "1"] == ["—"] * 6 + ["87.89 (n=1)", "—"]
    assert rows["100+100", "MNIST", "1"][7] == "84.09 ± 0.06"
    assert "MNIST here is" not in page


@pytest.mark.usefixtures("no_picture")
def test_whole_omniglot_is_put_beside_the_paper(make, tmp_path):
    write_omniglot(tmp_path / "data" / "chardata.mat", 24345, 8070)
    write_omniglot(tmp_path / "data" / "omniglot_small.mat", 40, 10)
    page = make(1, rows=("dvae##",), sizes=(100,))
    assert "comparable" not in page
    assert rows_of(page)["100+100", "OMNIGLOT", "1"][6:] == ["87.89 (n=1)", "100.69 ± 0.04"]


@pytest.mark.usefixtures("no_picture")
def test_runs_on_other_images_are_not_put_beside_the_paper(make, program):
    # the data folder may be another one by now, or gone
    program.metrics = {"num_images": 1210}
    page = make(1, rows=("dvae##",), data=("omniglot",), sizes=(100,))
    assert "**OMNIGLOT here is not the paper's set**" in page
    assert rows_of(page)["100+100", "OMNIGLOT", "1"][6:] == ["87.89 (n=1)", "—"]


@pytest.mark.usefixtures("no_picture")
def test_data_of_one_s_own_has_nothing_beside_it(make):
    page = make(1, rows=("dvae##",), data=("digits",), sizes=(32,))
    assert rows_of(page)["32+32", "digits", "1"] == ["—"] * 6 + ["87.89 (n=1)", "—"]
    assert "comparable" not in page


@pytest.mark.usefixtures("no_picture")
def test_failures_are_returned_and_the_table_is_written(program, make, tmp_path):
    program.errors = {"mnist_100_undirected_k1_seed0": RunError("no memory")}
    chosen = Selection(1, ("dvae##", "pwl_l1"), ("mnist",), (100,), settings=SETTINGS)
    failures = commands.run_table(chosen, tmp_path / "out", tmp_path, program)
    assert failures == {"mnist_100_undirected_k1_seed0": "no memory"}
    row = rows_of((tmp_path / "out" / "table1.md").read_text())["100+100", "MNIST", "1"]
    assert row[4] == "89.89 (n=1)" and row[6] == "—"


@pytest.mark.usefixtures("no_picture")
def test_interrupted_grid_leaves_its_table(program, make, tmp_path):
    program.errors = {"mnist_100_undirected_k1_seed0": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        make(1, data=("mnist",), sizes=(100,))
    row = rows_of((tmp_path / "out" / "table1.md").read_text())["100+100", "MNIST", "1"]
    assert row[4] == "89.89 (n=1)" and row[6] == "—"


def test_nothing_finished_is_said(program, tmp_path, capsys):
    program.errors = {"mnist_100_undirected_k1_seed0": RunError("no")}
    chosen = Selection(1, ("dvae##",), ("mnist",), (100,), settings=SETTINGS)
    commands.run_table(chosen, tmp_path / "out", tmp_path, program)
    assert "No run of table 1 has finished" in capsys.readouterr().out


def test_plan(program, tmp_path):
    chosen = Selection(1, data=("mnist",), sizes=(100,), rows=("dvae##", "pwl"), settings=SETTINGS)
    pwl_1, ours, pwl_2, pwl_4 = chosen.runs()
    program(pwl_1.config, tmp_path / pwl_1.name)
    (tmp_path / pwl_2.name).mkdir()
    (tmp_path / pwl_2.name / "config.json").write_text(pwl_2.config.to_json())
    (tmp_path / pwl_4.name).mkdir()
    (tmp_path / pwl_4.name / "config.json").write_text(pwl_1.config.to_json())
    lines = dict(line.split(maxsplit=1) for line in commands.plan(chosen, tmp_path).splitlines())
    assert lines[pwl_1.name] == "finished"
    assert "23 ms a step by benchmarks/README.md; new" in lines[ours.name]
    assert lines[pwl_2.name] == "unknown  (nothing measured yet; begun)"
    assert "holds another configuration: num_layers: 4, not 1" in lines[pwl_4.name]
    assert lines["4"].startswith("runs of 100 steps; to do: ")
    assert "2 runs of which nothing like them has been measured" in lines["4"]
    assert program.asked == [pwl_1.name]


@pytest.mark.usefixtures("no_picture")
def test_commits_of_runs(make, monkeypatch):
    monkeypatch.setattr("dvae_tf.paper.runner.current_commit", lambda: "a1")
    assert "Commit: a1." in make(1, rows=("pwl_l1",), data=("mnist",), sizes=(100,))
    monkeypatch.setattr("dvae_tf.paper.runner.current_commit", lambda: "b2")
    page = make(1, rows=("pwl",), data=("mnist",), sizes=(100,))
    assert "Commit: a1 (1 run), b2 (2 runs)." in page


def test_cells():
    assert str(Value(84.2, 0.1, 3)) == "84.20 ± 0.10 (n=3)"
    assert str(Value(84.123, None, 1)) == "84.12 (n=1)"
    assert str(Value(85.0, None)) == "85.00"


def test_picture_has_our_numbers_and_the_paper_s(make, tmp_path):
    make(1, rows=("dvae##", "pwl_l1"), data=("mnist",), sizes=(100,), seeds=(0, 1))
    results = gather(Selection(1, settings=SETTINGS), tmp_path / "out", tmp_path / "data")
    lines = figure.entries(results, "mnist", 100)
    assert [line.label for line in lines[-4:]] == ["PWL L=1", "PWL L=2", "PWL L=4", "DVAE##"]
    assert lines[-1].ours.mean == pytest.approx(88.39) and lines[-1].theirs.mean == 84.09
    assert lines[-3].ours is None
    ax = figure.draw(results).axes
    assert [a.get_title("left") for a in ax] == ["MNIST, 100+100"]
    drawn = [c for c in ax[0].containers if c.get_label() == "this program"]
    assert sorted(drawn[0].lines[0].get_xdata()) == pytest.approx([88.39, 90.39])


def test_a_plan_is_made_without_tensorflow(project, tmp_path):
    """Which takes ten seconds, and a gigabyte in the process that only waits for its runs."""
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('TensorFlow was loaded')")
    plan = [sys.executable, "-m", "dvae_tf.paper", "--dry_run", "--rows=dvae##"]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{project}"}
    found = [
        subprocess.run([*plan, flag], env=environment, capture_output=True, text=True, check=False)
        for flag in ("--data=mnist", "--data=mnits")
    ]
    assert found[0].returncode == 0 and "mnist_100_undirected_k1_seed0" in found[0].stdout
    assert found[1].stderr.startswith("paper: --dataset=mnits: no such dataset; accepted: digits, ")
