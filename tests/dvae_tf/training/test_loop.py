from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from dvae_tf import curves
from dvae_tf.config import ConfigError
from dvae_tf.data import Dataset
from dvae_tf.training.batches import batch_indices
from dvae_tf.training.loop import Trainer, TrainingError

STEPS = 20


@pytest.mark.parametrize(("num_images", "batch_size"), [(100, 10), (103, 10), (10, 10)])
def test_an_epoch_is_a_permutation(num_images, batch_size):
    per_epoch = num_images // batch_size
    epochs = [
        np.concatenate(
            [batch_indices(num_images, batch_size, 0, e * per_epoch + i) for i in range(per_epoch)]
        )
        for e in range(3)
    ]
    for order in epochs:
        assert order.dtype == np.int32
        assert len(np.unique(order)) == per_epoch * batch_size
        assert order.min() >= 0 and order.max() < num_images
    assert np.any(epochs[0] != epochs[1]) and np.any(epochs[1] != epochs[2])


def test_batches_are_a_function_of_seed_and_step():
    batches = [
        batch_indices(100, 10, seed, step) for seed, step in ((0, 7), (0, 7), (1, 7), (0, 8))
    ]
    np.testing.assert_array_equal(batches[0], batches[1])
    assert np.any(batches[0] != batches[2]) and np.any(batches[0] != batches[3])


@pytest.fixture(scope="module")
def dataset(digits: Dataset) -> Dataset:
    return dataclasses.replace(digits, train=digits.train[:230], valid=digits.valid[:20])


def interrupted_at(step: int, step_fn):
    """The step function, with a Ctrl-C before its call number `step`."""
    calls = iter(range(1, step + 1))

    def call(*args):
        if next(calls) == step:
            raise KeyboardInterrupt
        return step_fn(*args)

    return call


def test_resumed_run_equals_the_whole_one(
    whole_run, run_config, digits, new_trainer, values, tmp_path
):
    first = new_trainer(run_config, digits, tmp_path)
    first.step_fn = interrupted_at(88, first.step_fn)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second = new_trainer(run_config, digits, tmp_path)
    assert second.first_step == 87
    assert second.seconds == first.seconds > 0
    second.run()
    resumed = values(second)
    assert resumed.keys() == whole_run.values.keys() and len(resumed) > 50
    for name, value in whole_run.values.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    # what TensorBoard shows too: the second half of a hundred steps counts with the first
    whole = curves.read(whole_run.trainer.checkpoints.directory.parent)
    assert curves.read(tmp_path) == whole
    assert whole["prior/resampled"][0] == [1, 100] and len(whole) > 10


@pytest.fixture
def fake_trainer(small_config, dataset, tmp_path, new_trainer):
    """Trainers of one run whose step only sets the prior's first biases to the step's number.

    Takes a function from the step to its objective, and fields of the configuration.
    """

    def make(objective_fn=lambda step: -30.0, **fields) -> Trainer:
        config = dataclasses.replace(small_config, **fields)
        trainer = new_trainer(config, dataset, tmp_path)
        bias, optimizer = trainer.model.prior.f1, trainer.step_fn.optimizer

        def step_fn(indices, detailed):
            del detailed
            step = int(trainer.state.step.assign_add(1))
            bias.assign(tf.fill(bias.shape, float(step)))
            return {
                "train/objective": tf.constant(objective_fn(step)),
                "prior/resampled": tf.constant(0.0),
                "outputs": tf.zeros([len(indices), 64]),
            }

        step_fn.optimizer = optimizer
        trainer.step_fn = step_fn
        return trainer

    return make


def bias(trainer: Trainer) -> float:
    """The step that the model is of."""
    return float(trainer.model.prior.f1.numpy()[0])


def never(step: int) -> float:
    raise AssertionError(f"step {step} was not wanted")


def test_events_are_on_disk_at_once(fake_trainer, tmp_path):
    """Killed after a checkpoint, a process would otherwise lose those of steps before it."""
    trainer = fake_trainer()
    for step in (1, 2, 3):
        trainer.summaries.scalars({"train/objective": 7.0}, step)
    (path,) = tmp_path.glob("events.out.tfevents.*")
    steps = [e.step for e in EventFileLoader(str(path)).Load() if e.summary.value]
    assert steps == [1, 2, 3]


def test_finished_run_has_nothing_left_to_do(fake_trainer):
    fake_trainer().run()
    again = fake_trainer(never)
    assert again.first_step == STEPS
    again.run()
    assert bias(again) == STEPS


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_objective_that_is_no_number_stops_the_run(bad, fake_trainer, tmp_path):
    with pytest.raises(TrainingError) as caught:
        fake_trainer(lambda step: bad if step == 13 else -30.0).run()
    message = str(caught.value)
    assert "step 13" in message and "--learning_rate" in message and "\n" not in message
    # the checkpoint named is the newest, so that the run can be gone on from
    assert str(tmp_path / "checkpoints" / "step-10") in message
    assert fake_trainer().first_step == 10


def test_no_checkpoint_yet_is_said(fake_trainer):
    with pytest.raises(TrainingError, match=r"step 1\b.*checkpoint: none"):
        fake_trainer(lambda step: float("nan")).run()


def test_best_model_is_kept(fake_trainer, make_evaluation):
    trainer = fake_trainer(eval_every=5)
    nlls = iter([33.0, 31.0, 32.0, 34.0])
    trainer.validate = lambda images, description, **_: make_evaluation(next(nlls))
    trainer.run()
    assert next(nlls, None) is None
    assert trainer.best_nll == 31.0 and bias(trainer) == 10
    # nor does the resumed run forget it
    again = fake_trainer(never, eval_every=5)
    assert again.best_nll == 31.0 and bias(again) == 20
    again.run()
    assert bias(again) == 10


def test_run_without_a_finite_validation_is_an_error(fake_trainer, make_evaluation):
    trainer = fake_trainer()
    trainer.validate = lambda images, description, **_: make_evaluation(float("nan"))
    with pytest.raises(TrainingError, match="--learning_rate"):
        trainer.run()


@pytest.mark.parametrize("step", [10, STEPS])
def test_interrupted_validation_is_made_up_for(step, fake_trainer, make_evaluation):
    def interrupt(images, description, **_):
        if int(trainer.state.step) == step:
            raise KeyboardInterrupt
        return make_evaluation(30.0)

    trainer = fake_trainer(eval_every=10)
    trainer.validate = interrupt
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    again = fake_trainer(eval_every=10)
    validated = []

    def watched(images, description, **_):
        validated.append(int(again.state.step))
        return make_evaluation(20.0 + len(validated))

    again.validate = watched
    again.run()
    assert validated == list(range(step, STEPS + 1, 10))
    assert bias(again) == step


def test_batch_larger_than_the_data(small_config, dataset, tmp_path):
    config = dataclasses.replace(small_config, batch_size=231)
    with pytest.raises(ConfigError, match="--batch_size: found 231, .*230 training images"):
        Trainer(config, dataset, tmp_path)


def test_seed_decides_the_start(small_config, dataset, values, tmp_path):
    starts = []
    for number, seed in enumerate((0, 0, 1)):
        config = dataclasses.replace(small_config, seed=seed)
        trainer = Trainer(config, dataset, tmp_path / str(number))
        starts.append(values(trainer) | {"chains": trainer.state.chains.numpy()})
    for name, value in starts[0].items():
        np.testing.assert_array_equal(value, starts[1][name], err_msg=name)
    kernel = "encoder/encoder_dense_0/kernel"
    assert np.mean(starts[0][kernel] != starts[2][kernel]) > 0.9
    assert 0.4 < np.mean(starts[0]["chains"] != starts[2]["chains"]) < 0.6


def test_time_limit_saves_and_the_run_goes_on(fake_trainer):
    first = fake_trainer()
    assert first.run(max_seconds=0) is False
    second = fake_trainer()
    assert second.first_step == 1
    assert second.run() is True
    assert bias(second) == STEPS


@pytest.mark.parametrize(("nll", "told"), [(30.0, True), (20.0, False)])
def test_worse_than_no_model_at_all_is_told(nll, told, fake_trainer, make_evaluation, capsys):
    # a high learning rate can diverge without an objective that is no number
    trainer = fake_trainer(learning_rate=10.0)
    trainer.validate = lambda images, description, **_: make_evaluation(nll)
    trainer.run()
    mean = np.clip(trainer.dataset.train.mean(0, dtype=np.float64), 1e-3, 1 - 1e-3)
    valid = trainer.dataset.valid
    expected = -np.mean(np.sum(np.where(valid, np.log(mean), np.log1p(-mean)), 1))
    said = f"That is more than {expected:.2f}, the NLL of independent pixels"
    err = capsys.readouterr().err
    assert (said in err) == told and ("--learning_rate of less than 10 " in err) == told
