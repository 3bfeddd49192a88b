"""Keras' `fit` over the project's own step: epochs, callbacks, history."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dvae_tf.evaluation.likelihood import count
from dvae_tf.training.distribution import DistributedStep, Distribution, Shared, batch, new_steps
from dvae_tf.training.following import PriorFollower
from dvae_tf.training.state import State
from dvae_tf.training.step import TrainStep


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

    def use(self, x: Any, condition: Any, batch_size: int) -> None:
        """Takes up images, or a pipeline of batches; see `DVAE.fit`.

        The states and the step stay if the images are the same.
        """
        if isinstance(x, tf.data.Dataset):
            if condition is not None:
                raise ValueError("condition: found one beside a Dataset; accepted: one inside it")
            self._use_pipeline(x)
            return
        data = self.model.data(x, condition, binarises=True)
        size, self.pipeline = count(data), None
        if not 0 < batch_size <= size:
            raise ValueError(f"batch_size: found {batch_size}; accepted: 1 to the {size} images")
        self.batch_size, self.steps = batch_size, size // batch_size
        if (
            self._served is None
            or self._served[1] != batch_size
            or not _equal(self._served[0], data)
        ):
            self._use_images(data)
            self._served = data, batch_size

    def _use_images(self, data: Any) -> None:
        model, strategy = self.model, self.model.distribute_strategy
        chains = model.prior.num_chains if model.has_prior else strategy.num_replicas_in_sync
        shared = Shared("the model's scope", self.batch_size, chains)
        self.distribution = Distribution(shared, strategy)
        with strategy.scope():
            model.optimizer.build(model.trainable_variables)
        steps = new_steps(self.distribution, model, data)
        alone = self.distribution.num_replicas == 1
        if not alone and model.has_prior and model.prior.handed_in is not None:
            raise ValueError("sampler: found one handed in; accepted with several replicas: a name")
        self.step_fn = steps[0] if alone else DistributedStep(self.distribution, steps)
        self._take_up([step.state for step in steps])

    def _use_pipeline(self, pipeline: tf.data.Dataset) -> None:
        self.pipeline = pipeline
        first = next(iter(pipeline), None)
        if first is None:
            raise ValueError("x: found an empty Dataset; accepted: batches of images")
        data, indices = self._parts(first)
        self.batch_size = count(data)
        cardinality = int(pipeline.cardinality())
        self.steps = cardinality if cardinality > 0 else None
        if isinstance(self.step_fn, TrainStep) and self.step_fn.data is None:
            return
        model, settings, self._served = self.model, self.model.settings, None
        if model.distribute_strategy.num_replicas_in_sync > 1:
            raise ValueError("x: found a Dataset; accepted with several replicas: arrays")
        size = 1 if indices is None else int(np.max(indices)) + 1
        state = State(model, size, settings.num_samples, settings.seed, growing=True)
        self.step_fn = TrainStep(model, state, None, model.optimizer, settings)
        self._take_up([state])

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
        for epoch in range(model._initial_epoch or initial_epoch, epochs):
            every.on_epoch_begin(epoch)
            logs = self._epoch(every)
            if valid is not None and (epoch + 1) % validation_freq == 0:
                logs["val_loss"] = self._validate(valid)
            every.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        every.on_train_end(logs)
        model._initial_epoch = None
        return model.history

    def _epoch(self, every: keras.callbacks.CallbackList) -> dict[str, float]:
        """The steps of an epoch; means of what is shown of them."""
        seen: list[dict[str, float]] = []
        for number, step in enumerate(self._steps()):
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
        columns = {name: np.array([logs[name] for logs in seen]) for name in seen[0]}
        # a prior of no couplings has no temperature
        known = {name: values[~np.isnan(values)] for name, values in columns.items()}
        return {name: float(np.mean(values)) for name, values in known.items() if len(values)}

    def _validate(self, data: Any) -> float:
        """The NLL of checked data, by the follower's log Z while that is to be believed."""
        if self.follower is None:
            return self.model.validate(data)
        found = self.follower.follow(int(self.states[0].step))
        if found.warnings():
            return self.model.validate(data)
        return found.log_z - self.model.log_marginal(data)

    def _steps(self) -> Iterator[Callable[[], dict[str, tf.Tensor]]]:
        """An epoch's steps, each a function of no arguments that does it."""
        step_fn: Any = self.step_fn
        plain = tf.constant(False)
        if self.pipeline is None:
            assert self._served is not None
            size, seed = count(self._served[0]), self.model.settings.seed
            for _ in range(size // self.batch_size):
                number = int(self.states[0].step)
                rows = batch(self.distribution, size, self.batch_size, seed, number)
                indices = rows[0] if self.distribution.num_replicas == 1 else np.stack(rows)
                yield functools.partial(step_fn, tf.constant(indices), plain)
            return
        for element in self.pipeline:
            data, places = self._parts(element)
            if count(data) < self.batch_size:
                continue
            if places is not None:
                self.states[0].reserve(int(np.max(places)) + 1)
                places = tf.constant(places, tf.int32)
            data = tf.nest.map_structure(tf.constant, data)
            yield functools.partial(step_fn.feed, data, places, plain)

    def _parts(self, element: Any) -> tuple[Any, Any]:
        """A batch's checked data, and its indices if it has any."""
        arrays = tf.nest.map_structure(np.asarray, element)
        parts = list(arrays) if isinstance(arrays, tuple) else [arrays]
        if isinstance(parts[0], tuple):
            parts = [*parts[0], *parts[1:]]
        condition = parts.pop(1) if self.model.takes_condition and len(parts) > 1 else None
        if len(parts) > 2:
            raise ValueError(
                f"x: found a Dataset of {len(parts)} parts; accepted: x, or (x, index), x being "
                "(images, condition) in a conditional model"
            )
        data = self.model.data(parts[0], condition, binarises=True)
        return data, parts[1] if len(parts) == 2 else None


def _equal(ours: Any, theirs: Any) -> bool:
    """Whether these are the same images, or pairs of these and conditions."""
    pairs = list(zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=False))
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
