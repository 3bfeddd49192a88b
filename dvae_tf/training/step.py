"""One training step: prior update, objective, gradient, Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

from dvae_tf.config import Config
from dvae_tf.model import DVAE
from dvae_tf.networks import LOGITS_SCALE
from dvae_tf.objectives.terms import Terms
from dvae_tf.registry import PRIOR_SAMPLERS
from dvae_tf.training.state import State, replica_seed
from sampler import seeds
from sampler.populations.population import Population

SLOW_START = 0.02
"""Fraction of a run, its first, that goes at a tenth of the base rate, as in the paper."""


def learning_rate(config: Config) -> LearningRateSchedule:
    """The rate over a run."""
    return SCHEDULES[config.schedule](config)


def paper_schedule(config: Config) -> LearningRateSchedule:
    """The paper's schedule: the base rate, times 1/10, 1, 1/3, 1/10, 1/33 over the run."""
    boundaries = [round(config.num_steps * part) for part in (SLOW_START, 0.6, 0.75, 0.95)]
    rates = [config.learning_rate * factor for factor in (0.1, 1, 1 / 3, 0.1, 1 / 33)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


class LinearSchedule(LearningRateSchedule):
    """The base rate to `constant_rate` of a run, but for the slow start, then linearly to 0."""

    def __init__(self, config: Config):
        self.config = config

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of a step, from 0."""
        config = self.config
        left = config.num_steps - tf.cast(step, tf.float32)
        # with a constant rate to the end there is one step left to fall over
        falling = left / max((1 - config.constant_rate) * config.num_steps, 1.0)
        start = tf.where(left > (1 - SLOW_START) * config.num_steps, 0.1, 1.0)
        return config.learning_rate * start * tf.minimum(falling, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Keras' arguments of a copy."""
        return {"config": self.config}


SCHEDULES: dict[str, Callable[[Config], LearningRateSchedule]] = {
    "paper": paper_schedule,
    "linear": LinearSchedule,
}


class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam by TensorFlow's kernel for it, which goes over memory once (outside XLA).

    Keras composes the update of operations that read and write each parameter, its gradient and its
    moments several times over: a tenth of a step.
    """

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Updates a variable and its moments."""
        step = tf.cast(self.iterations + 1, variable.dtype)
        index = self._get_variable_index(variable)
        handles = (v.value.handle for v in (self._momentums[index], self._velocities[index]))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            **dict(zip("mv", handles, strict=True)),
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def new_optimizer(config: Config, model: DVAE) -> FusedAdam:
    """Adam over a model's variables."""
    optimizer = FusedAdam(learning_rate(config), epsilon=config.adam_epsilon)
    optimizer.build(model.trainable_variables)
    return optimizer


class TrainStep:
    """A step over (model, optimizer, state), compiled as one where it is called.

    Args:
      images: the training images, [N, D]; uint8 in {0, 1}, or float32 probabilities, of which each
        batch is binarised anew.
      optimizer: default: a new one.
      replica: the number of the replica whose state and images these are.
    """

    def __init__(
        self,
        config: Config,
        model: DVAE,
        state: State,
        images: tf.Tensor,
        optimizer: FusedAdam | None = None,
        replica: int = 0,
    ):
        self.config, self.model, self.state = config, model, state
        self.images = images
        self.optimizer = optimizer or new_optimizer(config, model)
        self.seed = seeds.fold_in(replica_seed(config.seed, replica), 1)
        penalties = model.prior.penalties
        self.decay = [
            config.weight_decay * _penalty(v, penalties) for v in model.trainable_variables
        ]

    @tf.function(autograph=False)
    def __call__(self, indices: tf.Tensor, detailed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Trains on the images `indices` [B]; returns scalars by name, and `logits` [B, D].

        Args:
          indices: int32, [B].
          detailed: whether the costlier scalars (gradient norm, mean |W|) are wanted; 0 otherwise.
        """
        return self.advance(indices, detailed, self._compiled)

    def advance(
        self, indices: tf.Tensor, detailed: tf.Tensor, gradients_fn: Callable[..., tuple]
    ) -> dict[str, tf.Tensor]:
        """The step, with `gradients` or a form of it."""
        x, chains = tf.gather(self.images, indices), tf.gather(self.state.chains, indices)
        gradients, chains, info = gradients_fn(x, chains, detailed)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        self.state.chains.scatter_update(tf.IndexedSlices(chains, indices))
        return info

    @tf.function(autograph=False, jit_compile=True)
    def _compiled(self, x: tf.Tensor, chains: tf.Tensor, detailed: tf.Tensor) -> tuple:
        return self.gradients(self.update_prior, x, chains, detailed)

    def gradients(
        self,
        update_prior: Callable[[tf.Tensor], tuple],
        x: tf.Tensor,
        chains: tf.Tensor,
        detailed: tf.Tensor,
    ) -> tuple[list[tf.Tensor], tf.Tensor, dict[str, tf.Tensor]]:
        """Gradients of the loss, the images' advanced chains, and what `__call__` returns."""
        model, config, task = self.model, self.config, self.model.task
        step = self.state.step.read_value()
        seed = seeds.fold_in(self.seed, step)
        weight = task.weight(config, step)
        population, prior_info = update_prior(seeds.fold_in(seed, 0))
        x = self._binarise(x, seeds.fold_in(seed, 1))

        with tf.GradientTape() as tape:
            objective, terms = task.objective(
                model,
                x,
                chains,
                population,
                weight,
                seeds.fold_in(seed, 2),
                config.iw_gradient,
                config.bound,
            )
            loss = -objective
        variables = model.trainable_variables
        gradients = tape.gradient(
            loss, [v.value for v in variables], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        # the gradient of weight_decay / 2 ||v||^2, which the paper adds to the loss
        gradients = [
            g + decay * v if decay else g
            for g, v, decay in zip(gradients, variables, self.decay, strict=True)
        ]
        info = {
            "train/objective": objective,
            "train/log_likelihood": terms.log_likelihood,
            "train/log_posterior": terms.log_posterior,
            f"train/{task.weight.__name__}": weight,
            "train/learning_rate": self.optimizer.learning_rate,
            "train/importance_ess": terms.importance_ess,
            "posterior/fraction_inside": terms.inside,
            **prior_info,
            **self._details(gradients, terms, detailed),
            "logits": terms.logits,
        }
        self.state.step.assign_add(1)
        return gradients, terms.chains, info

    def _details(
        self, gradients: list[tf.Tensor], terms: Terms, detailed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The costlier scalars; zero where they are not wanted."""

        def compute() -> dict[str, tf.Tensor]:
            of_posterior = self.model.posterior.scalars(terms.phi)
            return {
                "train/gradient_norm": tf.linalg.global_norm(gradients),
                **{f"posterior/{name}": value for name, value in of_posterior.items()},
            }

        return tf.cond(detailed, compute, lambda: tf.nest.map_structure(tf.zeros_like, compute()))

    def update_prior(self, seed: tf.Tensor) -> tuple[Population, dict[str, tf.Tensor]]:
        """The prior's samples at its present parameters, and what is shown of them."""
        population, old = self.state.read()
        if not self.model.task.has_prior:
            return population, {}
        theta = self.model.prior.machine()
        update = PRIOR_SAMPLERS.load(self.config.prior_sampler)
        population, info = update(old, theta, population, seed, self.config.prior_sweeps)
        self.state.write(population, theta)
        return population, {
            "prior/rms_coupling": theta.rms_coupling(),
            "prior/ess": info.ess,
            "prior/resampled": info.resampled,
            "prior/survivors": info.survivors,
        }

    def _binarise(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if self.images.dtype == tf.uint8:
            return tf.cast(x, tf.float32)
        return tf.cast(seeds.uniform(seed, x.shape.as_list()) < x, tf.float32)


def _penalty(variable: keras.Variable, of_prior: dict[str, float]) -> float:
    """Factor of 1/2 ||v||^2 in the penalty on dense kernels, batch norm's gamma and the prior.

    It is on what acts: of the pixels' logits, the kernel times its factor.
    """
    if "prior" in variable.path.split("/"):
        return of_prior.get(variable.name, 0.0)
    if variable.path.endswith("logits/kernel"):
        return LOGITS_SCALE**2
    return float(variable.name in ("kernel", "gamma"))
