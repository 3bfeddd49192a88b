"""How log Z by AIS converges with the number of temperatures (the paper's Fig. 3).

One run of R C chains makes R independent estimates of C chains each.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from sampler import gibbs, seeds
from sampler.annealing import ais, bridge, schedules
from sampler.annealing.bridge import Bridge
from sampler.machines.machine import AnyMachine
from sampler.weights.estimates import Estimate, estimate

TARGET = 1e-2
"""Standard deviation of log Z, in nats, at which the paper compares posteriors and prior."""

_BASE_CHAINS, _BASE_SWEEPS = 200, 100


class Truth(NamedTuple):
    """log Z from long runs in both directions; NumPy float64, in the RBM's batch shape [...].

    Attributes:
      log_z: mean of the forward estimate, low on average, and the backward one, high.
      stderr: of that mean.
      gap: backward - forward; more than a few standard errors would mean too short runs.
    """

    log_z: np.ndarray
    stderr: np.ndarray
    gap: np.ndarray


class Curve(NamedTuple):
    """Estimates against the number of temperatures [P]; NumPy, float64, the others [P, ...].

    Attributes:
      error: mean of |log Z estimate - log Z| over the repeats.
      std: standard deviation of the estimates, from R - 1 degrees of freedom.
      predicted: the same from the spread of the weights, by the delta method (rms over the
        repeats): it is less noisy, and holds once the weights are even.
    """

    num_temperatures: np.ndarray
    error: np.ndarray
    std: np.ndarray
    predicted: np.ndarray


def truth(
    route: Bridge, num_temperatures: int, num_chains: int, seed: tf.Tensor, title: str
) -> Truth:
    """log Z by AIS from the base and back, so that the two biases cancel."""
    # from another base than the uniform one, a run of its own brings the samples to start back from
    num_runs = 3 if any(np.any(eta) for eta in route.base) else 2
    betas = schedules.linear(num_temperatures)
    with tqdm(total=num_runs * (num_temperatures - 1), desc=f"true log Z, {title}") as bar:
        found = ais.log_z_bracket(route, betas, num_chains, seed, progress_fn=bar.update)
    forward, backward = (np.asarray(side.log_z) for side in (found.forward, found.backward))
    stderr = np.hypot(found.forward.stderr, found.backward.stderr) / 2
    return Truth((forward + backward) / 2, stderr, backward - forward)


def path_from_gibbs_means(rbm: AnyMachine, seed: tf.Tensor) -> Bridge:
    """A bridge from independent units whose means are those of short Gibbs chains' end states."""
    return bridge.from_means(rbm, [tf.reduce_mean(x, -2) for x in _sweeps(rbm, seed)])


def estimates(
    route: Bridge, num_temperatures: int, num_chains: int, num_repeats: int, seed: tf.Tensor
) -> Estimate:
    """Independent estimates of log Z, each from `num_chains` chains, fields [..., num_repeats]."""
    betas = schedules.linear(num_temperatures)
    weights = ais.run(route, betas, num_repeats * num_chains, seed).samples.log_weights
    return estimate(tf.reshape(weights, [*weights.shape[:-1], num_repeats, num_chains]))


def curve(
    route: Bridge,
    log_z: np.ndarray,
    num_temperatures: list[int],
    num_chains: int,
    num_repeats: int,
    seed: tf.Tensor,
    title: str,
) -> Curve:
    """Estimates for more and more temperatures, until every RBM's spread is below `TARGET`.

    Args:
      route: the bridge to anneal along, batch shape [...].
      log_z: the truth, [...].
      num_temperatures: rising.
      num_chains, num_repeats: see `estimates`; at least 2 repeats.
      title: of the progress bar.
    """
    points = []
    with tqdm(total=sum(num_temperatures), desc=title) as bar:
        for count in num_temperatures:
            found = estimates(route, count, num_chains, num_repeats, seeds.fold_in(seed, count))
            values = np.asarray(found.log_z)
            error = abs(values - log_z[..., None]).mean(-1)
            std = values.std(-1, ddof=1)
            predicted = np.sqrt(np.square(found.stderr).mean(-1))
            points.append((np.float64(count), error, std, predicted))
            bar.update(count)
            if np.all(std < TARGET) and np.all(predicted < TARGET):
                break
    return Curve(*(np.stack(field) for field in zip(*points, strict=True)))


def temperatures_for(num_temperatures: np.ndarray, std: np.ndarray, target: float) -> float:
    """Where a curve falls below `target` for good, interpolated on logarithmic axes.

    For points [P] it is the first one's number if all are below, and NaN if the last is not.
    """
    above = np.flatnonzero(std >= target)
    if not len(above):
        return float(num_temperatures[0])
    i = above[-1]
    if i == len(std) - 1:
        return float("nan")
    x, y = np.log(num_temperatures[i : i + 2]), np.log(std[i : i + 2])
    return float(np.exp(x[0] + (np.log(target) - y[0]) * (x[1] - x[0]) / (y[1] - y[0])))


@tf.function(jit_compile=True, autograph=False)
def _sweeps(rbm: AnyMachine, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
    state = gibbs.initial(rbm, _BASE_CHAINS, seeds.fold_in(seed, 0))
    return gibbs.run(rbm, state, _BASE_SWEEPS, seeds.fold_in(seed, 1))
