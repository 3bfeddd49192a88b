from __future__ import annotations

import dataclasses

import pytest

from dvae_tf.config import Config
from dvae_tf.paper.grid import Selection
from dvae_tf.paper.timing import duration, estimator

SETTINGS = {"num_steps": 1000, "eval_samples": 500, "valid_samples": 50, "eval_every": 250}
PWL, OURS = (
    Selection(1, rows=(row,), data=("mnist",), sizes=(100,), settings=SETTINGS).runs()[0].config
    for row in ("pwl_l1", "dvae##")
)


def test_finished_runs_tell_the_time_of_others_like_them(program, tmp_path):
    program(PWL, tmp_path / "one")
    longer = dataclasses.replace(PWL, num_steps=5000, seed=3)
    seconds, source = estimator(tmp_path)(longer)
    # 10 ms a step; 100 s for 500 samples of 10,000 images; 20 validations of a tenth of that
    assert seconds == pytest.approx(50 + 100 + 20 * 10)
    # what the rest is, beside the steps
    parts = "50 s of training, 5 min of evaluation; "
    assert source == parts + "measured: 1 finished like it, of 1,000 steps"
    small = dataclasses.replace(longer, dataset="omniglot")
    assert estimator(tmp_path)(small).seconds == pytest.approx(50 + 80.7 + 20 * 1.345)


def test_the_longest_runs_tell_it(program, tmp_path):
    # the compilation weighs on a short one
    program.metrics = {"seconds": 40.0}
    program(dataclasses.replace(PWL, num_steps=10), tmp_path / "short")
    for name, seconds in (("a", 12.0), ("b", 16.0), ("c", 13.0)):
        program.metrics = {"seconds": seconds}
        program(PWL, tmp_path / name)
    seconds, source = estimator(tmp_path)(dataclasses.replace(PWL, num_steps=10_000))
    assert seconds == pytest.approx(130 + 100 + 40 * 10)
    assert source.endswith("; measured: 3 finished like it, of 1,000 steps")


@pytest.mark.parametrize(
    "field", [{"num_layers": 2}, {"num_samples": 5}, {"prior_sweeps": 5}, {"num_latents": 400}]
)
def test_other_models_tell_nothing(field, program, tmp_path):
    program(PWL, tmp_path / "one")
    other = dataclasses.replace(PWL, **field)
    assert estimator(tmp_path)(other) == (None, "nothing measured yet")


def test_reference_is_named(program, tmp_path):
    # 23 ms with 5 sweeps and 0.75 ms for each further one; 0.079 ms a sample
    seconds, source = estimator(tmp_path)(OURS)
    assert seconds == pytest.approx(1000 * (0.023 + 35 * 0.00075) + 7e6 * 0.079e-3)
    parts = "49 s of training, 9 min of evaluation; "
    assert source == parts + "reference: 49 ms a step by benchmarks/README.md"
    wider = estimator(tmp_path)(dataclasses.replace(OURS, num_latents=400, prior_sweeps=5))
    assert wider.seconds == pytest.approx(103.3)
    assert wider.source.endswith("; training alone")
    assert estimator(tmp_path)(dataclasses.replace(OURS, num_latents=600)).seconds is None


def test_own_measurements_come_before_the_reference(program, tmp_path):
    program(OURS, tmp_path / "one")
    assert estimator(tmp_path)(OURS).source.count("; measured: ") == 1


def test_folders_of_anything_else_are_passed_over(tmp_path):
    for name, text in (("a", "{}"), ("b", "no JSON"), ("c", '{"seconds": 1.0}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(text)
        (tmp_path / name / "config.json").write_text(Config().to_json())
    (tmp_path / "c" / "config.json").unlink()
    assert estimator(tmp_path)(PWL).seconds is None


def test_duration():
    assert [duration(s) for s in (0, 59, 60, 3540, 3600, 100_000, 180_000)] == [
        *("0 s", "59 s", "1 min", "59 min"),
        *("1 h 00 min", "27 h 47 min", "2 d 02 h"),
    ]
