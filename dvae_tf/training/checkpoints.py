"""Checkpoints of a run: the newest three, and the best model so far."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from dvae_tf.model import DVAE
from dvae_tf.training.state import State


class Checkpoints:
    """Saves and restores (model, optimizer, state) in `log_dir`/checkpoints.

    Attributes:
      best_nll: the lowest validation NLL so far (infinite at first), kept in the checkpoint.
      validated: the step last validated.
      seconds: spent on training so far, kept too.
    """

    def __init__(
        self, log_dir: Path, model: DVAE, optimizer: keras.optimizers.Optimizer, state: State
    ):
        directory = log_dir / "checkpoints"
        self.best_nll = tf.Variable(float("inf"), dtype=tf.float64)
        self.validated = tf.Variable(0, dtype=tf.int64)
        self.seconds = tf.Variable(0.0, dtype=tf.float64)
        self.state = state
        everything = tf.train.Checkpoint(
            model=model,
            optimizer=optimizer,
            state=state,
            best_nll=self.best_nll,
            validated=self.validated,
            seconds=self.seconds,
        )
        self._recent = tf.train.CheckpointManager(
            everything, str(directory), max_to_keep=3, checkpoint_name="step"
        )
        self._best = tf.train.CheckpointManager(
            tf.train.Checkpoint(model=model), str(directory / "best"), max_to_keep=1
        )

    @property
    def latest(self) -> str | None:
        """Path of the newest checkpoint, if there is one."""
        return self._recent.latest_checkpoint

    def restore(self) -> int:
        """Restores the newest checkpoint, if there is one; returns the number of steps done."""
        if self.latest:
            self._recent.checkpoint.restore(self.latest).assert_existing_objects_matched()
        return int(self.state.step)

    def save(self) -> str:
        """Saves everything; returns the path."""
        return self._recent.save(checkpoint_number=int(self.state.step))

    def offer(self, nll: float, step: int) -> None:
        """Keeps the model as the best one if `nll` is the lowest validation NLL so far."""
        if nll < float(self.best_nll):
            self._best.save(checkpoint_number=step)
            self.best_nll.assign(nll)
        self.validated.assign(step)

    def restore_best(self) -> int | None:
        """Restores the best model's parameters; returns their step, None if there are none."""
        path = self._best.latest_checkpoint
        if path is None:
            return None
        self._best.checkpoint.restore(path).assert_existing_objects_matched()
        return int(path.rsplit("-", 1)[1])
