"""The training loop: batches, progress, summaries, validation, checkpoints."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from dvae_tf import interrupts
from dvae_tf.config import Config, ConfigError
from dvae_tf.data import Dataset
from dvae_tf.evaluation.evaluate import Evaluator, subset
from dvae_tf.factory import new_model
from dvae_tf.progress import Progress, say
from dvae_tf.training.checkpoints import Checkpoints
from dvae_tf.training.distribution import Distribution, batch, new_step
from dvae_tf.training.following import PriorFollower
from dvae_tf.training.summaries import Summaries

SCALARS_EVERY = 100
FOLLOW_EVERY = 400
"""Steps between two looks at log Z of the prior, which cost a few hundredths of the steps' time."""

RUNNING_NLL_EVERY = 800
"""A multiple of these."""

PICTURES_PER_RUN = 50


class TrainingError(RuntimeError):
    """The run cannot go on; one clear line."""


class Trainer:
    """A run: a model, its state, and everything that watches it.

    Args:
      config: the configuration.
      dataset: the images.
      log_dir: the run's folder; a checkpoint in it is resumed.
      initial: a checkpoint of a trained model that a new run starts from.
    """

    def __init__(
        self, config: Config, dataset: Dataset, log_dir: Path, initial: Path | None = None
    ):
        if config.batch_size > len(dataset.train):
            raise ConfigError(
                f"--batch_size: found {config.batch_size}, accepted is at most the "
                f"{len(dataset.train)} training images of {dataset.name}"
            )
        config = dataclasses.replace(config, **dataset.fingerprints)
        self.config, self.dataset = config, dataset
        self.distribution = distribution = Distribution(config)
        with distribution.strategy.scope():
            self.model = new_model(config, dataset.train_mean)
        self.step_fn, states = new_step(distribution, self.model, dataset.train)
        self.state = states[0]
        has_prior = self.model.task.has_prior
        self.follower = PriorFollower(self.model.prior, config.seed) if has_prior else None
        self.checkpoints = Checkpoints(
            log_dir,
            config,
            self.model,
            self.model.optimizer,
            states,
            self.follower,
            distribution.num_replicas,
            distribution.worker,
            distribution.least,
        )
        own_dir = log_dir if distribution.is_chief else None
        self.summaries = Summaries(own_dir, dataset, config.seed)
        self.validate = Evaluator(
            self.model,
            min(config.valid_samples, config.eval_samples),
            config.num_temperatures,
            config.prior_temperatures,
            len(dataset.valid),
            config.seed,
        )
        self.first_step = self.checkpoints.restore()
        if initial and not self.first_step:
            self.checkpoints.start_from(initial)
            for state in states if has_prior else []:
                state.anneal(self.model.prior_machine())
        self._note = ""
        self._seconds = float(self.checkpoints.seconds)
        self._resampled = float(self.checkpoints.resampled)

    def run(self, max_seconds: float = math.inf) -> bool:
        """Trains to `num_steps`, then leaves the best validated model in `model` (of the chief).

        Args:
          max_seconds: of this call; when they have passed, a checkpoint is saved.

        Returns:
          Whether the training is finished.

        Raises:
          CheckpointError: a checkpoint can't be written.
          TrainingError: the objective is not a number.
          WorkerLostError: another worker is gone.
          KeyboardInterrupt: on Ctrl-C, after a checkpoint is saved.
        """
        deadline = time.monotonic() + max_seconds
        if not self.first_step:
            self.summaries.configuration(self.config)
        try:
            if not self._train(deadline):
                over = time.monotonic() > deadline
                why = f"{max_seconds:g} s are over" if over else "Another worker has to end"
                say(f"{why}; saved {self._save()}. The same command goes on from there.")
                return False
        except KeyboardInterrupt:
            say(f"Interrupted; saved {self._save()}. The same command goes on from there.")
            raise
        finally:
            self.summaries.close()
        if not self.distribution.is_chief:
            return True
        best_step = self.checkpoints.restore_best()
        if best_step is None:
            raise TrainingError(
                f"no validation NLL is finite; --learning_rate: found "
                f"{self.config.learning_rate}, try a smaller one in another --log_dir"
            )
        say(f"Best validation NLL {self.best_nll:.2f}, at step {best_step}")
        return True

    @property
    def seconds(self) -> float:
        """Wall-clock seconds spent on training steps, over all sessions of the run."""
        return self._seconds

    @property
    def best_nll(self) -> float:
        """The lowest validation NLL so far."""
        return float(self.checkpoints.best_nll)

    @functools.cached_property
    def _nll_of_means(self) -> float:
        """Validation NLL of a model that has learned nothing but the pixels' means."""
        _, targets, _ = self.model.split(tf.constant(self.dataset.valid, tf.float32))
        logits = tf.constant(self.model.decoder.get_layer("logit_mean").values)
        return -float(tf.reduce_mean(self.model.log_px(targets, logits)))

    def _train(self, deadline: float) -> bool:
        """Whether it came to the end before `deadline` (of `time.monotonic`)."""
        last, first = self.config.num_steps, self.first_step
        interrupted = first > 0 and first % self.config.eval_every == 0
        if interrupted and self.checkpoints.validated < first:
            self._validate(first)
        ending = self.distribution.ending
        hidden = not self.distribution.is_chief
        with Progress(last, "training", "step", first, hidden, announce=first < last) as bar:
            for step in range(first + 1, last + 1):
                with ending.held_back():
                    started = time.perf_counter()
                    self._step(step)
                    self._seconds += time.perf_counter() - started
                    bar.note(self._note)
                    bar.update()
                    over = ending.agreed(time.monotonic() > deadline) and step < last
                    if step % self.config.checkpoint_every == 0 and step < last and not over:
                        self._save()
                if over:
                    ending.leave()
                    return False
                if step % self.config.eval_every == 0 and step < last:
                    self._validate(step)
                    bar.pause()
        if self.checkpoints.validated < last:
            self._validate(last)
        return True

    def _step(self, step: int) -> None:
        config = self.config
        detailed = step % SCALARS_EVERY == 0 or step == 1
        images = batch(
            self.distribution, len(self.dataset.train), config.batch_size, config.seed, step - 1
        )
        info = self.step_fn(images, tf.constant(detailed))
        objective = float(info["train/objective"])
        if not math.isfinite(objective):
            raise TrainingError(
                f"the objective is {objective} at step {step}; --learning_rate: found "
                f"{config.learning_rate}, try a smaller one in another --log_dir; last good "
                f"checkpoint: {self.checkpoints.latest or 'none yet'}"
            )
        info.pop("outputs")
        if "prior/resampled" in info:
            self._resampled += float(info["prior/resampled"])
            info["prior/resampled"] = self._resampled / SCALARS_EVERY
        if step % FOLLOW_EVERY == 0:
            info |= self._follow(step)
        if detailed:
            self._resampled = 0.0
            self.summaries.scalars(info, step)
        if step == 1 or step % max(1, config.num_steps // PICTURES_PER_RUN) == 0:
            population, _ = self.state.read()
            self.summaries.details(self.model, population, step)

    def _follow(self, step: int) -> dict[str, float]:
        """log Z of the prior by populations that only watch; at times an NLL that rests on it."""
        if self.follower is None or not self.distribution.is_chief:
            return {}
        found = self.follower.follow(step)
        shown = {"prior/log_z": found.log_z, "prior/log_z_stderr": found.stderr}
        if step % RUNNING_NLL_EVERY == 0:
            images = subset(self.dataset.valid, self.validate.likelihood.size)
            log_marginal = self.validate.log_marginal(images)
            shown["eval/running_nll"] = found.log_z - float(np.mean(log_marginal))
            self._note = f"running NLL {shown['eval/running_nll']:.2f}"
        return shown

    def _validate(self, step: int) -> None:
        if not self.distribution.is_chief:
            self.checkpoints.validated.assign(step)
            self._save()
            return
        result = self.validate(self.dataset.valid, "validation images", with_doubts=False)
        self.summaries.evaluation(result, step)
        self._note = f"validation NLL {result.nll:.2f} ± {result.nll_stderr:.2f}"
        say(f"Step {step}: {self._note}")
        if result.nll > self._nll_of_means:
            say(
                f"That is more than {self._nll_of_means:.2f}, the NLL of independent pixels with "
                "the training images' means; if it stays so, try a --learning_rate of less than "
                f"{self.config.learning_rate:g} in another --log_dir"
            )
        with interrupts.held_back():
            self.checkpoints.offer(result.nll, step)
            self._save()

    def _save(self) -> str:
        self.checkpoints.seconds.assign(self._seconds)
        self.checkpoints.resampled.assign(self._resampled)
        with interrupts.held_back():
            return self.checkpoints.save()
