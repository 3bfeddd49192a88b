"""Estimators of the gradient of KL(q || p) of two Gaussians, each as a loss to differentiate.

A loss is (phi, p, noise) -> [...], one for each Gaussian of the batch; its gradient in phi is an
estimate from K samples of d KL(q_phi || p) / d phi, while its value need mean nothing. `noise` is
standard normal, [..., K, DRAWS, 2], of which each takes what it needs. All set f(z) = log q(z) -
log p(z) with phi stopped inside log q: what phi does there has no part in the mean, as
E_q[d log q / d phi] = 0 (the paper's equation 14 and after).
"""

from collections.abc import Callable
from functools import partial

import tensorflow as tf

from dvae_tf.toys.normal import Gaussian

Loss = Callable[[Gaussian, Gaussian, tf.Tensor], tf.Tensor]

SWEEPS = (1, 2, 4, 8)
"""The paper's numbers of Gibbs sweeps, t."""

DRAWS = max(SWEEPS) + 1
"""Standard normal pairs per sample: one for the start, one for each sweep."""


def reinforce(phi: Gaussian, p: Gaussian, noise: tf.Tensor) -> tf.Tensor:
    """The gradient E_q[f d log q] (Williams 1992), with no baseline."""
    z = _stopped(phi).sample(noise[..., 0, :])
    return tf.reduce_mean(_f(phi, p, z) * phi.log_prob(z), -1)


def reparameterised(phi: Gaussian, p: Gaussian, noise: tf.Tensor) -> tf.Tensor:
    """The gradient E[df/dz dz/dphi] of z = m + C^-T noise (Kingma and Welling 2014)."""
    return tf.reduce_mean(_f(phi, p, phi.sample(noise[..., 0, :])), -1)


def gibbs(phi: Gaussian, p: Gaussian, noise: tf.Tensor, num_sweeps: int) -> tf.Tensor:
    """The paper's equation 12: backpropagation through t sweeps from z' ~ q, which is held fixed.

    The samples follow q exactly; the gradient lacks what phi does to the law of z'.
    """
    z = _stopped(phi).sample(noise[..., 0, :])
    for i in range(num_sweeps):
        z = phi.sweep(z[..., 1], noise[..., 1 + i, :])
    return tf.reduce_mean(_f(phi, p, z), -1)


ESTIMATORS: dict[str, Loss] = {
    "REINFORCE": reinforce,
    **{f"Gibbs, t = {t}": partial(gibbs, num_sweeps=t) for t in SWEEPS},
    "reparameterised": reparameterised,
}
"""By their names in the figure."""


def gradient(loss: Loss, phi: Gaussian, p: Gaussian, noise: tf.Tensor) -> Gaussian:
    """An estimate of the gradient for each Gaussian of the batch, in phi's shapes."""
    with tf.GradientTape() as tape:
        tape.watch(phi)
        total = tf.reduce_sum(loss(phi, p, noise))
    return Gaussian(*tape.gradient(total, list(phi), unconnected_gradients="zero"))


def exact_gradient(phi: Gaussian, p: Gaussian) -> Gaussian:
    """d KL(q_phi || p) / d phi, from the closed form."""
    with tf.GradientTape() as tape:
        tape.watch(phi)
        total = tf.reduce_sum(phi.kl(p))
    return Gaussian(*tape.gradient(total, list(phi)))


def _f(phi: Gaussian, p: Gaussian, z: tf.Tensor) -> tf.Tensor:
    return _stopped(phi).log_prob(z) - p.log_prob(z)


def _stopped(phi: Gaussian) -> Gaussian:
    return tf.nest.map_structure(tf.stop_gradient, phi)
