from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import curves
from dvae_tf.config import ConfigError

CLOCK = curves.CLOCK


def write(log_dir: Path, values: dict[int, float], tag: str = "eval/valid_nll") -> None:
    writer = tf.summary.create_file_writer(str(log_dir))
    with writer.as_default():
        for step, value in values.items():
            tf.summary.scalar(tag, value, step=step)
            tf.summary.histogram("prior/w", [value], step=step)
            tf.summary.image("samples", np.zeros([1, 4, 4, 1], np.float32), step=step)
    writer.close()


def run(name: str = "a", test: tuple[float, float] | None = (60.0, 0.5), **scalars) -> curves.Run:
    """A run of 1,000 steps, 100 s for the first half and 300 s for the second."""
    steps = [250, 500, 1000]
    found = {
        "eval/valid_nll": (steps, [90.0, 70.0, 62.0]),
        "eval/valid_nll_stderr": (steps, [1.0, 2.0, 3.0]),
        "prior/log_z": (steps, [10.0, 20.0, 30.0]),
        "train/gradient_norm": (steps, [30.0, 20.0, 10.0]),
        **scalars,
    }
    return curves.Run(name, found, (steps, [50.0, 100.0, 400.0]), test)


def test_scalars_of_a_resumed_run_are_one_curve(tmp_path):
    # stopped after step 3, gone on from a checkpoint at 2
    write(tmp_path, {1: 90.0, 2: 80.0, 3: 70.5})
    write(tmp_path, {3: 70.5, 4: 60.25})
    assert curves.read(tmp_path) == {"eval/valid_nll": ([1, 2, 3, 4], [90.0, 80.0, 70.5, 60.25])}


def test_clock_leaves_out_the_time_between_sessions(tmp_path, monkeypatch):
    """Two sessions of 2 s a step, a day apart; the second repeats a step."""

    class Events:
        def __init__(self, path: str, **_):
            self.first = 3 if path.endswith("2") else 1
            self.began = 1000.0 * self.first

        def Reload(self):
            pass

        def Tags(self):
            return {"tensors": [CLOCK]}

        def SummaryMetadata(self, tag):
            return tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "scalars"})

        def FirstEventTimestamp(self):
            return self.began

        def Tensors(self, tag):
            made = tf.make_tensor_proto(1.0)
            event_type = type("Event", (), {})
            events = []
            for i in range(3):
                event = event_type()
                event.step, event.tensor_proto = self.first + i, made
                event.wall_time = self.began + 2 * (i + 1)
                events.append(event)
            return events

    monkeypatch.setattr(curves, "EventAccumulator", Events)
    for i in (1, 2):
        (tmp_path / f"events.out.tfevents.{i}").touch()
    found = curves.load(tmp_path)
    assert found.clock == ([1, 2, 3, 4, 5], [2.0, 4.0, 6.0, 8.0, 10.0])
    np.testing.assert_allclose(found.rates(), 0.5)


def test_one_run_has_errors_the_test_and_seconds():
    figure = curves.draw([run()])
    nll, bound, log_z, norm, *above = figure.axes
    assert [axes.get_title() for axes in (log_z, norm)] == [
        "log Z of the prior (nats)",
        "norm of the gradients",
    ]
    validation, test = nll.lines
    np.testing.assert_array_equal(validation.get_xydata()[:, 1], [90, 70, 62])
    (band, level) = nll.collections[0], nll.patches[0]
    # one standard error to either side
    assert band.get_datalim(nll.transData).y1 == 91 and band.get_datalim(nll.transData).y0 == 59
    assert set(test.get_ydata()) == {60.0} and level.get_y() == 59.5
    assert [t.get_text() for t in nll.get_legend().texts] == ["validation", "test 60.00 ± 0.50"]
    low, high = nll.get_ylim()
    assert low < 60 and high > 90
    # 400 s in all: the first 100 take half of the steps
    assert len(above) == 2
    ticks = [t.get_text() for t in above[0].get_xticklabels()]
    places = dict(zip(ticks, above[0].get_xticks(), strict=True))
    assert above[0].get_xlabel() == "minutes" and places["0"] == 0
    assert places["4"] == pytest.approx(np.interp(240, [100, 400], [500, 1000]))
    assert "not in" in bound.texts[0].get_text()


def test_several_runs_are_told_apart_by_name_and_without_colour():
    figure = curves.draw([run("long"), run("short", test=None), run("none", (61.0, float("nan")))])
    nll = figure.axes[0]
    texts = [t.get_text() for t in nll.get_legend().texts]
    assert [t for t in texts if "test" not in t] == [
        f"{n} (6.67 minutes)" for n in ("long", "short", "none")
    ]
    assert "test 61.00 ± nan" in texts and len(figure.axes) == 4
    styles = [str(line._unscaled_dash_pattern) for line in nll.lines if len(line.get_xdata()) == 3]
    assert len(set(styles)) == 3


def test_without_a_prior_couplings_take_its_panel():
    found = run()
    del found.scalars["prior/log_z"]
    found.scalars["posterior/rms_coupling"] = ([1, 1000], [0.0, 1.0])
    assert "couplings" in curves.draw([found]).axes[2].get_title()


def test_pictures_are_written(tmp_path, monkeypatch):
    for name in ("a", "b", "a,b"):
        write(tmp_path / name, {1: 90.0, 2: 80.0})
    (tmp_path / "a" / "metrics.json").write_text(
        json.dumps({"test_nll": 81.25, "test_nll_stderr": None})
    )
    found = curves.load(tmp_path / "a")
    assert found.test[0] == 81.25 and np.isnan(found.test[1])
    picture = tf.io.decode_png(tf.io.read_file(str(curves.save(tmp_path / "a")))).numpy()
    assert picture.shape[:2] == (1020, 1200)
    assert len(np.unique(picture)) > 10
    monkeypatch.chdir(tmp_path)
    both = curves.folders(Path("a,b/"))
    assert both == [Path("a,b")]  # a folder of that name
    assert curves.folders(Path("b,a")) == [Path("b"), Path("a")]
    assert curves.save(Path("b"), Path("a")) == Path("curves.png") and Path("curves.png").exists()
    with pytest.raises(ConfigError, match="--log_dir=c: no such folder"):
        curves.save(*curves.folders(Path("a,c")))


def test_folder_without_events_is_named(tmp_path):
    with pytest.raises(ConfigError, match=f"--log_dir={tmp_path}: found no TensorBoard events"):
        curves.save(tmp_path)


def test_a_run_that_an_older_version_began_is_one_curve(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        tf.summary.scalar("valid/nll", 90.0, step=1)
        tf.summary.text("configuration", "{}", step=0)
    writer.close()
    write(tmp_path, {2: 80.0})
    assert curves.read(tmp_path) == {"eval/valid_nll": ([1, 2], [90.0, 80.0])}
