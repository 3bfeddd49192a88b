"""The public model: a discrete VAE of the user's own networks, trained and kept as in Keras."""

from __future__ import annotations

import os
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dvae_tf import generation
from dvae_tf.answers import PRIOR_TEMPERATURES, Answers
from dvae_tf.config import CHOICES
from dvae_tf.evaluation.evaluate import Evaluator
from dvae_tf.evaluation.likelihood import count
from dvae_tf.export import KERAS_FILE, ExportError, export
from dvae_tf.likelihoods import registered
from dvae_tf.model import Wiring
from dvae_tf.training.fit import Fit
from dvae_tf.training.step import FusedAdam, Settings
from sampler import seeds
from sampler.io.errors import reason

_PARTS = ("encoder", "decoder", "likelihood", "posterior", "prior", "condition")


@registered
class DVAE(Answers, Wiring):
    """A discrete VAE with a Boltzmann machine as prior and, by default, as posterior.

      model = dvae_tf.DVAE(encoder, decoder, num_latents=(24, 16))
      model.compile(optimizer=keras.optimizers.Adam(3e-3))
      model.fit(x_train, batch_size=100, epochs=20, validation_data=x_valid)

    The arguments are those of `dvae_tf.model.Wiring`; what a trained model answers is in
    `dvae_tf.answers.Answers`.
    """

    settings = Settings()
    _training: Fit | None = None
    _evaluator: Any = None
    _validation: tuple[int, int, int]

    def compile(
        self,
        optimizer: str | keras.Optimizer = "adam",
        num_samples: int = 1,
        kl_warmup: float = 0,
        relaxation: str = "pwl",
        sharpness: float | None = None,
        bound: str = "importance_weighted",
        iw_gradient: str = "dreg",
        weight_decay: float = 1e-4,
        seed: int = 0,
        valid_samples: int = 100,
        num_temperatures: int = 0,
        prior_temperatures: int = PRIOR_TEMPERATURES,
        jit_compile: bool = True,
    ) -> None:
        """Says how the model is trained and validated.

        Args:
          optimizer: of Keras; a plain Adam's update is done by TensorFlow's fused kernel.
          num_samples: K of the bound.
          kl_warmup: steps over which the weight of the KL rises from 0 to 1. Without a prior: over
            which that of the entropy falls from 1 to 0.05.
          relaxation: of the units, a name of `registry.RELAXATIONS`.
          sharpness: of the relaxation; None: the paper's.
          bound: 'importance_weighted', or 'variational': the mean of K bounds of one sample.
          iw_gradient: 'dreg' or 'iwae', of the former.
          weight_decay: factor of 1/2 ||v||^2 over kernels, batch norms' gammas, prior couplings.
          seed: of everything random in training and validation.
          valid_samples: importance samples per image in a validation.
          num_temperatures: of each posterior's annealing in it; 0: as many as pay.
          prior_temperatures: of the prior's, each way.
          jit_compile: whether XLA compiles the step; turn off for layers that it does not know.

        Raises:
          ValueError: a number or a name that is not accepted.
        """
        given = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        _check_settings(given)
        super().compile(optimizer=given.pop("optimizer"), jit_compile=False)
        _fuse(self.optimizer)
        self.set_relaxation(relaxation, sharpness)
        self._keep("_compiled_with", given)
        self._keep("settings", Settings(**{name: given[name] for name in Settings._fields}))
        self._keep("_validation", (valid_samples, num_temperatures, prior_temperatures))
        for name in ("_training", "_evaluator"):
            self._keep(name, None)

    def _keep(self, name: str, value: Any) -> None:
        """Sets an attribute that Keras is to take no notice of."""
        object.__setattr__(self, name, value)

    def fit(
        self,
        x: Any,
        condition: Any = None,
        batch_size: int = 100,
        epochs: int = 1,
        validation_data: Any = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: str | int = "auto",
        initial_epoch: int = 0,
        validation_freq: int = 1,
    ) -> keras.callbacks.History:
        """Trains the model; a second call goes on from the first.

        Args:
          x: training images [N, *shape], each of which keeps its Markov chains from epoch to
            epoch; or a `tf.data.Dataset` of batches of x, or of (x, index), whose images keep the
            chains of their index and which else start afresh in each step (of a conditional model
            ((x, c), index), or (x, c) alone). A batch smaller than the first is left out.
          condition: of a conditional model, an entry for each image.
          batch_size: of arrays; an epoch's last images that fill no batch are left out of it.
          validation_data: images, or a pair of these and conditions; their NLL is `val_loss`.
          callbacks: of Keras.
          verbose: 0 for silence, 1 for a progress bar, 2 for a line per epoch.
          validation_freq: epochs between validations.

        Returns:
          Keras' history: `loss`, the negative of the training's objective but for log Z of prior
          and posterior, so that its trend alone means something; `val_loss`,
          nats, an NLL by log Z of populations that follow the prior.

        Raises:
          ValueError: before `compile`; images, conditions or batches that can't be used.
        """
        self._check_compiled("fit")
        training = self._training or Fit(self, getattr(self, "_carried", ()))
        training.use(x, condition, batch_size)
        self._keep("_training", training)
        valid = None if validation_data is None else self._validation_data(validation_data)
        return training.run(epochs, valid, callbacks, verbose, initial_epoch, validation_freq)

    def evaluate(
        self, x: Any, condition: Any = None, return_dict: bool = False, verbose: int = 0
    ) -> Any:
        """The NLL of images as a validation has it, nats; as {'loss': NLL} if so asked."""
        self._check_compiled("evaluate")
        pair = x if condition is None else (x, condition)
        loss = self.validate(self._validation_data(pair), bool(verbose))
        return {"loss": loss} if return_dict else loss

    def _validation_data(self, data: Any) -> Any:
        """Checked validation data; probabilities of bits are binarised once."""
        x, condition = data if isinstance(data, (tuple, list)) else (data, None)
        x = self.likelihood.check(x, "validation_data", binarises=True)
        if x.dtype != np.uint8 and type(self.likelihood).__name__ == "Bernoulli":
            x = (np.random.default_rng(0).random(x.shape) < x).astype(np.uint8)
        return self.data(x, condition, "validation_data")

    def validate(self, data: Any, show_progress: bool = False) -> float:
        """The NLL of checked data, nats."""
        return self._evaluator_of(count(data))(
            data, "validation", show_progress, with_doubts=False
        ).nll

    def log_marginal(self, data: Any) -> float:
        """The mean over checked data of log p(x), nats, but for - log Z of the prior."""
        evaluator = self._evaluator_of(count(data))
        return float(np.mean(evaluator.likelihood(data, evaluator.seed).log_marginal))

    def _evaluator_of(self, size: int) -> Evaluator:
        """The validation of so many images; one is kept."""
        if self._evaluator is None or self._evaluator[0] != size:
            samples, betas, prior_betas = self._validation
            evaluator = Evaluator(self, samples, betas, prior_betas, size, self.settings.seed)
            self._keep("_evaluator", (size, evaluator))
        return self._evaluator[1]

    def _check_compiled(self, name: str) -> None:
        if not self.compiled:
            raise ValueError(f"{name}: found a model that is not compiled; accepted: after compile")

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """Reconstructions, the same each time, of images or pairs (x, c), which are not checked.

        So `model(x)` and `model.predict(x)` do what they do in Keras; see `Answers.reconstruct`.
        """
        del training
        data = tf.nest.map_structure(lambda a: tf.cast(a, tf.float32), inputs)
        return generation.reconstruct(self, data, seeds.make_seed(0))

    def save(self, filepath: str | os.PathLike, *args: Any, **how: Any) -> None:
        """As in Keras, but that ~ is the home folder."""
        super().save(os.path.expanduser(filepath), *args, **how)

    def export(
        self,
        directory: str | os.PathLike,
        num_temperatures: int = 10,
        prior_temperatures: int = PRIOR_TEMPERATURES,
        seed: int = 0,
    ) -> None:
        """Writes a SavedModel, as the command line does: see `dvae_tf.export.export`."""
        log_z = self._log_z(prior_temperatures, seeds.as_seed(seed)) if self.has_prior else None
        self.export_with(directory, log_z, num_temperatures)

    def export_with(
        self, directory: str | os.PathLike, log_z_prior: float | None, num_temperatures: int
    ) -> None:
        """As `export`, with log Z of the prior as measured."""
        folder = Path(os.path.expanduser(directory))
        try:  # first, as the SavedModel's own file says that an export is whole
            folder.mkdir(parents=True, exist_ok=True)
            self.save(folder / KERAS_FILE, include_optimizer=False)
        except OSError as error:
            raise ExportError(f"{folder}: could not be written ({reason(error)})") from None
        export(self, folder, log_z_prior, num_temperatures)

    def get_config(self) -> dict[str, Any]:
        """Parts and settings, as Keras saves them."""
        parts = {name: getattr(self, name, None) for name in _PARTS}
        return {
            **{name: keras.saving.serialize_keras_object(part) for name, part in parts.items()},
            "num_latents": list(self.num_latents),
            "image_shape": None if self.image_shape is None else list(self.image_shape),
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> DVAE:
        """The model of `get_config`'s value, with new variables."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in _PARTS
        }
        return cls(**{**config, **parts})

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile`."""
        if not self.compiled:
            return None
        return keras.saving.serialize_keras_object(
            {"optimizer": self.optimizer, **self._compiled_with}
        )

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as `get_compile_config` says."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def save_own_variables(self, store: Any) -> None:
        """Keras' hook: beside the layers' variables, what a training carries from step to step."""
        if self._training is not None:
            for i, value in enumerate(self._training.values()):
                store[f"state_{i}"] = value

    def load_own_variables(self, store: Any) -> None:
        """Keras' hook: a training goes on where it was, at once or when `fit` is next called."""
        values = [np.asarray(store[f"state_{i}"]) for i in range(len(list(store.keys())))]
        if self._training is None:
            self._keep("_carried", values)
        elif values:
            self._training.restore(values)


def _check_settings(given: dict[str, Any]) -> None:
    """Raises ValueError for an argument of `compile` that is not accepted."""
    least = {"num_samples": 1, "valid_samples": 1, "num_temperatures": 0, "prior_temperatures": 2}
    for name, bound in {**least, "kl_warmup": 0, "weight_decay": 0, "seed": 0}.items():
        if not given[name] >= bound:
            raise ValueError(f"{name}: found {given[name]}; accepted: {bound} or more")
    for name in ("bound", "iw_gradient"):
        if given[name] not in CHOICES[name]:
            accepted = ", ".join(CHOICES[name])
            raise ValueError(f"{name}: found {given[name]!r}; accepted: {accepted}")


def _fuse(optimizer: keras.Optimizer) -> None:
    """Lets a plain Adam update by TensorFlow's kernel, which takes a fraction of the time."""
    if type(optimizer) is keras.optimizers.Adam and not optimizer.amsgrad:
        optimizer.update_step = types.MethodType(FusedAdam.update_step, optimizer)
