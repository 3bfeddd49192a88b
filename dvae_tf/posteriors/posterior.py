"""What objectives, training, evaluation and export ask of an approximate posterior q(z | x)."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import keras
import tensorflow as tf

from dvae_tf.config import Config


class Sample(NamedTuple):
    """K relaxed samples for each image of the batch B.

    Attributes:
      zeta: [B, K, n], differentiable in phi.
      chains: states to go on from next time, [B, K, chain_width], of the posterior's `chain_dtype`.
    """

    zeta: tf.Tensor
    chains: tf.Tensor


class Draws(NamedTuple):
    """K weighted hard samples for each image: E[mean_k exp(log_weights) f(z)] = Z_q E_q[f(z)].

    Attributes:
      z: [B, K, n], float32.
      log_weights: float64, [B, K]; the logarithm of their mean estimates log Z_q.
      log_prob: log q(z | x) + log Z_q, float32 [B, K].
    """

    z: tf.Tensor
    log_weights: tf.Tensor
    log_prob: tf.Tensor


class Posterior(keras.layers.Layer):
    """A map from the encoder's features to phi, a value made of tensors, and what is done with it.

    All that a gradient flows through is in phi, so that
    `tf.nest.map_structure(tf.stop_gradient, phi)` is the paper's sg(phi). A new posterior is a
    subclass: made with its own settings, which Keras saves, and then given its place in a model by
    `attach`. What is below is all that others know.

    Attributes:
      chain_width: numbers in a persistent state of a training image; 0 where samples need none.
      chain_dtype: of these.
      relaxation: the `relaxations.Relaxation` of its units in training; the model sets it.
      plugged_in: whether that has to be one that is plugged into the discrete formulas.
      floats_per_state: numbers that an evaluation makes for each sample, about, if they are many.
    """

    chain_width: int = 0
    chain_dtype: ClassVar[tf.DType] = tf.uint8
    relaxation: Any = None
    plugged_in: ClassVar[bool] = False
    floats_per_state: int = 0

    def __init__(self) -> None:
        super().__init__(name="posterior")

    def get_config(self) -> dict[str, Any]:
        """The arguments of an equal posterior, as Keras saves it."""
        return {}

    def get_build_config(self) -> None:
        """None: Keras leaves it to the model to build its parts."""

    @classmethod
    def of_run(cls, config: Config) -> Posterior:
        """The posterior that the command line's flags describe."""
        del config
        return cls()

    @classmethod
    def memory(cls, config: Config) -> tuple[int, int]:
        """Numbers in the phi of an image, and bytes of a chain, about: (0, 0) if negligible."""
        del config
        return 0, 0

    def attach(self, num_latents: tuple[int, ...], num_features: int, seed: int) -> None:
        """Makes the layers, for latents in blocks and contexts [B, num_features].

        Args:
          seed: of the initial kernels.

        Raises:
          ValueError: latents that this posterior can't have.
        """

    def call(self, context: tf.Tensor, training: bool = False) -> Any:
        """phi(x) for context [B, features]."""
        raise NotImplementedError

    def initial_chains(self, shape: list[int], seed: tf.Tensor) -> tf.Tensor:
        """States to begin with, [*shape, chain_width], of `chain_dtype`."""
        del seed
        return tf.zeros([*shape, self.chain_width], self.chain_dtype)

    def sample(self, phi: Any, chains: tf.Tensor, seed: tf.Tensor) -> Sample:
        """Relaxed samples in training, K for each image: the length of `chains`' second axis."""
        raise NotImplementedError

    def log_q(self, phi: Any, sample: Sample) -> tf.Tensor:
        """log q(zeta | x) up to a constant of each image, [B, K], with log q's own gradients.

        Those are the gradients in phi, where phi is not stopped, and in zeta.
        """
        raise NotImplementedError

    def draw(self, phi: Any, num_samples: Any, betas: tf.Tensor, seed: tf.Tensor) -> Draws:
        """Hard samples for evaluation; `betas` [T] from 0 to 1 anneal where annealing is needed."""
        raise NotImplementedError

    def encode(self, phi: Any) -> dict[str, tf.Tensor] | None:
        """What the export shows of phi, tensors [B, ...] by name; None if nothing."""
        del phi
        return None

    def scalars(self, phi: Any) -> dict[str, tf.Tensor]:
        """What TensorBoard shows of phi, by name."""
        del phi
        return {}
