"""What a second command in the folder of a run does: the run itself is quick, and a stand-in."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import curves, data, experiment, run_folder
from dvae_tf.config import Config, ConfigError
from dvae_tf.data import DataError, Dataset
from dvae_tf.dvae import DVAE
from dvae_tf.evaluation.evaluate import Evaluation
from dvae_tf.files import held, write_atomically
from dvae_tf.training.checkpoints import CheckpointError
from dvae_tf.training.loop import Trainer
from sampler.command_line.files import check_file
from sampler.io.errors import FileError

BITS = np.random.default_rng(0).integers(0, 2, [60, 16], np.uint8)
ARRAYS = {"train": BITS[:40], "valid": BITS[40:50], "test": BITS[50:]}
CONFIG = Config(
    num_latents=4,
    hidden_units=(4,),
    prior_chains=20,
    num_steps=20,
    batch_size=7,
    eval_every=10,
    valid_samples=5,
    eval_samples=100,
    num_temperatures=3,
    prior_temperatures=50,
    checkpoint_every=5,
)
PICTURES = ["samples.png", "reconstructions.png"]
NUMBERS = {f.name: 0.5 for f in dataclasses.fields(Evaluation)} | {"found": ()}


def evaluation(**numbers) -> Evaluation:
    return Evaluation(**{**NUMBERS, **numbers})


class QuickTrainer(Trainer):
    """Its step only counts, and is the prior's first bias."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.validate = lambda *_, **__: Evaluation(
            **NUMBERS | {"nll": 30.0 - int(self.state.step)}
        )
        self.step_fn = self._count

    def _count(self, indices, detailed):
        step = self.state.step.assign_add(1)
        self.model.prior.f1.assign_add(tf.ones_like(self.model.prior.f1))
        zero = tf.constant(0.0)
        infos = {"train/objective": zero, "prior/resampled": zero, "posterior/x": zero}
        return {**infos, "outputs": tf.zeros([7, 16]), "train/step": tf.cast(step, tf.float32)}


@pytest.fixture
def evaluated(monkeypatch) -> list[int]:
    """Makes runs quick; the samples of each evaluation that they make."""
    calls: list[int] = []

    class QuickEvaluator:
        def __init__(self, model, num_samples, *_):
            self.num_samples = num_samples

        def __call__(self, images, *_):
            calls.append(self.num_samples)
            return evaluation(nll=7.0, num_samples=self.num_samples)

    def export(model, directory, *_):
        write_atomically(directory / "saved_model.pb", str(float(model.prior.f1.numpy()[0])))

    def save_pictures(model, dataset, log_dir, seed):
        for name in PICTURES:
            write_atomically(log_dir / name, "")

    monkeypatch.setattr(DVAE, "export_with", export)
    stand_ins = {"Trainer": QuickTrainer, "Evaluator": QuickEvaluator}
    for name, stand_in in {**stand_ins, "save_pictures": save_pictures}.items():
        monkeypatch.setattr(experiment, name, stand_in)
    monkeypatch.setattr("dvae_tf.training.summaries.Summaries.details", lambda *_: None)
    return calls


def images(**arrays: np.ndarray) -> Dataset:
    name = str(arrays.pop("name", "own.npz"))
    return Dataset(name, **{**ARRAYS, **arrays}, image_shape=(4, 4), stochastic=False)


def run(folder: Path, dataset: Dataset | None = None, seconds: float = 1e9, **fields):
    """The metrics of a run in a folder, and of none if it was stopped after a step."""
    init_from = fields.pop("init_from", None)
    dataset = dataset or images()
    config = dataclasses.replace(CONFIG, dataset=dataset.name, **fields)
    return experiment.run(config, dataset, folder / "run", seconds, init_from)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("seconds", [0, 1e9])
def test_changed_images_are_refused_by_name(split, seconds, evaluated, tmp_path):
    """Of a run in its middle, and of a finished one; of the same number, and of another."""
    run(tmp_path, seconds=seconds)
    for changed in (1 - ARRAYS[split], ARRAYS[split][:-1]):
        with pytest.raises(ConfigError, match=f"the {split} images of own.npz are not the same"):
            run(tmp_path, images(**{split: changed}))
    (tmp_path / "run" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=f"the {split} images of own.npz are not the same"):
        run(tmp_path, images(**{split: ARRAYS[split][:-1]}))


def test_the_images_count_and_not_what_they_are_called(evaluated, tmp_path, capsys):
    run(tmp_path, images(name="own.npz"))
    metrics = run(tmp_path, images(name="./elsewhere/own.npz"))
    assert metrics["test_nll"] == 7 and "holds this run, finished" in capsys.readouterr().err
    assert evaluated == [100]


def test_fingerprints_are_of_values_shapes_and_types(tmp_path):
    found = images().fingerprints
    assert found == images(name="other").fingerprints and set(found) == set(run_folder_fields())
    for train in (BITS[:39], ARRAYS["train"].astype(np.float32), ARRAYS["train"][::-1]):
        other = images(train=train).fingerprints
        assert [k for k in found if other[k] != found[k]] == ["train_images"]
    np.savez(tmp_path / "own.npz", **ARRAYS)
    np.savez_compressed(tmp_path / "packed.npz", **{k: v * 1.0 for k, v in ARRAYS.items()})
    for name in ("own.npz", "packed.npz"):
        assert data.load(str(tmp_path / name), "").fingerprints == found


def run_folder_fields() -> list[str]:
    return [f"{split}_images" for split in ARRAYS]


def test_a_run_without_events_ends_with_a_warning(evaluated, tmp_path, monkeypatch, capsys):
    """Results come first, and a picture that cannot be made costs none of them."""
    run(tmp_path, seconds=0)
    for path in (tmp_path / "run").glob("events*"):
        path.unlink()
    monkeypatch.setattr("dvae_tf.training.loop.Summaries", lambda *_: NoSummaries())
    for _ in range(2):
        assert run(tmp_path)["test_nll"] == 7
        err = capsys.readouterr().err
        assert "Warning: a picture could not be made (--log_dir=" in err
    assert evaluated == [100] and (tmp_path / "run" / "saved_model").is_dir()


class NoSummaries:
    def __getattr__(self, name):
        return lambda *_: None


def test_results_come_before_all_else(evaluated, tmp_path, monkeypatch):
    """An end that is cut off is made up for, without another evaluation."""
    with monkeypatch.context() as patch:
        patch.setattr(DVAE, "export_with", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    folder = tmp_path / "run"
    assert json.loads((folder / "metrics.json").read_text())["test_nll"] == 7
    assert not (folder / "saved_model" / "saved_model.pb").exists()
    run(tmp_path)
    for name in [*PICTURES, "saved_model", "curves.png"]:
        (shutil.rmtree if name == "saved_model" else Path.unlink)(folder / name)
        run(tmp_path)
        assert run_folder.missing(folder, PICTURES) == []
    assert evaluated == [100]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "x"), ValueError("x")])
def test_no_picture_is_worth_an_error(error, evaluated, tmp_path, monkeypatch, capsys):
    """One on a full disk or of an unreadable file, too: else no repetition would end well."""

    def fail(*_):
        raise error

    monkeypatch.setattr(experiment, "save_pictures", fail)
    monkeypatch.setattr(curves, "save", fail)
    for _ in range(2):
        assert run(tmp_path)["test_nll"] == 7
        assert capsys.readouterr().err.count("Warning: a picture could not be made (x") == 2


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"test_nll": 1}', "[" * 10_000, '{"test_nll": "7"}', None]
)
def test_results_that_were_edited_are_made_again(text, evaluated, tmp_path):
    metrics = run(tmp_path)
    path = tmp_path / "run" / "metrics.json"
    path.write_text(json.dumps(dict.fromkeys(metrics)) if text is None else text)
    again = run(tmp_path)
    assert again["test_nll"] == 7 and evaluated == [100, 100]
    assert "Test NLL   7.00" in experiment.report(again, tmp_path)


def test_a_finished_run_is_evaluated_with_more(evaluated, tmp_path, monkeypatch, capsys):
    run(tmp_path)
    for fields in ({"eval_samples": 200}, {"prior_temperatures": 99}, {"num_temperatures": 4}):
        metrics = run(tmp_path, **fields)
        assert metrics.items() >= {"num_samples": 100, **renamed(fields)}.items()
        assert "is evaluated again (" in capsys.readouterr().err
        assert run(tmp_path, **fields) == metrics
    assert evaluated == [100, 200, 100, 100]
    assert Config.from_json(tmp_path / "run" / "config.json").num_temperatures == 4


def renamed(fields: dict) -> dict:
    names = {"eval_samples": "num_samples", "num_temperatures": "temperatures_asked"}
    return {names.get(k, k): v for k, v in fields.items()}


def test_results_without_checkpoints_are_never_trained_over(evaluated, tmp_path, capsys):
    metrics = run(tmp_path)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / "samples.png").unlink()
    assert run(tmp_path) == metrics and evaluated == [100]
    assert "holds this run, finished (without samples.png)" in capsys.readouterr().err
    for fields in ({"eval_samples": 200}, {"num_steps": 40}):
        with pytest.raises(ConfigError, match="holds the results of a run without its checkpoints"):
            run(tmp_path, **fields)


def test_more_steps_where_the_schedule_allows(evaluated, tmp_path):
    """At a constant rate, and once the KL weight has risen by both."""
    constant = {"schedule": "linear", "constant_rate": 1.0}
    run(tmp_path, **constant)
    metrics = run(tmp_path, num_steps=30, **constant)
    assert metrics["steps"] == 30 and evaluated == [100, 100]
    # a count of the steps done: the last model is the best one
    assert (tmp_path / "run" / "saved_model" / "saved_model.pb").read_text() == "30.0"
    with pytest.raises(CheckpointError, match="--num_steps=20: .* holds step 30 of a run of 30"):
        run(tmp_path, **constant)
    with pytest.raises(CheckpointError, match="--num_steps=900: .*; accepted is --num_steps=30, o"):
        run(tmp_path, num_steps=900, **constant)  # where the KL weight would still rise


def test_more_steps_where_it_does_not(evaluated, tmp_path):
    run(tmp_path)
    with pytest.raises(CheckpointError, match=rf"--init_from={tmp_path}/run in another --log_dir"):
        run(tmp_path, num_steps=40)
    assert run(tmp_path)["steps"] == 20 and evaluated == [100]


def test_a_run_from_a_trained_model(evaluated, tmp_path, monkeypatch):
    run(tmp_path)
    started = []
    monkeypatch.setattr(QuickTrainer, "run", lambda self, _: started.append(self))
    new = tmp_path / "new"
    run(new, init_from=tmp_path / "run", num_steps=40)
    trainer = started[0]
    np.testing.assert_array_equal(trainer.model.prior.f1, [20.0, 20.0])
    assert trainer.first_step == 0 and float(trainer.checkpoints.best_nll) == np.inf
    population, theta = trainer.state.read()
    np.testing.assert_array_equal(theta.b1, trainer.model.prior.machine().b1)
    # fields of 20 on spins, 40 on bits: samples of another prior would be zeros for the half
    np.testing.assert_array_equal(population.state[0], np.ones([20, 2]))


def test_a_model_that_knows_other_images_is_told_of(evaluated, tmp_path, capsys):
    run(tmp_path)
    others = images(train=1 - ARRAYS["train"])
    for dataset, told in ((images(), False), (others, True)):
        run(tmp_path / dataset.fingerprints["train_images"], dataset, 0, init_from=tmp_path / "run")
        assert ("its model was trained on other images" in capsys.readouterr().err) is told


def test_where_a_run_started_is_part_of_it(evaluated, tmp_path):
    run(tmp_path)
    new, origin = tmp_path / "new", tmp_path / "run"
    run(new, init_from=origin, seconds=0)
    run(tmp_path / "longer", seed=1)
    with pytest.raises(ConfigError, match="it started from another model .it goes on without --i"):
        run(new, init_from=tmp_path / "longer" / "run", seed=0)
    run(new, seconds=0)  # as it must where the other run has been trained on
    shutil.rmtree(origin)  # it is needed no more
    assert run(new, init_from=origin)["steps"] == 20


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_latents": 6}, r"holds another kind of model \(num_latents: 6, not 4\); accepted"),
        ({"init_from": Path("nowhere")}, "--init_from=nowhere: found no trained model; accepted"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(fields, message, evaluated, tmp_path):
    run(tmp_path)
    with pytest.raises(ConfigError, match=message):
        run(tmp_path / "new", **{"init_from": tmp_path / "run", **fields})


def test_a_model_of_other_images_is_refused(evaluated, tmp_path):
    run(tmp_path)
    small = {k: v[:, :9] for k, v in ARRAYS.items()}
    other = Dataset("small", **small, image_shape=(3, 3), stochastic=False)
    with pytest.raises(CheckpointError, match="--init_from: the model .* cannot be taken over"):
        run(tmp_path / "new", other, init_from=tmp_path / "run")


HOLDER = """
import sys, time
from pathlib import Path
from dvae_tf.files import held

with held(Path(sys.argv[1]), "log_dir", int(sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(project, tmp_path):
    """Another process that holds a worker's place in a folder, until it is killed."""
    processes = []

    def hold(folder: Path, worker: int = 0) -> subprocess.Popen:
        folder.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder), str(worker)],
            cwd=project,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


def test_one_process_holds_the_folder(evaluated, holder, tmp_path):
    leftover = tmp_path / "run" / "checkpoints" / "step-5_temp"  # which it may just be writing
    leftover.mkdir(parents=True)
    process = holder(tmp_path / "run")
    with pytest.raises(DataError, match=rf"--log_dir=.*: process {process.pid} on \S+ is at work"):
        run(tmp_path)
    assert leftover.exists()
    process.kill()
    process.wait()
    assert run(tmp_path)["test_nll"] == 7 and not leftover.exists()


def test_workers_hold_places_of_their_own(holder, tmp_path):
    holder(tmp_path, worker=1)
    refused = pytest.raises(FileError, match="is at work in it")
    with held(tmp_path, "log_dir", 0), refused, held(tmp_path, "log_dir", 1):
        pass


def test_one_thread_holds_the_folder(tmp_path):
    """The kernel's lock is the process's, and ends when the file is closed a second time."""
    refused = pytest.raises(FileError, match=f"process {os.getpid()}, this one, is at work")
    same = tmp_path / ".." / tmp_path.name
    for _ in range(2):
        with held(tmp_path, "log_dir"), refused, held(same, "log_dir"):
            pass


def test_a_finished_run_is_reported_while_another_process_reads_it(evaluated, holder, tmp_path):
    metrics = run(tmp_path)
    holder(tmp_path / "run")
    assert run(tmp_path) == metrics


def test_curves_of_a_folder_that_is_not_there():
    with pytest.raises(ConfigError, match="--log_dir=nowhere: no such folder; accepted is a run's"):
        curves.save(Path("nowhere"))


def test_a_name_may_be_as_long_as_can_be(tmp_path):
    path = tmp_path / ("ä" * 120 + ".json")
    write_atomically(path, "x")
    assert path.read_text() == "x" and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_path_that_is_too_long_for_the_export_is_refused_at_once(evaluated, tmp_path):
    deep = tmp_path.joinpath(*["x" * 203] * 19)
    with pytest.raises(FileError, match="--log_dir=.*longer than 3900 bytes.; accepted: a folder"):
        run(deep)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "pipe", "/dev/null", "/proc/self/maps", "x" * 256, "loop"])
def test_what_no_file_can_replace_is_refused(name, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileError, match="--output=.*accepted: a file's name"):
        check_file("output", tmp_path / name)
    check_file("output", tmp_path / "new.json")
