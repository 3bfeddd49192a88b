"""One whole run of 150 steps on the digits, compiled once for all tests of this folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.data import Dataset
from dvae_tf.evaluation.evaluate import Evaluation
from dvae_tf.training.loop import Trainer
from dvae_tf.training.step import TrainStep

STEPS = 150


@dataclasses.dataclass
class Run:
    """What a run left behind.

    Attributes:
      trainer: as `Trainer.run` left it.
      step_fn: its step.
      infos: what each step returned.
      chains: the chain store before the run and after each step.
      values: every variable at the end, by name.
      nll_before, nll_after: of test images, by enumeration.
    """

    trainer: Trainer
    step_fn: TrainStep
    infos: list[dict[str, np.ndarray]]
    chains: list[np.ndarray]
    values: dict[str, np.ndarray]
    nll_before: float
    nll_after: float


@pytest.fixture(scope="session")
def run_config(small_config: Config) -> Config:
    return dataclasses.replace(small_config, num_steps=STEPS, eval_every=STEPS, checkpoint_every=50)


@pytest.fixture(scope="session")
def make_evaluation() -> Callable[[float], Evaluation]:
    """An `Evaluation` with an NLL and nothing else."""
    numbers = {f.name: 0.0 for f in dataclasses.fields(Evaluation)} | {"found": ()}
    return lambda nll: Evaluation(**{**numbers, "nll": nll})


@pytest.fixture(scope="session")
def new_trainer(make_evaluation: Callable) -> Callable[..., Trainer]:
    """Trainers whose validation takes no time (it has random numbers of its own)."""

    def make(config: Config, dataset: Dataset, log_dir: Path) -> Trainer:
        trainer = Trainer(config, dataset, log_dir)
        trainer.validate = lambda images, description, **_: make_evaluation(30.0)
        return trainer

    return make


@pytest.fixture(scope="session")
def values() -> Callable[[Trainer], dict[str, np.ndarray]]:
    """Reads a trainer's model (with batch norm's averages), optimizer and state."""
    return _values


@pytest.fixture(scope="session")
def whole_run(run_config, digits, images, new_trainer, enumerate_model, tmp_path_factory) -> Run:
    trainer = new_trainer(run_config, digits, tmp_path_factory.mktemp("whole"))
    nll_before = -enumerate_model(trainer.model, images).log_px.mean()
    step_fn, infos, chains = trainer.step_fn, [], [trainer.state.chains.numpy()]

    def watched(indices: tf.Tensor, detailed: tf.Tensor) -> dict[str, tf.Tensor]:
        info = step_fn(indices, detailed)
        infos.append({name: np.asarray(value) for name, value in info.items()})
        chains.append(trainer.state.chains.numpy())
        return info

    trainer.step_fn = watched
    trainer.run()
    trainer.step_fn = step_fn
    nll_after = -enumerate_model(trainer.model, images).log_px.mean()
    return Run(trainer, step_fn, infos, chains, _values(trainer), nll_before, nll_after)


def _values(trainer: Trainer) -> dict[str, np.ndarray]:
    model = {v.path: v.numpy() for v in trainer.model.variables}
    unnamed = [*trainer.step_fn.optimizer.variables, *trainer.state.variables]
    return model | {f"variable {i}": v.numpy() for i, v in enumerate(unnamed)}
