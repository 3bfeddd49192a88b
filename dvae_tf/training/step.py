"""One training step: prior update, objective, gradient, Adam."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.likelihoods import registered
from dvae_tf.model import Wiring
from dvae_tf.networks import LOGITS_SCALE, ScaledDense
from dvae_tf.objectives.terms import Terms, ramp
from dvae_tf.registry import PRIOR_SAMPLERS
from dvae_tf.training.schedules import learning_rate
from dvae_tf.training.state import State, new_chains, replica_seed
from sampler import seeds
from sampler.populations.population import Population


@registered
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


def new_optimizer(config: Config) -> FusedAdam:
    """Adam with a run's schedule."""
    return FusedAdam(learning_rate(config), epsilon=config.adam_epsilon)


class Settings(NamedTuple):
    """What a step is told beside model, optimizer and state.

    Attributes:
      num_samples: K, samples per image of the bound.
      kl_warmup: steps over which the task's weight is annealed: of the KL from 0 to 1.
      bound: 'importance_weighted', or 'variational': the mean of K bounds of one sample.
      iw_gradient: 'dreg' or 'iwae', of the former.
      weight_decay: factor of the penalty 1/2 ||v||^2 on kernels, batch norms' gammas, couplings.
      seed: of everything random.
      jit_compile: whether XLA compiles the step.
    """

    num_samples: int = 1
    kl_warmup: float = 0
    bound: str = "importance_weighted"
    iw_gradient: str = "dreg"
    weight_decay: float = 1e-4
    seed: int = 0
    jit_compile: bool = True


class TrainStep:
    """A step over (model, optimizer, state), compiled as one where it is called.

    Args:
      data: the training images, [N, *shape], as the likelihood keeps them, or a pair of these and
        of what they are conditional on; None if batches are handed in. ValueError for pixels that
        the likelihood can't take.
      replica: the number of the replica whose state and images these are.
    """

    def __init__(
        self,
        model: Wiring,
        state: State,
        data: Any,
        optimizer: keras.Optimizer,
        settings: Settings,
        replica: int = 0,
    ):
        self.model, self.state, self.settings = model, state, settings
        self.data, self.optimizer = data, optimizer
        if data is not None:
            holds, accepted = model.likelihood.accepts(tf.nest.flatten(data)[0], exactly=False)
            if not holds:
                raise ValueError(f"images: found other pixels; accepted: {accepted}")
        optimizer.build(model.trainable_variables)
        self.seed = seeds.fold_in(replica_seed(settings.seed, replica), 1)
        decay = settings.weight_decay
        self.decay = [decay * factor for factor in _penalties(model)]
        self._gradients = tf.function(
            functools.partial(self.gradients, self.update_prior),
            autograph=False,
            jit_compile=settings.jit_compile,
        )

    @tf.function(autograph=False)
    def __call__(self, indices: tf.Tensor, detailed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Trains on the images `indices` [B]; returns scalars by name, and `outputs` [B, ...].

        Args:
          indices: int32, [B].
          detailed: whether the costlier scalars (gradient norm, mean |W|) are wanted; 0 otherwise.
        """
        return self.advance(indices, detailed, self._gradients)

    @tf.function(autograph=False)
    def feed(
        self, data: Any, indices: tf.Tensor | None, detailed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Trains on a batch that is handed in; `indices` [B] are its images' chains' places.

        None, and chains start afresh, with the sweeps of one step from their beginning.
        """
        if indices is not None:
            return self.advance(indices, detailed, self._gradients, data)
        batch_size = tf.nest.flatten(data)[0].shape[0]
        seed = seeds.fold_in(self.seed, self.state.step.read_value(), 3)
        chains = new_chains(self.model, self.settings.num_samples, batch_size, seed)
        told = self._ask_sampler()
        gradients, _, info = self._gradients(data, chains, detailed)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return {**info, **told}

    def advance(
        self,
        indices: tf.Tensor,
        detailed: tf.Tensor,
        gradients_fn: Callable[..., tuple],
        data: Any = None,
    ) -> dict[str, tf.Tensor]:
        """The step, by `gradients` or a form of it, on `data` or the images `indices`."""
        if data is None:
            data = tf.nest.map_structure(lambda a: tf.gather(a, indices), self.data)
        chains = tf.gather(self.state.chains, indices)
        told = self._ask_sampler()
        gradients, chains, info = gradients_fn(data, chains, detailed)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        self.state.chains.scatter_update(tf.IndexedSlices(chains, indices))
        return {**info, **told}

    def gradients(
        self,
        update_prior: Callable[[tf.Tensor], tuple],
        data: Any,
        chains: tf.Tensor,
        detailed: tf.Tensor,
    ) -> tuple[list[tf.Tensor], tf.Tensor, dict[str, tf.Tensor]]:
        """Gradients of the loss, the images' advanced chains, and what `__call__` returns."""
        model, settings, task = self.model, self.settings, self.model.task
        step = self.state.step.read_value()
        seed = seeds.fold_in(self.seed, step)
        weight = task.weight(ramp(step, settings.kl_warmup))
        population, prior_info = update_prior(seeds.fold_in(seed, 0))
        data = self._prepare(data, seeds.fold_in(seed, 1))

        with tf.GradientTape() as tape:
            objective, terms = task.objective(
                model,
                data,
                chains,
                population,
                weight,
                seeds.fold_in(seed, 2),
                settings.iw_gradient,
                settings.bound,
            )
            loss = tf.add_n([-objective, *model.regularisers()])
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
            "train/learning_rate": tf.convert_to_tensor(self.optimizer.learning_rate),
            "train/importance_ess": terms.importance_ess,
            "posterior/fraction_inside": terms.inside,
            **prior_info,
            **self._details(gradients, terms, detailed),
            "outputs": terms.outputs,
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

    def _ask_sampler(self) -> dict[str, tf.Tensor]:
        """Samples of the prior by a sampler that was handed in, outside of what XLA compiles."""
        prior = getattr(self.model, "prior", None)
        if prior is None or prior.handed_in is None:
            return {}
        population, _ = self.state.read()
        theta, seed = prior.machine(), seeds.fold_in(self.seed, self.state.step.read_value(), 4)
        drawn, found = prior.handed_in(theta, population.log_weights.shape[-1], seed)
        weights = tf.zeros_like(population.log_weights)
        self.state.write(Population(drawn, weights, population.log_z), theta)
        return {"prior/effective_beta": found.beta, "prior/effective_beta_stderr": found.stderr}

    def update_prior(self, seed: tf.Tensor) -> tuple[Population | None, dict[str, tf.Tensor]]:
        """The prior's samples at its present parameters, and what is shown of them."""
        prior = getattr(self.model, "prior", None)
        if prior is None:
            return None, {}
        population, old = self.state.read()
        if prior.handed_in is not None:
            return population, {"prior/rms_coupling": old.rms_coupling()}
        theta = prior.machine()
        update = PRIOR_SAMPLERS.load(prior.sampler)
        population, info = update(old, theta, population, seed, prior.num_sweeps)
        self.state.write(population, theta)
        return population, {
            "prior/rms_coupling": theta.rms_coupling(),
            "prior/ess": info.ess,
            "prior/resampled": info.resampled,
            "prior/survivors": info.survivors,
        }

    def _prepare(self, data: Any, seed: tf.Tensor) -> Any:
        """A batch as the likelihood makes it ready for training."""
        x, *rest = tf.nest.flatten(data)
        x = self.model.likelihood.prepare(x, seed)
        return tf.nest.pack_sequence_as(data, [x, *rest])


def traces(step: TrainStep) -> list[int]:
    """How often the graphs of a step's calls on its own images were traced: once each, or why?"""
    functions: list[Any] = [step.__call__, step._gradients]
    return [function.experimental_get_tracing_count() for function in functions]


def _penalties(model: Wiring) -> list[float]:
    """Factors of 1/2 ||v||^2 in the penalty on kernels, batch norms' gammas and the prior.

    It is on what acts: of the pixels' logits, the kernel times its factor.
    """
    factors = {id(v): float(v.name in ("kernel", "gamma")) for v in model.trainable_variables}
    for layer in getattr(model.decoder, "layers", []):
        if isinstance(layer, ScaledDense):
            factors[id(layer.kernel)] = LOGITS_SCALE**2
    if model.has_prior:
        for v in model.prior.trainable_variables:
            factors[id(v)] = model.prior.penalties.get(v.name, 0.0)
    return [factors[id(v)] for v in model.trainable_variables]
