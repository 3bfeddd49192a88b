"""One training step: prior update, objective, gradient, Adam."""

from __future__ import annotations

import keras
import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.model import DVAE
from dvae_tf.networks import LOGITS_SCALE
from dvae_tf.objectives import OBJECTIVES
from dvae_tf.training.state import State
from sampler import pcd, population_annealing, seeds

PRIOR_SAMPLERS = {"pa": population_annealing.update, "pcd": pcd.update}


def learning_rate(config: Config) -> keras.optimizers.schedules.LearningRateSchedule:
    """The paper's schedule: the base rate, times 1/10, 1, 1/3, 1/10, 1/33 over the run."""
    boundaries = [round(config.num_steps * part) for part in (0.02, 0.6, 0.75, 0.95)]
    rates = [config.learning_rate * factor for factor in (0.1, 1, 1 / 3, 0.1, 1 / 33)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


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


class TrainStep:
    """A compiled step over (model, optimizer, state).

    Args:
      images: the training images, [N, D]; uint8 in {0, 1}, or float32 probabilities, of which each
        batch is binarised anew.
    """

    def __init__(self, config: Config, model: DVAE, state: State, images: tf.Tensor):
        self.config, self.model, self.state = config, model, state
        self.images = images
        self.optimizer = FusedAdam(learning_rate(config), epsilon=1e-3)
        self.optimizer.build(model.trainable_variables)
        self.objective = OBJECTIVES["elbo"]
        self.seed = seeds.fold_in(seeds.make_seed(config.seed), 1)
        self.decay = [config.weight_decay * _penalty(v) for v in model.trainable_variables]

    @tf.function(autograph=False)
    def __call__(self, indices: tf.Tensor, detailed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Trains on the images `indices` [B]; returns scalars by name, and `logits` [B, D].

        Args:
          indices: int32, [B].
          detailed: whether the costlier scalars (gradient norm, mean |W|) are wanted; 0 otherwise.
        """
        x, chains = tf.gather(self.images, indices), tf.gather(self.state.chains, indices)
        gradients, chains, info = self._compiled(x, chains, detailed)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        self.state.chains.scatter_update(tf.IndexedSlices(chains, indices))
        return info

    @tf.function(autograph=False, jit_compile=True)
    def _compiled(self, x: tf.Tensor, chains: tf.Tensor, detailed: tf.Tensor) -> tuple:
        model = self.model
        step = self.state.step.read_value()
        seed = seeds.fold_in(self.seed, step)
        kl_weight = self._kl_weight(step)
        population, prior_info = self._update_prior(seeds.fold_in(seed, 0))
        x = self._binarise(x, seeds.fold_in(seed, 1))
        states = tf.cast(chains, tf.float32)[:, None, :]

        with tf.GradientTape() as tape:
            objective, terms = self.objective(
                model, x, states, population, kl_weight, seeds.fold_in(seed, 2)
            )
            loss = -objective
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        # the gradient of weight_decay / 2 ||v||^2, which the paper adds to the loss
        gradients = [
            g + decay * v if decay else g
            for g, v, decay in zip(gradients, variables, self.decay, strict=True)
        ]
        norm, coupling = tf.cond(
            detailed,
            lambda: (tf.linalg.global_norm(gradients), terms.phi.rms_coupling()),
            lambda: (0.0, 0.0),
        )
        info = {
            "train/objective": objective,
            "train/log_likelihood": terms.log_likelihood,
            "train/prior_energy": terms.prior_energy,
            "train/posterior_energy": terms.posterior_energy,
            "train/kl_weight": kl_weight,
            "train/learning_rate": self.optimizer.learning_rate,
            "train/gradient_norm": norm,
            "posterior/fraction_inside": terms.inside,
            "posterior/rms_coupling": coupling,
            "prior/rms_coupling": model.prior.rbm().rms_coupling(),
            "prior/ess": prior_info.ess,
            "prior/resampled": prior_info.resampled,
            "prior/survivors": prior_info.survivors,
            "logits": terms.logits,
        }
        self.state.step.assign_add(1)
        return gradients, tf.cast(terms.chains[:, 0], tf.uint8), info

    def _kl_weight(self, step: tf.Tensor) -> tf.Tensor:
        """lambda: from 0 to 1, linearly over the first `kl_warmup` of the run."""
        length = self.config.kl_warmup * self.config.num_steps
        return tf.minimum(tf.cast(step, tf.float32) / length, 1.0) if length else tf.constant(1.0)

    def _update_prior(self, seed: tf.Tensor) -> tuple:
        population, old = self.state.read()
        theta = self.model.prior.rbm()
        update = PRIOR_SAMPLERS[self.config.prior_sampler]
        population, info = update(old, theta, population, seed, self.config.prior_sweeps)
        self.state.write(population, theta)
        return population, info

    def _binarise(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if self.images.dtype == tf.uint8:
            return tf.cast(x, tf.float32)
        return tf.cast(seeds.uniform(seed, x.shape.as_list()) < x, tf.float32)


def _penalty(variable: keras.Variable) -> float:
    """Factor of 1/2 ||v||^2 in the penalty on dense kernels, batch norm's gamma and the prior's W.

    It is on what acts: the prior's W = 4J, the pixels' logits' kernel times its factor.
    """
    if variable.path.endswith("prior/j"):
        return 16.0
    if variable.path.endswith("logits/kernel"):
        return LOGITS_SCALE**2
    return float(variable.name in ("kernel", "gamma"))
