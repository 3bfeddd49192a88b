"""Checkpoints that are damaged, cut short, or find no room."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import disks
import pytest

from dvae_tf import curves
from dvae_tf.training.checkpoints import CheckpointError, Checkpoints
from dvae_tf.training.loop import Trainer


@pytest.fixture
def trainer(small_config, digits, new_trainer, tmp_path) -> Trainer:
    """With checkpoints of steps 1, 2 and 3, in which the prior's first biases are the step."""
    trainer = new_trainer(small_config, digits, tmp_path)
    for step in (1, 2, 3):
        trainer.state.step.assign(step)
        trainer.model.prior.f1.assign([float(step)] * 6)
        trainer.checkpoints.save()
    return trainer


def data_file(trainer: Trainer, step: int) -> Path:
    return trainer.checkpoints.directory / f"step-{step}.data-00000-of-00001"


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_newest_is_read(trainer):
    trainer.state.step.assign(9)
    assert trainer.checkpoints.restore() == 3


@pytest.mark.parametrize("name", ["lr=[0.003]", "a\\b*{1,2}?", "no utf-8: \udcff"])
def test_any_name_of_a_folder_will_do(name, small_config, digits, new_trainer, tmp_path):
    """TensorFlow takes some of them for patterns, and finds nothing."""
    trainer = new_trainer(small_config, digits, tmp_path / name)
    for step in range(1, 6):
        trainer.state.step.assign(step)
        trainer.model.prior.f1.assign([float(step)] * 6)
        path = trainer.checkpoints.save()
        trainer.checkpoints.offer(30.0 - step, step)
    assert path == str(tmp_path / name / "checkpoints" / "step-5")
    assert len(list(trainer.checkpoints.directory.glob("**/*.index"))) == 4
    again = new_trainer(small_config, digits, tmp_path / name)
    assert again.first_step == 5
    again.model.prior.f1.assign([0.0] * 6)
    assert again.checkpoints.restore_best() == 5
    assert again.model.prior.f1.numpy().tolist() == [5.0] * 6
    again.summaries.scalars({"eval/valid_nll": 7.0}, 5)
    assert curves.read(tmp_path / name)["eval/valid_nll"] == ([5], [7.0])


@pytest.mark.parametrize("harm", [cut_short, flip_a_bit, Path.unlink])
def test_damaged_newest_is_told_and_the_one_before_is_taken(trainer, harm, capsys):
    harm(data_file(trainer, 3))
    assert trainer.checkpoints.restore() == 2
    assert trainer.model.prior.f1.numpy().tolist() == [2.0] * 6
    told = capsys.readouterr().err
    assert "step-3 cannot be read (" in told and len(told.strip().splitlines()) == 1


def test_damaged_index_is_passed_over(trainer, capsys):
    cut_short(trainer.checkpoints.directory / "step-3.index")
    assert trainer.checkpoints.restore() == 2
    assert "step-3 cannot be read (" in capsys.readouterr().err


def test_list_of_checkpoints_is_not_needed(trainer, small_config, digits, new_trainer, tmp_path):
    (trainer.checkpoints.directory / "checkpoint").write_text("model_checkpoint_path: nonsense\n{")
    assert new_trainer(small_config, digits, tmp_path).first_step == 3


def test_three_are_kept_whatever_the_list_says(
    trainer, small_config, digits, new_trainer, tmp_path
):
    """A process killed between a checkpoint and the list leaves one that the list knows not of."""
    (trainer.checkpoints.directory / "checkpoint").unlink()
    again = new_trainer(small_config, digits, tmp_path)
    again.state.step.assign(4)
    again.checkpoints.save()
    files = {path.name for path in trainer.checkpoints.directory.glob("step-*")}
    assert files == {f"step-{s}.{e}" for s in (2, 3, 4) for e in ("index", "data-00000-of-00001")}


def test_nothing_readable_is_an_error_and_no_new_start(trainer):
    for step in (1, 2, 3):
        cut_short(data_file(trainer, step))
    with pytest.raises(CheckpointError, match="none of its 3 checkpoints can be read") as caught:
        trainer.checkpoints.restore()
    assert "\n" not in str(caught.value)


def test_leftovers_of_a_killed_save_are_cleared(trainer):
    leftover = trainer.checkpoints.directory / "step-4_temp"
    leftover.mkdir()
    (leftover / "part-00000-of-00001").write_bytes(b"half")
    trainer.checkpoints.restore()
    assert not leftover.exists()


def test_leftovers_of_another_worker_are_its_own(trainer):
    """Which may just be writing them."""
    theirs = trainer.checkpoints.directory / "worker-1" / "step-4_temp"
    theirs.mkdir(parents=True)
    trainer.checkpoints.restore()
    assert theirs.exists()


def test_a_run_of_another_configuration_is_refused(trainer, digits, new_trainer, tmp_path, capsys):
    """Even where config.json is lost: its learning rate can't be told from shapes."""
    other = dataclasses.replace(trainer.config, learning_rate=1e-3, seed=3)
    with pytest.raises(CheckpointError, match="learning_rate: 0.001, not 0.003; seed: 3, not 0"):
        new_trainer(other, digits, tmp_path)
    assert capsys.readouterr().err == ""


def test_a_run_of_another_number_of_replicas_is_refused(trainer, capsys):
    trainer.checkpoints.num_replicas.assign(2)
    with pytest.raises(CheckpointError, match="found a run of 1 replicas .*; accepted is one of 2"):
        trainer.checkpoints.restore()
    assert capsys.readouterr().err == ""


def test_a_run_of_another_version_is_refused(trainer, capsys):
    trainer.checkpoints.format.assign(1)
    trainer.checkpoints.save()
    with pytest.raises(CheckpointError, match="holds a run of another version of this program; ac"):
        trainer.checkpoints.restore()
    assert capsys.readouterr().err == ""


@pytest.fixture
def with_best(trainer) -> Trainer:
    """At step 3, where the best model is that of step 2, with the checkpoint of step 2 as well."""
    trainer.model.prior.f1.assign([2.0] * 6)
    trainer.checkpoints.offer(30.0, 2)
    trainer.model.prior.f1.assign([3.0] * 6)
    return trainer


def best_file(trainer: Trainer) -> Path:
    return trainer.checkpoints.directory / "best" / "ckpt-2.data-00000-of-00001"


@pytest.mark.parametrize("harm", [cut_short, flip_a_bit, Path.unlink])
def test_damaged_best_is_told_and_taken_from_the_checkpoint_of_its_step(with_best, harm, capsys):
    harm(best_file(with_best))
    assert with_best.checkpoints.restore_best() == 2
    assert with_best.model.prior.f1.numpy().tolist() == [2.0] * 6
    assert "ckpt-2: the best model cannot be read (" in capsys.readouterr().err


def test_best_that_cannot_be_read_anywhere_is_an_error(with_best):
    for path in (best_file(with_best), data_file(with_best, 2)):
        cut_short(path)
    with pytest.raises(CheckpointError, match="ckpt-2: the best model cannot be read; ") as caught:
        with_best.checkpoints.restore_best()
    assert "\n" not in str(caught.value)


def test_best_needs_no_list_of_checkpoints(with_best, small_config, digits, new_trainer, tmp_path):
    with_best.checkpoints.save()
    (with_best.checkpoints.directory / "best" / "checkpoint").write_text("nonsense {")
    again = new_trainer(small_config, digits, tmp_path)
    assert again.checkpoints.restore_best() == 2
    assert again.model.prior.f1.numpy().tolist() == [2.0] * 6


def test_leftovers_of_a_killed_best_are_cleared(with_best):
    leftover = with_best.checkpoints.directory / "best" / "ckpt-4_temp"
    leftover.mkdir()
    with_best.checkpoints.restore()
    assert not leftover.exists()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("write", ["save", "offer"])
def test_parameters_that_are_no_numbers_are_never_saved(trainer, write, bad):
    trainer.state.step.assign(4)
    trainer.model.prior.f1.assign([bad] * 6)
    with pytest.raises(
        CheckpointError, match=r"not finite at step 4 \(.*--learning_rate"
    ) as caught:
        trainer.checkpoints.save() if write == "save" else trainer.checkpoints.offer(1.0, 4)
    assert "step-3" in str(caught.value) and "\n" not in str(caught.value)
    assert not list(trainer.checkpoints.directory.glob("**/*-4.index"))
    assert trainer.checkpoints.restore() == 3


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with room for two checkpoints and a half."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with disks.mounted(folder, "size=1400k"):
        yield folder


def test_full_disk_leaves_the_earlier_checkpoint_whole(
    small_config, digits, new_trainer, small_disk
):
    trainer = new_trainer(small_config, digits, small_disk)
    trainer.state.step.assign(1)
    trainer.checkpoints.save()
    free = small_disk / "filler"
    with pytest.raises(OSError), free.open("wb") as file:
        while True:
            file.write(bytes(4096))
    trainer.state.step.assign(2)
    with pytest.raises(CheckpointError, match="checkpoint of step 2 could not be written") as error:
        trainer.checkpoints.save()
    assert "step-1" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(CheckpointError, match="checkpoint of step 2 could not be written"):
        trainer.checkpoints.offer(30.0, 2)
    assert trainer.checkpoints.restore() == 1
    free.unlink()
    trainer.state.step.assign(3)
    trainer.checkpoints.save()
    assert trainer.checkpoints.restore() == 3


def test_folder_that_became_read_only(trainer, small_disk):
    # of checkpoints alone: events are open, and their file system can't be made read-only
    states, optimizer = [trainer.state], trainer.step_fn.optimizer
    checkpoints = Checkpoints(small_disk, trainer.config, trainer.model, optimizer, states)
    checkpoints.save()
    disks.remount(small_disk, "ro")
    trainer.state.step.assign(4)
    for write in (checkpoints.save, lambda: checkpoints.offer(30.0, 4)):
        with pytest.raises(CheckpointError, match="step 4 could not be written .*Read-only") as e:
            write()
        assert "step-3" in str(e.value) and "\n" not in str(e.value)
    assert checkpoints.restore() == 3
