from __future__ import annotations

import subprocess

import pytest

from dvae_tf.config import ConfigError
from dvae_tf.paper import runner
from dvae_tf.paper.child import RunError
from dvae_tf.paper.grid import Selection

SETTINGS = {"num_steps": 100}
SELECTION = Selection(
    1, rows=("pwl",), data=("mnist",), sizes=(100,), seeds=(0, 1), settings=SETTINGS
)
NAMES = [f"mnist_100_pwl_l{layers}_k1_seed{seed}" for seed in (0, 1) for layers in (1, 2, 4)]


def test_a_failure_is_told_and_the_others_go_on(program, tmp_path, capsys):
    program.errors = {NAMES[1]: RunError("exit status 1")}
    assert runner.run_all(SELECTION.runs(), tmp_path, program) == {NAMES[1]: "exit status 1"}
    assert program.asked == NAMES
    assert f"{NAMES[1]} failed: exit status 1" in capsys.readouterr().err
    # the same command again: the failed one alone
    assert runner.run_all(SELECTION.runs(), tmp_path, program) == {}
    assert program.asked == [*NAMES, NAMES[1]]


def test_an_interrupted_grid_goes_on_where_it_stopped(program, tmp_path):
    program.errors = {NAMES[2]: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        runner.run_all(SELECTION.runs(), tmp_path, program)
    assert program.asked == NAMES[:3]
    runner.run_all(SELECTION.runs(), tmp_path, program)
    assert program.asked[3:] == NAMES[2:]


def test_a_mistake_of_the_program_is_not_a_failed_run(program, tmp_path):
    program.errors = {NAMES[0]: ZeroDivisionError()}
    with pytest.raises(ZeroDivisionError):
        runner.run_all(SELECTION.runs(), tmp_path, program)


def test_caller_is_told_of_each_run_that_was_made(program, tmp_path):
    told = []
    program.errors = {NAMES[0]: RunError("no")}
    runner.run_all(SELECTION.runs(), tmp_path, program, lambda: told.append(program.asked[-1]))
    assert told == NAMES[1:]


def test_other_configuration_is_refused_before_anything_is_run(program, tmp_path):
    run = SELECTION.runs()[4]
    (tmp_path / run.name).mkdir()
    longer = Selection(1, settings={"num_steps": 200}).runs()[0].config
    (tmp_path / run.name / "config.json").write_text(longer.to_json())
    with pytest.raises(ConfigError) as caught:
        runner.run_all(SELECTION.runs(), tmp_path, program)
    assert str(caught.value).startswith(
        f"--output_dir={tmp_path}: found another configuration of {run.name}"
    )
    assert "num_steps: 100, not 200" in str(caught.value)
    assert program.asked == []


def test_commits_are_noted_once_each(tmp_path):
    for commit in ("a1", "a1", "b2", "b2", "a1"):
        runner.record_commit(tmp_path / "run", commit)
    assert runner.read_commits(tmp_path / "run") == ["a1", "b2", "a1"]
    assert runner.read_commits(tmp_path / "nowhere") == []


def test_commit_of_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "PROJECT", tmp_path.resolve())
    assert runner.current_commit() == "unknown"
    who = ["-c", "user.name=n", "-c", "user.email=e@example.com"]
    git = ["git", "-C", str(tmp_path), *who]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert runner.current_commit() == head.stdout[:12]
    (tmp_path / "file").write_text("2")
    assert runner.current_commit() == head.stdout[:12] + "-dirty"
    # a package installed somewhere inside another checkout is not of that checkout's commit
    monkeypatch.setattr(runner, "PROJECT", tmp_path.resolve() / "site-packages")
    (tmp_path / "site-packages").mkdir()
    assert runner.current_commit() == "unknown"
