"""Keras' `fit` over the project's own step: epochs, callbacks, history."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dvae_tf.evaluation.likelihood import count
from dvae_tf.training.distribution import DistributedStep, Distribution, Shared, batch, new_step
from dvae_tf.training.following import PriorFollower
from dvae_tf.training.state import State
from dvae_tf.training.step import TrainStep
from sampler.io.errors import expect
from sampler.io.memory import available

_COPIES = 12
"""Times the chains' bytes, which making them takes: with random numbers, and room to grow."""

SEEN_FOR_OFFSET = 10_000
"""Images of a pipeline, its first, of which a model takes the mean."""


class Fit:
    """A model's training: its states, its step and the images that they serve.

    Args:
      model: a compiled `DVAE`.
      carried: of an earlier training, what `values` gave; taken up where the shapes are equal.
    """

    def __init__(self, model: Any, carried: Sequence[np.ndarray] = ()):
        self.model, self.carried = model, carried
        self.states: list[State] = []
        self.follower: PriorFollower | None = None
        self.step_fn: TrainStep | DistributedStep | None = None
        self.pipeline: tf.data.Dataset | None = None
        self.steps: int | None = None
        self._served: tuple[Any, int] | None = None
        self._elements: Iterator | None = None
        self.is_partial = False

    def use(
        self, x: Any, condition: Any, batch_size: int, steps_per_epoch: int | None = None
    ) -> None:
        """Takes up images, or a pipeline of batches; see `DVAE.fit`.

        The states and the step stay if the images are the same.
        """
        if isinstance(x, tf.data.Dataset):
            if condition is not None:
                raise ValueError("condition: found one beside a Dataset; accepted: one inside it")
            self._use_pipeline(x, steps_per_epoch)
            return
        data = self.model.data(x, condition, binarises=True)
        size, self.pipeline = count(data), None
        expect(batch_size <= size, "batch_size", batch_size, f"1 to the {size} images")
        self.batch_size, self.steps = batch_size, steps_per_epoch or size // batch_size
        if (
            self._served is None
            or self._served[1] != batch_size
            or not _equal(self._served[0], data)
        ):
            self._use_images(data)
            self._served = data, batch_size

    def _use_images(self, data: Any) -> None:
        model, strategy = self.model, self.model.distribute_strategy
        if model.wants_offset:
            model.set_offset(data)
        chains = model.prior.num_chains if model.has_prior else strategy.num_replicas_in_sync
        shared = Shared("the model's scope", self.batch_size, chains)
        self.distribution = Distribution(shared, strategy)
        alone = self.distribution.num_replicas == 1
        if not alone and model.has_prior and model.prior.handed_in is not None:
            raise ValueError("sampler: found one handed in; accepted with several replicas: a name")
        self.step_fn, states = new_step(self.distribution, model, data)
        self._take_up(states)

    def _use_pipeline(self, pipeline: tf.data.Dataset, steps_per_epoch: int | None) -> None:
        self.pipeline, self._elements = pipeline, None
        data, indices = next(batches(self.model, pipeline, "x"))
        self.batch_size = count(data)
        cardinality = int(pipeline.cardinality())
        self.steps, self.is_partial = steps_per_epoch, steps_per_epoch is not None
        if steps_per_epoch is None:
            endless = cardinality == tf.data.INFINITE_CARDINALITY
            expect(not endless, "steps_per_epoch", "none", "a number, as x is an endless Dataset")
            self.steps = cardinality if cardinality > 0 else None
        if isinstance(self.step_fn, TrainStep) and self.step_fn.data is None:
            return
        model, settings, self._served = self.model, self.model.settings, None
        if model.distribute_strategy.num_replicas_in_sync > 1:
            raise ValueError("x: found a Dataset; accepted with several replicas: arrays")
        if model.wants_offset:
            first = pipeline.take(max(1, SEEN_FOR_OFFSET // self.batch_size))
            model.set_offset(model.data(*whole_of(model, first, "x"), binarises=True))
        size = 1 if indices is None else int(np.max(indices)) + 1
        self._check_room(size)
        state = State(model, size, settings.num_samples, settings.seed, growing=True)
        self.step_fn = TrainStep(model, state, None, model.optimizer, settings)
        self._take_up([state])

    def _check_room(self, num_images: int) -> None:
        """Raises ValueError for an index of a pipeline that is none: chains are kept for each."""
        posterior = self.model.posterior
        width = posterior.chain_width * posterior.chain_dtype.size
        size = _COPIES * num_images * self.model.settings.num_samples * width
        found = f"index {num_images - 1}, whose chains would take {size / 1e9:.1f} GB"
        fits = size < (available() or math.inf)
        expect(fits, "x", found, "the images' numbers, from 0, as chains are kept for each")

    def _reserve(self, num_images: int) -> None:
        """Room for the chains of so many images; asked at each step, looked into where it grows."""
        if num_images > int(tf.shape(self.states[0].chains)[0]):
            self._check_room(num_images)
            self.states[0].reserve(num_images)

    def _take_up(self, states: list[State]) -> None:
        """New states; of those before, or of an earlier training, what fits goes on."""
        values = self.values() if self.states else self.carried
        self.states, self.carried = states, ()
        if self.model.has_prior and self.follower is None:
            self.follower = PriorFollower(self.model.prior, self.model.settings.seed)
        if len(values):
            self.restore(values)

    def _variables(self) -> list[tf.Variable]:
        found = [v for state in self.states for v in (state.step, *state.prior, state.chains)]
        return [*found, *(self.follower.values if self.follower else [])]

    def values(self) -> list[np.ndarray]:
        """What the training carries from step to step."""
        return [v.numpy() for v in self._variables()]

    def restore(self, values: Sequence[np.ndarray]) -> None:
        """Takes up what `values` gave; chains only where there are as many images."""
        variables = self._variables()
        if len(values) != len(variables):
            return
        for variable, value in zip(variables, values, strict=True):
            if variable.shape.is_compatible_with(value.shape):
                variable.assign(value)

    def run(
        self,
        epochs: int,
        valid: Any,
        callbacks: Sequence[keras.callbacks.Callback],
        verbose: str | int,
        initial_epoch: int,
        validation_freq: int,
    ) -> keras.callbacks.History:
        """Keras' loop over epochs; see `DVAE.fit`."""
        model, logs = self.model, {}
        every = keras.callbacks.CallbackList(
            list(callbacks),
            add_history=True,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=self.steps,
            model=model,
        )
        model.stop_training = False
        every.on_train_begin()
        first = model._initial_epoch or initial_epoch
        done = 0 if model._initial_epoch is None else self._done_of(first)
        for epoch in range(first, epochs):
            every.on_epoch_begin(epoch)
            logs = self._epoch(every, done if epoch == first else 0)
            if valid is not None and (epoch + 1) % validation_freq == 0:
                every.on_test_begin()
                logs["val_loss"] = self._validate(valid)
                every.on_test_end({"loss": logs["val_loss"]})
            every.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        model.optimizer.finalize_variable_values(model.trainable_variables)  # moving averages
        every.on_train_end(logs)
        model._initial_epoch = None
        return model.history

    def _done_of(self, epoch: int) -> int:
        """Steps of an epoch that a backup made in its middle has behind it."""
        steps = self.steps or 0
        done = int(self.states[0].step) - epoch * steps
        return done if self.pipeline is None and 0 < done < steps else 0

    def _epoch(self, every: keras.callbacks.CallbackList, done: int) -> dict[str, float]:
        """The steps of an epoch but for those done; means of what is shown of them."""
        seen: list[dict[str, float]] = []
        for number, step in enumerate(self._steps(done), done):
            every.on_train_batch_begin(number)
            info = step()
            objective, log_likelihood = info["train/objective"], info["train/log_likelihood"]
            logs = {"loss": -float(objective), "log_likelihood": float(log_likelihood)}
            if "prior/effective_beta" in info:
                logs["effective_beta"] = float(info["prior/effective_beta"])
            seen.append(logs)
            every.on_train_batch_end(number, logs)
            if self.model.stop_training:
                break
        expect(seen, "x", "no whole batch", f"batches of {self.batch_size} images, as the first")
        columns = {name: np.array([logs[name] for logs in seen]) for name in seen[0]}
        if "effective_beta" in columns:  # a prior of no couplings has none
            beta = columns.pop("effective_beta")
            columns |= {"effective_beta": beta[~np.isnan(beta)]} if not np.isnan(beta).all() else {}
        return {name: float(np.mean(values)) for name, values in columns.items()}

    def _validate(self, data: Any) -> float:
        """The NLL of checked data, by the follower's log Z while that is to be believed.

        Not a number where a parameter is none.
        """
        if not all(np.isfinite(values).all() for values in self.model.get_weights()):
            return math.nan
        if self.follower is None:
            return self.model.validate(data)
        found = self.follower.follow(int(self.states[0].step))
        if found.warnings():
            return self.model.validate(data)
        return found.log_z - float(np.mean(self.model.validator(data).log_marginal(data)))

    def _steps(self, done: int) -> Iterator[Callable[[], dict[str, tf.Tensor]]]:
        """An epoch's steps that are not done, each a function of no arguments that does it."""
        step_fn: Any = self.step_fn
        plain = tf.constant(False)
        if self.pipeline is None:
            assert self._served is not None
            size, seed = count(self._served[0]), self.model.settings.seed
            for _ in range(done, self.steps or 0):
                number = int(self.states[0].step)
                rows = batch(self.distribution, size, self.batch_size, seed, number)
                yield functools.partial(step_fn, rows, plain)
            return
        for data, places in self._epoch_of_pipeline():
            if count(data) < self.batch_size:
                continue
            if places is not None:
                self._reserve(int(np.max(places)) + 1)
                places = tf.constant(places, tf.int32)
            data = tf.nest.map_structure(tf.constant, data)
            yield functools.partial(step_fn.feed, data, places, plain)

    def _epoch_of_pipeline(self) -> Iterator[tuple[Any, Any]]:
        """The batches of an epoch: all, or as many as were asked for, those that come next."""
        if not self.is_partial:
            yield from batches(self.model, self.pipeline, "x")
            return
        for _ in range(self.steps or 0):
            found = next(self._elements, None) if self._elements else None
            if found is None:  # from its beginning
                self._elements = batches(self.model, self.pipeline, "x")
                found = next(self._elements)
            yield found


def batches(model: Any, pipeline: tf.data.Dataset, name: str) -> Iterator[tuple[Any, Any]]:
    """Checked data, and indices or None, of each batch; ValueError if there is none."""
    element = None
    for element in pipeline:
        yield _parts(model, element, name)
    expect(element is not None, name, "an empty Dataset", "batches of images")


def whole_of(model: Any, pipeline: tf.data.Dataset, name: str) -> tuple[Any, Any]:
    """All images of a pipeline, and their conditions or None."""
    endless = int(pipeline.cardinality()) == tf.data.INFINITE_CARDINALITY
    expect(not endless, name, "an endless Dataset", "one that ends, as after take")
    found = [data for data, _ in batches(model, pipeline, name)]
    data = tf.nest.map_structure(lambda *a: np.concatenate(a), *found)
    return data if isinstance(data, tuple) else (data, None)


def _parts(model: Any, element: Any, name: str) -> tuple[Any, Any]:
    """A batch's checked data, and its indices if it has any."""
    arrays = tf.nest.map_structure(np.asarray, element)
    parts = list(arrays) if isinstance(arrays, tuple) else [arrays]
    if isinstance(parts[0], tuple):
        parts = [*parts[0], *parts[1:]]
    condition = parts.pop(1) if model.takes_condition and len(parts) > 1 else None
    accepted = "x, or (x, index), x being (images, condition) in a conditional model"
    expect(len(parts) <= 2, name, f"a Dataset of {len(parts)} parts", accepted)
    data = model.data(parts[0], condition, name, binarises=True)
    if len(parts) == 1:
        return data, None
    places, size = parts[1], count(data)
    fits = places.dtype.kind in "iu" and places.shape == (size,) and len({*places}) == size
    accepted = f"the images' numbers, {size} different integers, and no labels"
    expect(fits and places.min() >= 0, name, "a Dataset with other indices", accepted)
    return data, places


def _equal(ours: Any, theirs: Any) -> bool:
    """Whether these are the same images, or pairs of these and conditions."""
    pairs = list(zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=False))
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
