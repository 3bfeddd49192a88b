r"""Z in parts: each region of states is counted by the runs that reach it best.

States are divided among modes: a state belongs to the mode whose independent units make it most
probable. For any such partition, and any base, annealed importance sampling is right for each part,

    E[mean_c w_c 1(x_c in R_j)] = sum_{x in R_j} p*(x) = Z_j,    Z = sum_j Z_j,

so that Z_j may be taken from whichever base sees R_j best, and two bases that differ on the same
Z_j beyond their errors contradict one another: the larger is right, since
P(estimate >= e^c Z_j) <= e^-c.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler.machines.machine import AnyMachine, State
from sampler.modes import Modes
from sampler.weights.estimates import CONTRADICTION, LEAST_ESS

CLIP = 0.05
"""Means are kept so far from their ends where modes compete for a state."""

_FLOOR = 1e-6


class Table(NamedTuple):
    """Estimates of each part's Z from each base, float64, [B, M] for B bases and M modes.

    Attributes:
      log_z: log of the estimates; -inf where a base's chains ended in other parts.
      stderr: their standard errors by the delta method; inf where there is none.
      ess: effective number of the chains that ended there.
      reached: fraction of the chains that ended there, unweighted.
    """

    log_z: np.ndarray
    stderr: np.ndarray
    ess: np.ndarray
    reached: np.ndarray


class Parts(NamedTuple):
    """What every chain contributes to the whole, and what the parts come from.

    Attributes:
      contributions: log of what each chain adds to the estimate of Z, float64, [R, C].
      shares: what each base contributes to a part, [B, M]; columns add up to 1.
      log_z, stderr, ess: of the whole Z.
    """

    contributions: np.ndarray
    shares: np.ndarray
    log_z: float
    stderr: float
    ess: float

    @property
    def base(self) -> np.ndarray:
        """The base that contributes most to each part, [M]."""
        return self.shares.argmax(0)


def labels(machine: AnyMachine, modes: Modes, state: State) -> np.ndarray:
    """The mode that each state [..., C, n_k] belongs to, int [..., C]."""
    scores: tf.Tensor | float = 0.0
    for family, mean, x in zip(machine.families, modes.means, state, strict=True):
        eta = family.natural(tf.constant(mean), CLIP)
        log_partition = tf.reduce_sum(family.log_partition(eta), -1)
        scores += tf.tensordot(x, eta, [[-1], [-1]]) - log_partition
    return tf.argmax(scores, -1).numpy()


def table(log_weights: np.ndarray, label: np.ndarray, base: np.ndarray, num_modes: int) -> Table:
    """The estimates from weighted chains.

    Args:
      log_weights: of the runs' chains, float64, [R, C].
      label: the part that each chain ended in, [R, C].
      base: the number of each run's base, [R]; runs of one base count as one.
      num_modes: M.
    """
    num_bases = int(base.max()) + 1
    shape = (num_bases, num_modes)
    log_z, stderr = np.full(shape, -np.inf), np.full(shape, np.inf)
    ess, reached = np.zeros(shape), np.zeros(shape)
    for b in range(num_bases):
        weights, where = log_weights[base == b].ravel(), label[base == b].ravel()
        for j in range(num_modes):
            here = weights[where == j]
            reached[b, j] = len(here) / len(weights)
            if len(here):
                total = np.logaddexp.reduce(here)
                log_z[b, j] = total - np.log(len(weights))
                ess[b, j] = np.exp(2 * total - np.logaddexp.reduce(2 * here))
                stderr[b, j] = np.sqrt(max(1 / ess[b, j] - 1 / len(weights), 0))
    return Table(log_z, stderr, ess, reached)


def choose(log_weights: np.ndarray, label: np.ndarray, base: np.ndarray, num_modes: int) -> Parts:
    """Each part's mean over the bases that nothing contradicts, weighted by their precision.

    A base's precision for a part grows with the number of its chains that ended there, as its
    estimate does; so the weights of one half of the chains come from the other half, and the mean
    stays unbiased. Arguments as for `table`.
    """
    whole = table(log_weights, label, base, num_modes)
    stands = np.stack(
        [_stands(*column) for column in zip(*(f.T for f in whole[:3]), strict=True)], 1
    )
    counts = np.bincount(base) * log_weights.shape[1] / 2
    contributions, mean_shares = np.empty_like(log_weights), np.zeros_like(whole.log_z)
    for i in range(2):
        mine, other = np.s_[:, i::2], np.s_[:, 1 - i :: 2]
        shares = _shares(table(log_weights[other], label[other], base, num_modes), stands)
        with np.errstate(divide="ignore"):
            scale = np.log(shares / counts[:, None] / 2)
        contributions[mine] = log_weights[mine] + scale[base[:, None], label[mine]]
        mean_shares += shares / 2
    return Parts(contributions, mean_shares, *_summed(contributions, base))


def _shares(found: Table, stands: np.ndarray) -> np.ndarray:
    """Shares [B, M] by precision among the bases that stand; alike where nothing is known."""
    precision = np.where(stands, np.maximum(found.stderr, _FLOOR) ** -2.0, 0)
    precision = np.where(precision.sum(0) > 0, precision, stands.astype(float))
    precision = np.where(precision.sum(0) > 0, precision, 1.0)
    return precision / precision.sum(0)


def _summed(contributions: np.ndarray, base: np.ndarray) -> tuple[float, float, float]:
    """log of the sum, its relative standard error, and the effective number of chains."""
    log_z = np.logaddexp.reduce(contributions.ravel())
    values = np.exp(contributions - log_z)
    runs = [values[base == b].ravel() for b in np.unique(base)]
    variance = sum(len(run) * run.var() for run in runs)
    return float(log_z), float(np.sqrt(variance)), float(1 / np.sum(values**2))


def _stands(log_z: np.ndarray, stderr: np.ndarray, ess: np.ndarray) -> np.ndarray:
    """Which bases [B] are not contradicted about a part by one of many effective chains."""
    believed = ess >= LEAST_ESS
    if not believed.any():
        return ess > 0
    low = (log_z - CONTRADICTION * stderr)[believed].max()
    return (ess > 0) & (log_z + CONTRADICTION * np.where(ess > 0, stderr, 0) >= low)
