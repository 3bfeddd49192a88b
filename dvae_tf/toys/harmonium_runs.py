r"""A Gaussian harmonium learned by backpropagation through Gibbs sweeps, which relax nothing.

q(z1, z2) ~ exp(f1'z1 + f2'z2 + z1'W z2 - |z|^2 / 2) is the Gaussian whose precision is
[[1, -W], [-W', 1]], its mean the precision's inverse times f. W = `bounded`(J), so
that every f and J is one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dvae_tf.posteriors import backpropagation
from dvae_tf.toys import training
from dvae_tf.toys.settings import HarmoniumSettings as Settings
from sampler import gibbs, seeds
from sampler.families import Gaussian
from sampler.machines import harmonium
from sampler.machines.general import Machine

SWEEPS = (1, 2, 4, 8)
FAMILIES = Gaussian(), Gaussian()


class Parameters(NamedTuple):
    """f1 and f2 [..., n], J [..., n, n]."""

    f1: tf.Tensor
    f2: tf.Tensor
    j: tf.Tensor

    def machine(self) -> Machine:
        """The harmonium."""
        return harmonium.from_centred(FAMILIES, *self)

    def copies(self, count: int) -> Parameters:
        """`count` equal ones along a new leading batch axis."""
        return Parameters(*(tf.stack([t] * count) for t in self))


class Moments(NamedTuple):
    """Mean [..., 2n], precision and its Cholesky factor [..., 2n, 2n], of a harmonium."""

    mean: tf.Tensor
    precision: tf.Tensor
    factor: tf.Tensor


def moments(machine: Machine) -> Moments:
    """In closed form."""
    precision = machine.precision((0, 1))
    factor = tf.linalg.cholesky(precision)
    f = tf.concat(machine.fields, -1)[..., None]
    return Moments(tf.linalg.cholesky_solve(factor, f)[..., 0], precision, factor)


def kl(q: Parameters, p: Parameters) -> tf.Tensor:
    """KL(q || p), nats, [...]."""
    ours, theirs = moments(q.machine()), moments(p.machine())
    size = ours.mean.shape[-1]
    # p's precision times q's covariance
    product = tf.linalg.cholesky_solve(ours.factor, theirs.precision + tf.zeros_like(ours.factor))
    shift = (ours.mean - theirs.mean)[..., None]
    far = tf.matmul(shift, tf.matmul(theirs.precision, shift), transpose_a=True)[..., 0, 0]
    log_dets = (
        2 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(m.factor)), -1) for m in (ours, theirs)
    )
    log_det, other = log_dets
    return (tf.linalg.trace(product) - size + far + log_det - other) / 2


def target(num_units: int, seed: int) -> Parameters:
    """Fields of deviation 1/2; couplings whose singular values are spread over (0, .9)."""
    noise = np.random.default_rng(seed)
    left, right = (np.linalg.qr(noise.normal(size=(num_units,) * 2))[0] for _ in range(2))
    values = np.linspace(0.05, 0.9, num_units)
    # so that `bounded` makes these of them
    j = (left * (values / np.sqrt(1 - values**2))) @ right
    fields = 0.5 * noise.normal(size=(2, num_units))
    return Parameters(*(tf.constant(x, tf.float32) for x in (*fields, j)))


def exact_sample(q: Parameters, noise: tf.Tensor) -> tf.Tensor:
    """z = mean + L^-T noise, [..., K, 2n], differentiable."""
    found = moments(q.machine())
    solved = tf.linalg.triangular_solve(
        found.factor, tf.linalg.matrix_transpose(noise), adjoint=True
    )
    return found.mean[..., None, :] + tf.linalg.matrix_transpose(solved)


def reinforce(phi: Parameters, p: Parameters, size: int, seed: tf.Tensor) -> tf.Tensor:
    """E_q[f d log q], f = log q - log p; no baseline."""
    z = exact_sample(_stopped(phi), _noise(phi, size, seed))
    found = moments(phi.machine())
    shift = (z - found.mean[..., None, :])[..., None]
    square = tf.matmul(shift, found.precision[..., None, :, :] @ shift, transpose_a=True)
    log_det = 2 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(found.factor)), -1)
    log_q = (log_det[..., None] - square[..., 0, 0]) / 2
    theirs = moments(p.machine())
    other = (z - theirs.mean)[..., None]
    square = tf.matmul(other, theirs.precision @ other, transpose_a=True)[..., 0, 0]
    log_p = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(theirs.factor)), -1) - square / 2
    return tf.reduce_mean(tf.stop_gradient(log_q - log_p) * log_q, -1)


def reparameterised(phi: Parameters, p: Parameters, size: int, seed: tf.Tensor) -> tf.Tensor:
    """E[df/dz dz/dphi] of z = mean + L^-T noise, phi stopped inside log q."""
    return _f(phi, p, exact_sample(phi, _noise(phi, size, seed)))


def sweeps(
    phi: Parameters, p: Parameters, size: int, seed: tf.Tensor, num_sweeps: int
) -> tf.Tensor:
    """Algorithm 1's gradient: t sweeps from exact samples that are held fixed."""
    start = exact_sample(_stopped(phi), _noise(phi, size, seeds.fold_in(seed, 0)))
    machine = phi.machine()
    state = None, machine.split(start)[1]
    each = [seeds.fold_in(seed, 1 + i) for i in range(num_sweeps)]
    z = backpropagation.relaxed_sweeps(machine, state, each, gibbs.hard)
    return _f(phi, p, tf.concat(z, -1))


ESTIMATORS: dict[str, Callable] = {
    "REINFORCE": reinforce,
    **{f"Gibbs, t = {t}": partial(sweeps, num_sweeps=t) for t in SWEEPS},
    "reparameterised": reparameterised,
}
"""By their names in the figure: (phi, p, samples, seed) -> a loss [...] with the gradient."""


def gradient(
    loss: Callable, phi: Parameters, p: Parameters, size: int, seed: tf.Tensor
) -> Parameters:
    """An estimate from `size` samples for each harmonium of the batch."""
    with tf.GradientTape() as tape:
        tape.watch(phi)
        total = tf.reduce_sum(loss(phi, _stopped(p), size, seed))
    return Parameters(*tape.gradient(total, list(phi)))


def exact_gradient(phi: Parameters, p: Parameters) -> Parameters:
    """From the closed form."""
    with tf.GradientTape() as tape:
        tape.watch(phi)
        # phi may share tensors with p
        total = tf.reduce_sum(kl(phi, _stopped(p)))
    return Parameters(*tape.gradient(total, list(phi)))


def train(loss: Callable, p: Parameters, settings: Settings, title: str) -> np.ndarray:
    """KL(q || p) at each record, [records, runs], from independent standard normals."""
    zeros = Parameters(*(tf.zeros_like(t) for t in p)).copies(settings.num_runs)
    variables, seed = [tf.Variable(t) for t in zeros], seeds.make_seed(settings.seed)

    def phi() -> Parameters:
        return Parameters(*(v.read_value() for v in variables))

    def gradient_fn(step: tf.Tensor) -> Parameters:
        return gradient(loss, phi(), p, settings.num_samples, seeds.fold_in(seed, step))

    return np.array(
        training.minimise(variables, gradient_fn, settings, lambda: kl(phi(), p).numpy(), title)
    )


def bias(loss: Callable, p: Parameters, settings: Settings) -> tuple[float, float, float]:
    """Of the gradient at phi = p with couplings 3/4 as large: bias, its error, one sample's noise.

    Norms, in units of the exact gradient's.
    """
    probe = Parameters(p.f1, p.f2, 0.75 * p.j)
    exact = _flat(exact_gradient(probe, p))
    batch = probe.copies(min(1000, settings.bias_samples))

    @tf.function
    def estimates(seed: tf.Tensor) -> tf.Tensor:
        return _flat(gradient(loss, batch, p, 1, seed))

    root = seeds.make_seed(settings.seed + 1)
    return training.relative_bias(estimates, exact, settings.bias_samples, root)


def _flat(phi: Parameters) -> tf.Tensor:
    shape = [*phi.f1.shape[:-1], -1]
    return tf.concat([phi.f1, phi.f2, tf.reshape(phi.j, shape)], -1)


def _f(phi: Parameters, p: Parameters, z: tf.Tensor) -> tf.Tensor:
    fixed = _stopped(phi).machine()
    theirs = p.machine()
    return tf.reduce_mean(theirs.energy(theirs.split(z)) - fixed.energy(fixed.split(z)), -1)


def _noise(phi: Parameters, size: int, seed: tf.Tensor) -> tf.Tensor:
    return seeds.normal(seed, [*phi.f1.shape[:-1], size, 2 * phi.f1.shape[-1]])


def _stopped(phi: Parameters) -> Parameters:
    return Parameters(*map(tf.stop_gradient, phi))
