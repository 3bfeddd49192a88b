"""The modes of Boltzmann machines that mean field finds (the paper's section 4.1.1).

Samples of an RBM are where mean-field iterations start; each converges to a fixed point, and equal
fixed points are one mode, whose share is that of the samples which lead to it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import mean_field, seeds
from sampler.annealing import ais, bridge, schedules
from sampler.machines.machine import AnyMachine
from sampler.populations import population_annealing
from sampler.weights.estimates import Estimate, Samples

TOLERANCE = 0.05
"""Fixed points whose means all agree to within this are one mode."""

NUM_RUNS = 4
"""Independent populations that share the samples of an RBM."""

POSTERIORS_AT_ONCE = 50


class Settings(NamedTuple):
    """How to sample an RBM and estimate its log Z.

    Attributes:
      num_samples: of the RBM, a multiple of `NUM_RUNS`; also the chains of AIS.
      num_temperatures: of population annealing from the uniform distribution, and of AIS.
      num_sweeps: of population annealing at each temperature.
    """

    num_samples: int
    num_temperatures: int
    num_sweeps: int = 2


class Modes(NamedTuple):
    """The modes of one RBM, the largest share first; NumPy, float64.

    Attributes:
      share: fraction of the samples that lead to each, [M].
      kl: KL(mean field || RBM) of each in nats, [M].
      means: of all units, [M, n1 + n2].
      residual: largest error of the fixed points' equations.
      log_z: by AIS; an error of it is one of each KL.
      log_z_stderr: its standard error.
      log_z_check: by population annealing, which has another base and other numbers.
      num_independent: samples / rho_t, about how many independent samples these are.
    """

    share: np.ndarray
    kl: np.ndarray
    means: np.ndarray
    residual: float
    log_z: float
    log_z_stderr: float
    log_z_check: float
    num_independent: float

    @property
    def spacing(self) -> float:
        """Largest difference of two modes' means, for the two that are closest; inf for one."""
        gaps = abs(self.means[:, None] - self.means[None]).max(-1)
        return float(np.min(gaps + np.diag(np.full(len(gaps), np.inf))))


def find_many(
    rbm: AnyMachine,
    settings: Settings,
    seed: tf.Tensor,
    progress_fn: Callable[[int], object] = lambda num_rbms: None,
) -> list[Modes]:
    """`find` of RBMs [B], a few at a time; `progress_fn` is told how many are done."""
    found = []
    for first in range(0, rbm.batch_shape[0], POSTERIORS_AT_ONCE):
        some = tf.nest.map_structure(lambda t, i=first: t[i : i + POSTERIORS_AT_ONCE], rbm)
        found += find(some, settings, seeds.fold_in(seed, first))
        progress_fn(some.batch_shape[0])
    return found


def find(rbm: AnyMachine, settings: Settings, seed: tf.Tensor) -> list[Modes]:
    """The modes of each of the RBMs [B]."""
    betas = schedules.linear(settings.num_temperatures)
    size, sweeps = settings.num_samples // NUM_RUNS, settings.num_sweeps
    # a base of the RBM's own biases can hide a mode, the uniform one cannot
    uniform, annealing_seed = bridge.from_uniform(rbm), seeds.fold_in(seed, 0)
    annealed = population_annealing.run(
        uniform, betas, size, NUM_RUNS, annealing_seed, num_sweeps=sweeps
    )
    samples = annealed.samples
    log_z = _log_z(rbm, samples, betas, seeds.fold_in(seed, 1))
    fixed = mean_field.fixed_point(rbm, samples.state)
    residual = mean_field.residual(rbm, fixed).numpy()
    kl = mean_field.kl(rbm, fixed, log_z.log_z).numpy()
    means = tf.concat(fixed, -1).numpy().astype(np.float64)
    weights = samples.weights().numpy()
    return [
        Modes(
            *_merge(means[i], kl[i], weights[i]),
            residual=float(residual[i].max()),
            log_z=float(log_z.log_z[i]),
            log_z_stderr=float(log_z.stderr[i]),
            log_z_check=float(annealed.log_z[i]),
            num_independent=float(settings.num_samples / annealed.rho_t[i]),
        )
        for i in range(len(means))
    ]


def _merge(
    means: np.ndarray, kl: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share [M], KL [M] and means [M, n] of the modes of weighted fixed points [C, n]."""
    labels = mean_field.group(means, lambda gaps: gaps.max(-1) <= TOLERANCE)
    share = np.bincount(labels, weights)
    order = np.argsort(-share)
    leaders = np.unique(labels, return_index=True)[1][order]
    return share[order], kl[leaders], means[leaders]


def _log_z(rbm: AnyMachine, samples: Samples, betas: np.ndarray, seed: tf.Tensor) -> Estimate:
    """AIS from independent units with the samples' means, so that it starts near each RBM."""
    # weights sum to 1 but for rounding, and means are not to pass 1
    means = [tf.clip_by_value(samples.mean(z), 0, 1) for z in samples.state]
    return ais.run(bridge.from_means(rbm, means), betas, samples.log_weights.shape[-1], seed)
