"""What TensorBoard shows of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from dvae_tf import pictures
from dvae_tf.evaluation.evaluate import Evaluation
from dvae_tf.model import Wiring
from sampler.io.errors import reason
from sampler.populations.population import Population

_COLUMNS = 8
_IMAGES = 64


class Summaries:
    """Writes scalars, histograms and pictures to event files in `log_dir`.

    Args:
      log_dir: the run's folder; None writes nothing.
      image_shape: (height, width).

    What a method writes is on disk when it returns, so that no checkpoint is ahead of its events.
    Every method raises an `OSError` that names the folder if the disk is full, or can't be written.
    """

    def __init__(self, log_dir: Path | None, image_shape: tuple[int, int]):
        self.image_shape = image_shape
        self._log_dir = log_dir
        if log_dir is None:
            self._writer = tf.summary.create_noop_writer()
            return
        with self._writing():
            self._writer = tf.summary.create_file_writer(str(log_dir))

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Scalars by name, '<group>/<name>'."""
        with self._writing(), self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def evaluation(self, result: Evaluation, step: int) -> None:
        """The validation's numbers."""
        values = {
            "valid/nll": result.nll,
            "valid/neg_elbo": result.neg_elbo,
            "valid/importance_ess": result.ess,
        }
        lower, upper = result.log_z_prior_lower, result.log_z_prior_upper
        if result.log_z_prior is not None and lower is not None and upper is not None:
            values["prior/log_z_ais"] = result.log_z_prior
            values["prior/log_z_gap"] = upper - lower
        self.scalars(values, step)

    def details(
        self, model: Wiring, population: Population, x: np.ndarray, outputs: tf.Tensor, step: int
    ) -> None:
        """Histograms of the prior's parameters; pictures of samples and reconstructions.

        A task without a prior has no samples, and its reconstructions are completions.

        Args:
          population: the training's samples of the prior.
          x: images [B, D] of the step's batch, and the decoder's `outputs` for them.
        """
        histograms, shown = {}, {}
        if model.has_prior:
            for name, value in model.prior.encode(model.prior_machine()).items():
                histograms[f"prior/{name}"] = value
            samples = model.likelihood.mean(model.decode(tf.concat(population.state, -1)[:_IMAGES]))
            shown["samples"] = pictures.grid(samples.numpy(), self.image_shape, _COLUMNS)
        count = min(len(x), _IMAGES) // _COLUMNS * _COLUMNS
        if count:
            images = x[:count].astype(np.float32)
            predicted = model.join(images, model.likelihood.mean(outputs[:count]).numpy())
            shown["reconstructions"] = pictures.reconstruction_grid(
                images, predicted, self.image_shape, _COLUMNS
            )
        with self._writing(), self._writer.as_default(step=step):
            for name, value in histograms.items():
                tf.summary.histogram(name, value)
            for name, picture in shown.items():
                tf.summary.image(name, picture[None, ..., None])

    def close(self) -> None:
        """Flushes and closes the event file."""
        with self._writing():
            self._writer.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            raise OSError(
                f"{self._log_dir}: events could not be written ({reason(error)})"
            ) from None
