"""Multi-histogram reweighting of population annealing's energies to any inverse temperature.

The bridge interpolates fields and couplings linearly, so that p_beta(z) is proportional to
p_0(z) exp(-beta U(z)) with the conjugate energy U = E_target - E_base: all that a temperature needs
to know of a state is U. Histograms of U at all temperatures of the schedule are joined with the
weights of Ferrenberg and Swendsen (1989), the free energies in them being those that population
annealing has measured (Barash et al. 2017) instead of the solution of an iteration:

  Z(beta) = 1/T sum_t sum_u h_t(u) exp(-beta u) / D(u),   D(u) = 1/T sum_t exp(-beta_t u) / Z_t.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from sampler.io.errors import expect
from sampler.populations.result import Result

BIN_WIDTH = 0.02
"""Least width of a bin of U, nats; each bin stands at the mean of what fell into it."""

_MOST_BINS = 4000


class Reweighted(NamedTuple):
    """Answers at B inverse temperatures; float64, each [B, ...], the machines' batch last.

    Attributes:
      log_z: log Z(beta).
      log_z_stderr: its standard error, by the jackknife over the independent runs.
      mean_energy: <U> at beta, U = E_target - E_base; d log Z / d beta = -<U>.
      mean_energy_stderr: likewise.
    """

    log_z: np.ndarray
    log_z_stderr: np.ndarray
    mean_energy: np.ndarray
    mean_energy_stderr: np.ndarray


class _Histograms(NamedTuple):
    """One machine's: bins' mean energies [B]; their weights [R, T, B]; the sums' log scale."""

    energies: np.ndarray
    weights: np.ndarray
    log_scale: np.ndarray


def reweight(result: Result, betas: np.ndarray) -> Reweighted:
    """log Z and mean energy at any inverse temperatures in [0, 1], between the schedule's too.

    Args:
      result: of `population_annealing.run(..., keep_energies=True)`.
      betas: where to, [B].

    Raises:
      ValueError: the energies were not kept, or `betas` is not a list of numbers in [0, 1].
    """
    trace: Any = result.trace
    kept = trace.energies is not None
    expect(kept, "result", "no energies", "a run with keep_energies=True")
    betas = np.asarray(betas, np.float64)
    fit = betas.ndim == 1 and np.all((betas >= 0) & (betas <= 1))
    expect(fit, "betas", f"shape {betas.shape}", "[B], each in [0, 1]")
    answers = np.empty((4, len(betas), *result.log_z.shape))
    for member in np.ndindex(*result.log_z.shape):
        at = (slice(None), slice(None), *member)
        histograms = _histograms(trace.energies[at[1:]], trace.log_weights[at[1:]])
        answers[at] = _jackknife(histograms, trace.betas, betas)
    return Reweighted(*answers)


def _histograms(energies: np.ndarray, log_weights: np.ndarray) -> _Histograms:
    """Of energies and log-weights [T, R, C]; the weights' means over C are exp(-log_scale) Z."""
    num_temperatures, num_runs, num_chains = energies.shape
    low, high = energies.min(), energies.max()
    num_bins = int(np.clip((high - low) / BIN_WIDTH, 1, _MOST_BINS))
    # float32 keeps energies to some 1e-7 of them; the scaled place may round up to the end
    places = (energies.astype(np.float64) - low) * (num_bins / max(high - low, BIN_WIDTH))
    bins = np.minimum(places.astype(np.int64), num_bins - 1)
    log_scale = log_weights.max((1, 2))
    weights = np.exp(log_weights - log_scale[:, None, None]) / num_chains
    shape = (num_runs, num_temperatures, num_bins)
    rows = np.arange(num_runs * num_temperatures).reshape(shape[:2]).T[..., None]
    flat = (rows * num_bins + bins).ravel()
    histogram = np.bincount(flat, weights.ravel(), np.prod(shape)).reshape(shape)
    counts = np.bincount(bins.ravel(), minlength=num_bins)
    means = np.bincount(bins.ravel(), energies.ravel(), num_bins) / np.maximum(counts, 1)
    return _Histograms(means[counts > 0], histogram[:, :, counts > 0], log_scale)


def _jackknife(histograms: _Histograms, schedule: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """log Z, its error, mean energy, its error: [4, B]."""
    total = histograms.weights.sum(0)
    num_runs = len(histograms.weights)
    full = _answer(total / num_runs, histograms, schedule, betas)
    rest = [(total - one) / (num_runs - 1) for one in histograms.weights]
    without = np.stack([_answer(each, histograms, schedule, betas) for each in rest])
    stderr = np.sqrt((num_runs - 1) * without.var(0))
    return np.stack([full[0], stderr[0], full[1], stderr[1]])


def _answer(
    weights: np.ndarray, histograms: _Histograms, schedule: np.ndarray, betas: np.ndarray
) -> np.ndarray:
    """log Z and mean energy at `betas`, [2, B], from mean weights of each bin [T, bins]."""
    energies = histograms.energies
    log_z = histograms.log_scale + np.log(weights.sum(1))
    states = (weights / weights.sum(1, keepdims=True)).sum(0)
    density = -logsumexp(-schedule[:, None] * energies - log_z[:, None], 0)
    exponents = np.log(np.maximum(states, 1e-300)) + density - betas[:, None] * energies
    log_z = logsumexp(exponents, 1)
    return np.stack([log_z, np.exp(exponents - log_z[:, None]) @ energies])
