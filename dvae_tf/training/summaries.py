"""What TensorBoard shows of a run.

Tags are sorted by name: `eval/`, validation and test, come first.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from dvae_tf import generation, pictures
from dvae_tf.config import Config
from dvae_tf.data import Dataset
from dvae_tf.evaluation.evaluate import Evaluation, subset
from dvae_tf.files import for_tensorflow
from dvae_tf.model import Wiring
from sampler import seeds
from sampler.io.errors import printable, reason
from sampler.populations.population import Population

_COLUMNS = 8
_IMAGES = 64

_NLL = "Negative log-likelihood in nats an image, lower is better; "
DESCRIPTIONS = {
    "eval/valid_nll": _NLL + "of the validation images, by importance sampling and AIS.",
    "eval/valid_nll_stderr": "Its standard error, from the spread over the images.",
    "eval/valid_neg_elbo": "The variational bound above it; their distance is the posterior's KL.",
    "eval/valid_importance_ess": "Effective number of the validation's importance samples.",
    "eval/running_nll": _NLL + "of some validation images, log Z by the populations that follow.",
    "eval/test_nll": _NLL + "of the test images, of the best model by validation.",
    "eval/test_neg_elbo": "The variational bound above the test NLL.",
    "train/objective": "Has the right gradient, but lacks both log Z: only its trend at a constant "
    "weight of the KL means something.",
    "train/log_likelihood": "log p(x | zeta) of the batch, nats.",
    "train/log_posterior": "log q(zeta | x), up to a constant of each image.",
    "train/kl_weight": "Weight of the KL: rises to 1.",
    "train/entropy_weight": "Weight of the posterior's entropy: falls to 0.05.",
    "train/learning_rate": "Adam's, by the schedule.",
    "train/importance_ess": "Effective number of the K samples of an image, from 1 to K.",
    "train/gradient_norm": "Of all gradients, before Adam.",
    "posterior/fraction_inside": "Of the relaxed samples, strictly between 0 and 1.",
    "posterior/rms_coupling": "Root mean square of the posteriors' couplings; 0: no dependence.",
    "prior/rms_coupling": "Root mean square of the prior's couplings.",
    "prior/ess": "Effective number of the prior's samples: how hard they work to follow it.",
    "prior/resampled": "Fraction of the steps in which they were resampled.",
    "prior/survivors": "Samples that have descendants after a resampling.",
    "prior/effective_beta": "Of the samples by a sampler that was handed in: 1 is right.",
    "prior/effective_beta_stderr": "Its standard error.",
    "prior/log_z": "log of the prior's normaliser, nats; every NLL moves with it.",
    "prior/log_z_stderr": "Its standard error, from the spread of the populations that follow.",
    "prior/log_z_gap": "Width of the bracket of log Z by forward and backward AIS.",
    "prior/spectrum": "Singular values of the prior's couplings, the largest first.",
    "prior/largest_singular_value": "Of the prior's couplings: how far it is from independence.",
    "samples": "Pixels' probabilities for samples of the prior, the training's own.",
    "reconstructions": "A row of validation images, always the same, and the row of what the model "
    "makes of them.",
}
"""Of the tags, by name."""


def description(tag: str) -> str:
    """What is said of a tag; of one that a part of one's own brings, where it comes from."""
    group, _, name = tag.partition("/")
    return DESCRIPTIONS.get(tag, f"{name or group}, as the {group} calls it.")


class Summaries:
    """Writes scalars, histograms and pictures to event files in `log_dir`.

    Args:
      log_dir: the run's folder; None writes nothing.
      dataset: of which the first images of a fixed order are reconstructed.
      seed: of the reconstructions.

    What a method writes is on disk when it returns, so that no checkpoint is ahead of its events.
    Every method raises an `OSError` that names the folder if the disk is full, or can't be written.
    """

    def __init__(self, log_dir: Path | None, dataset: Dataset, seed: int = 0):
        self._dataset, self._log_dir = dataset, log_dir
        images = subset(dataset.valid, _IMAGES // 2)
        self._images = images[: len(images) // _COLUMNS * _COLUMNS].astype(np.float32)
        self._seed = seeds.fold_in(seeds.make_seed(seed), 4)
        self._reconstruct_fn: Any = None
        if log_dir is None:
            self._writer = tf.summary.create_noop_writer()
            return
        with self._writing():
            self._writer = tf.summary.create_file_writer(for_tensorflow(log_dir))

    def configuration(self, config: Config) -> None:
        """The configuration, as text and as the hyperparameters by which runs are compared."""
        fields = dataclasses.asdict(config) | {"hidden_units": str(config.hidden_units)}
        fields["dataset"] = printable(config.dataset)  # a name may be no UTF-8
        names = ("eval/test_nll", "eval/test_neg_elbo", "eval/valid_nll")
        with self._writing(), self._writer.as_default(step=0):
            tf.summary.text(
                "configuration", f"```\n{config.to_json()}```", description="config.json"
            )
            hparams.hparams_config(
                hparams=[hparams.HParam(name) for name in fields],
                metrics=[hparams.Metric(name, description=DESCRIPTIONS[name]) for name in names],
            )
            hparams.hparams(fields)

    def scalars(self, values: Mapping[str, Any], step: int) -> None:
        """Scalars by name, '<group>/<name>'."""
        with self._writing(), self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value, description=description(name))

    def evaluation(self, result: Evaluation, step: int) -> None:
        """The validation's numbers."""
        values = {
            "eval/valid_nll": result.nll,
            "eval/valid_nll_stderr": result.nll_stderr,
            "eval/valid_neg_elbo": result.neg_elbo,
            "eval/valid_importance_ess": result.ess,
        }
        lower, upper = result.log_z_prior_lower, result.log_z_prior_upper
        if result.log_z_prior is not None and lower is not None and upper is not None:
            values["prior/log_z"] = result.log_z_prior
            values["prior/log_z_gap"] = upper - lower
        self.scalars(values, step)

    def details(self, model: Wiring, population: Population, step: int) -> None:
        """The prior's parameters and spectrum; pictures of samples and reconstructions.

        A task without a prior has no samples, and its reconstructions are completions.

        Args:
          population: the training's samples of the prior.
        """
        histograms: dict[str, Any] = {}
        if model.has_prior:
            shown = model.prior.encode(model.prior_machine())
            shown.pop("edges", None)
            histograms = {f"prior/{name}": value for name, value in shown.items()}
            if "w" in shown and shown["w"].shape.rank == 2:
                spectrum = tf.linalg.svd(shown["w"], compute_uv=False)
                histograms["prior/spectrum"] = spectrum
                self.scalars({"prior/largest_singular_value": tf.reduce_max(spectrum)}, step)
        tables = self._tables(model, population) if self._dataset.is_pictorial else {}
        with self._writing(), self._writer.as_default(step=step):
            for name, value in histograms.items():
                tf.summary.histogram(name, value, description=description(name))
            for name, table in tables.items():
                picture = pictures.with_channels(table)[None]
                tf.summary.image(name, picture, description=description(name))

    def _tables(self, model: Wiring, population: Population) -> dict[str, np.ndarray]:
        shape, tables = self._dataset.image_shape, {}
        if model.has_prior:
            samples = model.likelihood.mean(model.decode(tf.concat(population.state, -1)[:_IMAGES]))
            tables["samples"] = pictures.grid(samples.numpy(), shape, _COLUMNS)
        if len(self._images):
            x = tf.constant(self._images)
            self._reconstruct_fn = self._reconstruct_fn or tf.function(
                lambda: generation.reconstruct(model, x, self._seed), autograph=False
            )
            made = model.join(self._images, self._reconstruct_fn().numpy())
            tables["reconstructions"] = pictures.reconstruction_grid(
                self._images, made, shape, _COLUMNS
            )
        return tables

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
