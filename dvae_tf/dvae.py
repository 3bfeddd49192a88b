"""The public model: a discrete VAE of the user's own networks, trained and kept as in Keras."""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dvae_tf import generation
from dvae_tf.answers import PRIOR_TEMPERATURES, Answers
from dvae_tf.config import CHOICES
from dvae_tf.evaluation.evaluate import Evaluator, prior_log_z
from dvae_tf.export import KERAS_FILE, ExportError, export
from dvae_tf.likelihoods import registered
from dvae_tf.model import Wiring
from dvae_tf.training.fit import Fit, whole_of
from dvae_tf.training.step import FusedAdam, Settings
from sampler import seeds
from sampler.io.errors import expand, expect, expect_number, expect_whole, reason

TEMPERATURES = "num_temperatures", "prior_temperatures"
"""Arguments of evaluations and exports."""

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
    _validation: dict[str, int]

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
        **others: Any,
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
          others: none; Keras' other arguments (the loss is the model's own) are refused by name.

        Raises:
          ValueError: a number or a name that is not accepted.
        """
        given = {k: v for k, v in locals().items() if k not in ("self", "__class__", "others")}
        _refuse(self.compile, others)
        _check_settings(given)
        super().compile(optimizer=_optimizer(given.pop("optimizer")), jit_compile=False)
        _fuse(self.optimizer)
        self.set_relaxation(relaxation, sharpness)
        self._keep("_compiled_with", given)
        self._keep("settings", Settings(**{name: given[name] for name in Settings._fields}))
        how = {"num_samples": valid_samples, **{name: given[name] for name in TEMPERATURES}}
        self._keep("_validation", how)
        self._keep("_training", None)

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
        callbacks: Sequence[keras.callbacks.Callback] | keras.callbacks.Callback | None = None,
        verbose: str | int = "auto",
        initial_epoch: int = 0,
        validation_freq: int = 1,
        validation_split: float = 0.0,
        steps_per_epoch: int | None = None,
        **others: Any,
    ) -> keras.callbacks.History:
        """Trains the model; a second call goes on from the first.

        Args:
          x: training images [N, *shape], each of which keeps its Markov chains from epoch to
            epoch; or a `tf.data.Dataset` of batches of x, or of (x, index), whose images keep the
            chains of their index and which else start afresh in each step (of a conditional model
            ((x, c), index), or (x, c) alone). A batch smaller than the first is left out.
          condition: of a conditional model, an entry for each image.
          batch_size: of arrays; an epoch's last images that fill no batch are left out of it.
          validation_data: images, a pair of these and conditions, or a Dataset as of x; their NLL
            is `val_loss`.
          callbacks: of Keras.
          verbose: 0 for silence, 1 for a progress bar, 2 for a line per epoch.
          validation_freq: epochs between validations.
          validation_split: fraction of the arrays, their end, that is validated on.
          steps_per_epoch: where an epoch is not all images.
          others: none; Keras' other arguments are refused by name.

        Returns:
          Keras' history: `loss`, the negative of the training's objective but for log Z of prior
          and posterior, so that its trend alone means something; `val_loss`,
          nats, an NLL by log Z of populations that follow the prior.

        Raises:
          ValueError: before `compile`; images, conditions or batches that can't be used.
        """
        _refuse(self.fit, others)
        self._check_compiled("fit")
        for name, found in (("batch_size", batch_size), ("epochs", epochs)):
            expect_whole(found, name, 1)
        expect_whole(initial_epoch, "initial_epoch", 0)
        expect_whole(validation_freq, "validation_freq", 1)
        if steps_per_epoch is not None:
            expect_whole(steps_per_epoch, "steps_per_epoch", 1)
        if validation_split:
            (x, condition), validation_data = self._split(x, condition, validation_split)
        levels = "auto", 0, 1, 2
        expect(verbose in levels, "verbose", repr(verbose), ", ".join(map(repr, levels)))
        alone = isinstance(callbacks, keras.callbacks.Callback)
        callbacks = [callbacks] if alone else callbacks or []
        known = [isinstance(c, keras.callbacks.Callback) for c in tf.nest.flatten(callbacks)]
        expect(all(known), "callbacks", repr(callbacks), "a list of keras.callbacks")
        valid = None if validation_data is None else self._validation_data(validation_data)
        training = self._training or Fit(self, getattr(self, "_carried", ()))
        training.use(x, condition, batch_size, steps_per_epoch)
        self._keep("_training", training)
        return training.run(epochs, valid, callbacks, verbose, initial_epoch, validation_freq)

    def _split(self, x: Any, condition: Any, fraction: float) -> tuple[tuple, tuple]:
        """Training and validation data, pairs of images and conditions (or None)."""
        is_fraction = isinstance(fraction, Real) and 0 < fraction < 1
        expect(is_fraction, "validation_split", repr(fraction), "a fraction between 0 and 1")
        is_array = not isinstance(x, tf.data.Dataset)
        expect(is_array, "validation_split", "it beside a Dataset", "it beside arrays")
        arrays = self.likelihood.check(x, binarises=True), condition
        first = round(len(arrays[0]) * (1 - fraction))
        return tuple(
            tuple(None if a is None else a[part] for a in arrays)
            for part in (slice(first), slice(first, None))
        )  # type: ignore[return-value]

    def evaluate(
        self,
        x: Any,
        condition: Any = None,
        return_dict: bool = False,
        verbose: int = 0,
        **others: Any,
    ) -> Any:
        """The NLL of images as a validation has it, nats; as {'loss': NLL} if so asked."""
        _refuse(self.evaluate, others)
        self._check_compiled("evaluate")
        pair = x if condition is None else (x, condition)
        loss = self.validate(self._validation_data(pair, "x"), bool(verbose))
        return {"loss": loss} if return_dict else loss

    def _validation_data(self, data: Any, name: str = "validation_data") -> Any:
        """Checked validation data; probabilities of bits are binarised once."""
        if isinstance(data, tf.data.Dataset):
            return self._validation_data(whole_of(self, data, name), name)
        pair = data if isinstance(data, tuple) else (data, None)
        expect(len(pair) == 2, name, f"a tuple of {len(pair)}", "images, or a pair")
        x, condition = pair
        x = self.likelihood.check(x, name, binarises=True)
        if x.dtype != np.uint8 and type(self.likelihood).__name__ == "Bernoulli":
            x = (np.random.default_rng(0).random(x.shape) < x).astype(np.uint8)
        return self.data(x, condition, name)

    def validate(self, data: Any, show_progress: bool = False) -> float:
        """The NLL of checked data, nats."""
        return self.validator(data)(data, "validation", show_progress, with_doubts=False).nll

    def validator(self, data: Any) -> Evaluator:
        """What evaluates checked data as `compile` has said."""
        return self._evaluator(data, seed=self.settings.seed, **self._validation)

    def _check_compiled(self, name: str) -> None:
        if not self.compiled:
            raise ValueError(f"{name}: found a model that is not compiled; accepted: after compile")

    def train_on_batch(self, *_: Any, **__: Any) -> None:
        """Refused with a ValueError: training carries chains, which `fit` keeps."""
        raise ValueError("train_on_batch: found a DVAE; accepted: fit, and evaluate")

    test_on_batch = train_step = test_step = train_on_batch

    def predict(self, x: Any, *arguments: Any, **keywords: Any) -> Any:
        """As in Keras: reconstructions, the same each time, of images that are checked first."""
        images = x[0] if isinstance(x, (tuple, list)) and self.takes_condition else x
        if isinstance(images, (np.ndarray, list, tf.Tensor)):
            self.likelihood.check(images)
        return super().predict(x, *arguments, **keywords)

    def __call__(self, inputs: Any, *arguments: Any, **keywords: Any) -> Any:
        """`call`, for images of the right shape; ValueError, of one line, for others."""
        self.check_created()
        first, *others = tf.nest.flatten(inputs)
        if self.takes_condition:
            expect(len(others) == 1, "inputs", f"{1 + len(others)} of them", "(x, condition)")
        found = tuple(first.shape[1:]) if hasattr(first, "shape") else type(first).__name__
        expect(found == self.image_shape, "inputs", f"shape {found}", f"{self.image_shape}")
        return super().__call__(inputs, *arguments, **keywords)

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """Reconstructions, the same each time, of images or pairs (x, c), which are not checked.

        So `model(x)` and `model.predict(x)` do what they do in Keras; see `Answers.reconstruct`.
        """
        del training
        data = tf.nest.map_structure(lambda a: tf.cast(a, tf.float32), inputs)
        return generation.reconstruct(self, data, seeds.make_seed(0))

    def save(self, filepath: str | os.PathLike, *args: Any, **how: Any) -> None:
        """As in Keras, but that ~ is the home folder, and that .keras is the only format."""
        path = str(expand("filepath", filepath))
        expect(path.endswith(".keras"), "filepath", repr(path), "a name that ends in .keras")
        super().save(path, *args, **how)

    def export(
        self,
        directory: str | os.PathLike,
        num_temperatures: int = 10,
        prior_temperatures: int = PRIOR_TEMPERATURES,
        seed: int = 0,
    ) -> None:
        """Writes a SavedModel, as the command line does: see `dvae_tf.export.export`."""
        self.check_created()
        expand("directory", directory)
        for name, found in zip(TEMPERATURES, (num_temperatures, prior_temperatures), strict=True):
            expect_whole(found, name, 2)
        log_z = None
        if self.has_prior:
            bracket = prior_log_z(self, prior_temperatures, seeds.as_seed(seed), False)
            log_z = float(bracket.forward.log_z)
        self.export_with(directory, log_z, num_temperatures)

    def export_with(
        self, directory: str | os.PathLike, log_z_prior: float | None, num_temperatures: int
    ) -> None:
        """As `export`, with log Z of the prior as measured."""
        folder = expand("directory", directory)
        try:  # first, as the SavedModel's own file says that an export is whole
            folder.mkdir(parents=True, exist_ok=True)
            self.save(folder / KERAS_FILE, include_optimizer=False)
        except OSError as error:
            text = f"{folder}: could not be written ({reason(error)})"
            raise ExportError(f"{text}; accepted: a folder, there or new") from None
        export(self, folder, log_z_prior, num_temperatures)

    def get_config(self) -> dict[str, Any]:
        """Parts and settings, as Keras saves them."""
        parts = {name: getattr(self, name, None) for name in _PARTS}
        return {
            **{name: keras.saving.serialize_keras_object(part) for name, part in parts.items()},
            "num_latents": list(self.num_latents),
            "image_shape": None if self.image_shape is None else list(self.image_shape),
            "offset": self.has_offset,
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
        return cls(**{"offset": False, **config, **parts})

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
        if self.offset is not None:
            store["offset"] = self.offset.numpy()
        if self._training is not None:
            for i, value in enumerate(self._training.values()):
                store[f"state_{i}"] = value

    def load_own_variables(self, store: Any) -> None:
        """Keras' hook: a training goes on where it was, at once or when `fit` is next called."""
        names = [name for name in store.keys() if name.startswith("state_")]  # noqa: SIM118
        values = [np.asarray(store[f"state_{i}"]) for i in range(len(names))]
        if self.offset is not None:
            self.offset.assign(store["offset"])
        if self._training is None:
            self._keep("_carried", values)
        elif values:
            self._training.restore(values)


def _optimizer(optimizer: Any) -> keras.Optimizer:
    """Of its name or configuration too; ValueError for what Keras has not."""
    try:
        found = keras.optimizers.get(optimizer)
    except Exception:  # of several types
        found = None
    expect(found, "optimizer", repr(optimizer), "one of keras.optimizers, or its name")
    scales = isinstance(found, keras.optimizers.LossScaleOptimizer)
    expect(not scales, "optimizer", "a LossScaleOptimizer", "its inner one: all is in 32 bits")
    return found


def _refuse(method: Callable, others: dict[str, Any]) -> None:
    """Raises ValueError for arguments that Keras has and a `DVAE` has not."""
    known = [name for name in inspect.signature(method).parameters if name != "others"]
    expect(not others, method.__name__, ", ".join(others), ", ".join(known))


def _check_settings(given: dict[str, Any]) -> None:
    """Raises ValueError for an argument of `compile` that is not accepted."""
    least = {"num_samples": 1, "valid_samples": 1, "num_temperatures": 0, "prior_temperatures": 2}
    for name, bound in {**least, "seed": 0}.items():
        expect_whole(given[name], name, bound)
    for name in ("kl_warmup", "weight_decay"):
        expect_number(given[name], name)
    for name in ("bound", "iw_gradient"):
        known = given[name] in CHOICES[name]
        expect(known, name, repr(given[name]), ", ".join(CHOICES[name]))
    is_known = any(given["jit_compile"] is known for known in (True, False)) or (
        given["jit_compile"] == "auto"
    )
    expect(is_known, "jit_compile", repr(given["jit_compile"]), "True, False or 'auto'")


def _fuse(optimizer: keras.Optimizer) -> None:
    """Lets a plain Adam update by TensorFlow's kernel, which takes a fraction of the time."""
    if type(optimizer) is keras.optimizers.Adam and not optimizer.amsgrad:
        optimizer.update_step = types.MethodType(FusedAdam.update_step, optimizer)
