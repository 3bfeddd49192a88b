"""Checkpoints of a run: the newest three, and the best model so far."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dvae_tf.config import MAY_CHANGE, Config
from dvae_tf.files import for_tensorflow
from dvae_tf.model import Wiring
from dvae_tf.progress import say
from dvae_tf.training import schedules
from dvae_tf.training.state import State
from sampler.io.errors import reason

FORMAT = 3
"""Version of what a checkpoint holds; this one alone is read."""

_KEPT = 3
_NAME = "{}/.ATTRIBUTES/VARIABLE_VALUE"
_UNREADABLE = (tf.errors.OpError, ValueError, AssertionError, IndexError, OSError)


class CheckpointError(RuntimeError):
    """Checkpoints can't be read or written; one clear line."""


class Checkpoints:
    """Saves and restores (model, optimizer, state) in `log_dir`/checkpoints.

    A checkpoint is written beside its place and moved there, and its tensors carry checksums, which
    are compared when it is read. Of several workers each keeps its own.

    Args:
      config: the run's; kept too, as the checkpoints of another one are of no use.
      states: of this process's replicas.
      follower: of the prior's log Z, where the task has a prior.
      num_replicas: of all processes together; kept, as their states are no use to another number.
      worker: its number; all but the first have a folder of their own in the first one's.
      least: the least of all workers' values, by which they agree on a step.

    Attributes:
      best_nll: the lowest validation NLL so far (infinite at first), kept in the checkpoint.
      validated: the step last validated.
      seconds: spent on training so far, kept too.
      resampled: of the prior's updates since the last scalars, how many resampled; kept too.
    """

    def __init__(
        self,
        log_dir: Path,
        config: Config,
        model: Wiring,
        optimizer: keras.optimizers.Optimizer,
        states: Sequence[State],
        follower: tf.Module | None = None,
        num_replicas: int = 1,
        worker: int = 0,
        least: Callable[[int], int] = int,
    ):
        self.directory = log_dir / "checkpoints"
        if worker:
            self.directory /= f"worker-{worker}"
        self.directory.mkdir(parents=True, exist_ok=True)
        self._name = for_tensorflow(self.directory)
        self.least = least
        self.best_nll = tf.Variable(float("inf"), dtype=tf.float64)
        self.validated = tf.Variable(0, dtype=tf.int64)
        self.seconds = tf.Variable(0.0, dtype=tf.float64)
        self.resampled = tf.Variable(0.0, dtype=tf.float64)
        self.num_replicas, self.format = tf.Variable(num_replicas), tf.Variable(FORMAT)
        self.config, self._text = config, tf.Variable(config.to_json())
        self.state = states[0]
        self._parameters = [*model.variables, *optimizer.variables]
        # Keras hides layers that stand in a list from TensorFlow, so that they would be left out
        parameters = {v.path: v.value for v in model.variables}
        everything = tf.train.Checkpoint(
            model=parameters,
            optimizer=optimizer,
            state=states[0],
            **{f"state_{i}": state for i, state in enumerate(states[1:], 1)},
            **({"follower": follower} if follower else {}),
            best_nll=self.best_nll,
            validated=self.validated,
            seconds=self.seconds,
            resampled=self.resampled,
            num_replicas=self.num_replicas,
            format=self.format,
            config=self._text,
        )
        self._recent = tf.train.CheckpointManager(
            everything, self._name, max_to_keep=_KEPT, checkpoint_name="step"
        )
        self._best = tf.train.CheckpointManager(
            tf.train.Checkpoint(model=parameters), f"{self._name}/best", max_to_keep=1
        )

    @property
    def latest(self) -> str | None:
        """Path of the newest checkpoint, if there is one."""
        paths = self._paths()
        return str(paths[0].with_suffix("")) if paths else None

    def _paths(self) -> list[Path]:
        """Index files of the checkpoints, the newest first, whatever TensorFlow's list says.

        The list is written after the checkpoint, and a process may be killed in between.
        """
        return sorted(self.directory.glob("step-*.index"), key=_step, reverse=True)

    def restore(self) -> int:
        """Restores the newest checkpoint that all workers can read, if there are any.

        Returns:
          The number of steps done.

        Raises:
          CheckpointError: there are checkpoints, and none can be read, or they are of another
            configuration or number of replicas.
        """
        for folder in (self.directory, self.directory / "best"):
            for leftover in folder.glob("*_temp"):  # of a run killed while it wrote
                shutil.rmtree(leftover, ignore_errors=True)
        step = self._restore_newest(sys.maxsize)
        while True:
            common = self.least(step)
            if self.least(int(step == common)):
                return step
            step = self._restore_newest(common)

    def _restore_newest(self, last: int) -> int:
        """Restores the newest readable checkpoint up to step `last`; returns its step."""
        paths = [path for path in self._paths() if _step(path) <= last]
        for path in paths:
            try:
                self._check_same_run(path.stem)
                checkpoint = self._recent.checkpoint.restore(f"{self._name}/{path.stem}")
                checkpoint.assert_existing_objects_matched()
                self._text.assign(self.config.to_json())  # theirs may have had fewer steps
                return int(self.state.step)
            except _UNREADABLE as error:
                say(f"{path.with_suffix('')} cannot be read ({reason(error)}); it is passed over")
        if paths:
            raise CheckpointError(
                f"{self.directory}: none of its {len(paths)} checkpoints can be read; accepted is "
                "one that can, or another --log_dir"
            )
        return 0

    def _check_same_run(self, stem: str) -> None:
        """Raises CheckpointError for a checkpoint of another version, configuration or machines."""
        reader, name = tf.train.load_checkpoint(f"{self._name}/{stem}"), _NAME.format("format")
        if not reader.has_tensor(name) or int(reader.get_tensor(name)) != FORMAT:
            raise CheckpointError(
                f"{self.directory}: holds a run of another version of this program; accepted is "
                f"one of this version (format {FORMAT}), or another --log_dir"
            )
        theirs = Config.parse(reader.get_tensor(_NAME.format("config")).decode())
        different = self.config.differences(theirs, but=MAY_CHANGE)
        if different:
            raise CheckpointError(
                f"{self.directory}: holds a run with another configuration "
                f"({'; '.join(different)}); accepted is the same one, or another --log_dir"
            )
        self._check_length(theirs, int(stem.rsplit("-", 1)[1]))
        found = int(reader.get_tensor(_NAME.format("num_replicas")))
        accepted = int(self.num_replicas)
        if found != accepted:
            raise CheckpointError(
                f"{self.directory}: found a run of {found} replicas (devices of all workers); "
                f"accepted is one of {accepted}, as --strategy gives here, or another --log_dir"
            )

    def _check_length(self, theirs: Config, step: int) -> None:
        """Raises CheckpointError where the run can't go on from `step` to another last step."""
        if not schedules.continues(theirs, self.config, step):
            raise CheckpointError(
                f"--num_steps={self.config.num_steps}: {self.directory} holds step {step} of a run "
                f"of {theirs.num_steps}, at which the schedules of the two differ; accepted is "
                f"--num_steps={theirs.num_steps}, or --init_from={self.directory.parent} in "
                "another --log_dir, a new run that starts from the trained model"
            )

    def start_from(self, path: Path) -> None:
        """Sets the model's parameters to those of another run's checkpoint.

        Raises:
          CheckpointError: it can't be read, or is of images of another size.
        """
        try:
            name = f"{for_tensorflow(path.parent)}/{path.name}"
            status = self._best.checkpoint.restore(name).expect_partial()
            status.assert_existing_objects_matched()
        except _UNREADABLE as error:
            raise CheckpointError(
                f"--init_from: the model {path} cannot be taken over ({reason(error)}); accepted "
                "is one of images of the same size, whole"
            ) from None

    def save(self) -> str:
        """Saves everything; returns the path.

        Raises:
          CheckpointError: the disk is full or can't be written, or a parameter is not finite;
            earlier checkpoints are left whole.
        """
        path = self._write(self._recent, int(self.state.step))
        for old in self._paths()[_KEPT:]:
            for part in self.directory.glob(f"{old.stem}.*"):
                part.unlink(missing_ok=True)
        return path

    def offer(self, nll: float, step: int) -> None:
        """Keeps the model as the best one if `nll` is the lowest validation NLL so far.

        A run killed before the next `save` comes to this step again, with the same model.

        Raises:
          CheckpointError: as `save` does.
        """
        if nll < float(self.best_nll):
            self._write(self._best, step)
            self.best_nll.assign(nll)
        self.validated.assign(step)

    def restore_best(self) -> int | None:
        """Restores the best model's parameters; returns their step, None if there are none.

        Where its own file is damaged, the run's checkpoint of that step has the same parameters, as
        long as it is one of the newest three.

        Raises:
          CheckpointError: neither can be read. The last model is no substitute: its results would
            pass for the best one's.
        """
        if not math.isfinite(self.best_nll.numpy()):
            return None
        paths = sorted((self.directory / "best").glob("*.index"), key=_step)
        step = _step(paths[-1]) if paths else int(self.validated)
        own = f"best/ckpt-{step}"
        for name in (own, f"step-{step}"):
            try:
                status = self._best.checkpoint.restore(f"{self._name}/{name}").expect_partial()
                status.assert_existing_objects_matched()
                return step
            except _UNREADABLE as error:
                say(f"{self.directory / name}: the best model cannot be read ({reason(error)})")
        raise CheckpointError(
            f"{self.directory / own}: the best model cannot be read; accepted is a copy of "
            "it that can, or another --log_dir"
        )

    def _write(self, manager: tf.train.CheckpointManager, step: int) -> str:
        bad = [v.path for v in self._parameters if not np.isfinite(v.numpy()).all()]
        if bad:
            raise CheckpointError(
                f"{self.directory}: {len(bad)} of the variables are not finite at step {step} "
                f"({bad[0]}), so that no checkpoint is written; --learning_rate: try a smaller one "
                f"in another --log_dir; last good checkpoint: {self.latest or 'none yet'}"
            )
        try:
            return str(self.directory / Path(manager.save(checkpoint_number=step)).name)
        except (tf.errors.OpError, OSError) as error:
            raise CheckpointError(
                f"{self.directory}: the checkpoint of step {step} could not be written "
                f"({reason(error)}); the one before it: {self.latest or 'none'}"
            ) from None


def _step(path: Path) -> int:
    """The step of '<name>-<number>.index'."""
    number = path.stem.rsplit("-", 1)[1]
    return int(number) if number.isdecimal() else -1
