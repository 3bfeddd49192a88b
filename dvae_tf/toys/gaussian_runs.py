"""Fig. 1's computations: training by each estimator, and each estimator's bias and deviation."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dvae_tf.toys import training
from dvae_tf.toys.estimators import DRAWS, Loss, exact_gradient, gradient
from dvae_tf.toys.normal import Gaussian, from_precision
from dvae_tf.toys.settings import GaussianSettings as Settings
from sampler import seeds

TARGET = from_precision([1.0, 1.0], [[1.1, 0.9], [0.9, 1.1]])
"""The paper's p; its coordinates have a correlation of -9/11."""

START = from_precision([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
"""Where training begins: the standard normal, 2.56 nats from the target."""

PROBE = from_precision([0.0, 0.5], [[1.3, 0.8], [0.8, 0.9]])
"""Where gradients are compared: off the target in every parameter, with a correlation of -0.74."""

_CHUNK = 50_000


class Gradients(NamedTuple):
    """An estimator compared with the closed form; vectors are (m_1, m_2, a_1, a_2, c), [5].

    Attributes:
      exact: the closed form.
      bias: mean of the estimates less `exact`.
      standard_error: of `bias`.
      deviation: standard deviation of an estimate from one sample.
    """

    exact: np.ndarray
    bias: np.ndarray
    standard_error: np.ndarray
    deviation: np.ndarray

    def relative(self, vector: np.ndarray) -> float:
        """A vector's norm as a fraction of the exact gradient's."""
        return float(np.linalg.norm(vector) / np.linalg.norm(self.exact))

    @property
    def significance(self) -> float:
        """The largest bias of a parameter, in standard errors."""
        return float(np.max(abs(self.bias / self.standard_error)))


def train(loss: Loss, settings: Settings, title: str) -> Gaussian:
    """Minimises KL(q || p) from `START` by the gradient of a loss of `estimators.ESTIMATORS`.

    Returns q at the start and at each record, [num_steps / record_every + 1, num_runs].
    """
    variables = [tf.Variable(t) for t in START.copies(settings.num_runs)]
    seed = seeds.make_seed(settings.seed)
    shape = [settings.num_runs, settings.num_samples, DRAWS, 2]

    def gradient_fn(step: tf.Tensor) -> Gaussian:
        noise = _normal(shape, seeds.fold_in(seed, step))
        phi = Gaussian(*(v.read_value() for v in variables))
        return gradient(loss, phi, TARGET, noise)

    history = training.minimise(
        variables, gradient_fn, settings, lambda: [v.numpy() for v in variables], title
    )
    return Gaussian(*(tf.constant(np.stack(t)) for t in zip(*history, strict=True)))


def measure(loss: Loss, num_samples: int, seed: int) -> Gradients:
    """The mean and the deviation of one-sample gradients at `PROBE`.

    `num_samples` estimates are averaged: a multiple of 50,000, or fewer than that.
    """
    size = min(num_samples, _CHUNK)
    phi = PROBE.copies(size)

    def estimates(seed: tf.Tensor) -> tf.Tensor:
        return _vector(gradient(loss, phi, TARGET, _normal([size, 1, DRAWS, 2], seed)))

    folder = seeds.make_seed(seed)
    chunks = range(num_samples // size)
    values = np.concatenate([estimates(seeds.fold_in(folder, i)) for i in chunks])
    exact = _vector(exact_gradient(PROBE, TARGET)).numpy()
    deviation = values.std(0, ddof=1)
    error = deviation / np.sqrt(len(values))
    return Gradients(exact, values.mean(0) - exact, error, deviation)


def _vector(phi: Gaussian) -> tf.Tensor:
    return tf.concat([phi.mean, phi.log_diagonal, phi.below[..., None]], -1)


def _normal(shape: list[int], seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_normal(shape, seed, dtype=tf.float64)
