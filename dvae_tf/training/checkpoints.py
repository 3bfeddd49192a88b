"""Checkpoints of a run: the newest three, and the best model so far."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import tensorflow as tf

from dvae_tf.model import DVAE
from dvae_tf.progress import say
from dvae_tf.training.state import State
from sampler.command_line.files import reason

_UNREADABLE = (tf.errors.OpError, ValueError, AssertionError, IndexError, OSError)


class CheckpointError(RuntimeError):
    """Checkpoints can't be read or written; one clear line."""


class Checkpoints:
    """Saves and restores (model, optimizer, state) in `log_dir`/checkpoints.

    A checkpoint is written beside its place and moved there, and its tensors carry checksums, which
    are compared when it is read.

    Attributes:
      best_nll: the lowest validation NLL so far (infinite at first), kept in the checkpoint.
      validated: the step last validated.
      seconds: spent on training so far, kept too.
      resampled: of the prior's updates since the last scalars, how many resampled; kept too.
    """

    def __init__(
        self, log_dir: Path, model: DVAE, optimizer: keras.optimizers.Optimizer, state: State
    ):
        self.directory = directory = log_dir / "checkpoints"
        self.best_nll = tf.Variable(float("inf"), dtype=tf.float64)
        self.validated = tf.Variable(0, dtype=tf.int64)
        self.seconds = tf.Variable(0.0, dtype=tf.float64)
        self.resampled = tf.Variable(0.0, dtype=tf.float64)
        self.state = state
        everything = tf.train.Checkpoint(
            model=model,
            optimizer=optimizer,
            state=state,
            best_nll=self.best_nll,
            validated=self.validated,
            seconds=self.seconds,
            resampled=self.resampled,
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
        """Restores the newest checkpoint that can be read, if there are any.

        Returns:
          The number of steps done.

        Raises:
          CheckpointError: there are checkpoints, and none can be read.
        """
        for leftover in self.directory.glob("*_temp"):  # of a run killed while it wrote
            shutil.rmtree(leftover, ignore_errors=True)
        paths = sorted(self.directory.glob("step-*.index"), key=_step, reverse=True)
        for path in paths:
            try:
                checkpoint = self._recent.checkpoint.restore(str(path.with_suffix("")))
                checkpoint.assert_existing_objects_matched()
                return int(self.state.step)
            except _UNREADABLE as error:
                say(f"{path.with_suffix('')} cannot be read ({reason(error)}); it is passed over")
        if paths:
            raise CheckpointError(
                f"{self.directory}: none of its {len(paths)} checkpoints can be read; accepted is "
                "one that can, or another --log_dir"
            )
        return 0

    def save(self) -> str:
        """Saves everything; returns the path.

        Raises:
          CheckpointError: the disk is full or can't be written; earlier checkpoints are left whole.
        """
        step = int(self.state.step)
        try:
            return self._recent.save(checkpoint_number=step)
        except (tf.errors.OpError, OSError) as error:
            raise CheckpointError(
                f"{self.directory}: the checkpoint of step {step} could not be written "
                f"({reason(error)}); the one before it: {self.latest or 'none'}"
            ) from None

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


def _step(path: Path) -> int:
    """The step of 'step-<number>.index'."""
    number = path.stem.rsplit("-", 1)[1]
    return int(number) if number.isdecimal() else -1
