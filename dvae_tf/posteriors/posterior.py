"""What objectives and evaluation ask of an approximate posterior q(z | x)."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import tensorflow as tf


class Sample(NamedTuple):
    """K relaxed samples for each image of the batch B.

    Attributes:
      zeta1: [B, K, n1] and zeta2: [B, K, n2], differentiable in phi.
      chains: hard states to go on from next time, [B, K, chain_units]; no units for posteriors
        that are sampled directly.
    """

    zeta1: tf.Tensor
    zeta2: tf.Tensor
    chains: tf.Tensor


class Draws(NamedTuple):
    """K weighted hard samples for each image: E[mean_k exp(log_weights) f(z)] = Z_q E_q[f(z)].

    Attributes:
      z1: [B, K, n1] and z2: [B, K, n2], binary.
      log_weights: float64, [B, K]; the logarithm of their mean estimates log Z_q.
      log_prob: log q(z | x) + log Z_q, float32 [B, K].
    """

    z1: tf.Tensor
    z2: tf.Tensor
    log_weights: tf.Tensor
    log_prob: tf.Tensor


class Posterior(Protocol):
    """A map from the encoder's context to phi, a value made of tensors, and what is done with it.

    All that a gradient flows through is in phi, so that
    `tf.nest.map_structure(tf.stop_gradient, phi)` is the paper's sg(phi).

    Attributes:
      chain_units: width of the persistent states of a training image.
    """

    chain_units: int

    def __call__(self, context: tf.Tensor, training: bool = False) -> Any:
        """phi(x) for context [B, features]."""

    def sample(self, phi: Any, chains: tf.Tensor, seed: tf.Tensor) -> Sample:
        """Relaxed samples in training, K for each image: the length of `chains`' second axis."""

    def log_prob(self, phi: Any, zeta1: tf.Tensor, zeta2: tf.Tensor) -> tf.Tensor:
        """log q(zeta | x) + log Z_q in training, [B, K], differentiable in phi and zeta."""

    def log_z_surrogate(self, phi: Any, sample: Sample) -> tf.Tensor:
        """A value [B] of which only the gradient counts, that of log Z_q in phi."""

    def draw(self, phi: Any, num_samples: Any, betas: tf.Tensor, seed: tf.Tensor) -> Draws:
        """Hard samples for evaluation; `betas` [T] from 0 to 1 anneal where annealing is needed."""

    def scalars(self, phi: Any) -> dict[str, tf.Tensor]:
        """What TensorBoard shows of phi, by name."""
