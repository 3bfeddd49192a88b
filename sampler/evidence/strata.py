r"""Z in parts: each region of states is counted by the runs that reach it best.

States are divided among modes: a state belongs to the mode whose independent units make it most
probable. For any such partition, and any base, annealed importance sampling is right for each part,
and for any union of parts,

    E[mean_c w_c 1(x_c in R_j)] = sum_{x in R_j} p*(x) = Z_j,    Z = sum_j Z_j,

so that Z_j may be taken from whichever base sees R_j best, and two bases that differ on the same
parts beyond their errors contradict one another: the larger is right, since
P(estimate >= e^c Z_j) <= e^-c.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler.evidence.assignment import Table, assign
from sampler.machines.machine import AnyMachine, State
from sampler.modes import Modes

CLIP = 0.05
"""Means are kept so far from their ends where modes compete for a state."""


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


def table(log_weights: np.ndarray, label: np.ndarray, base: np.ndarray, shape: tuple) -> Table:
    """The estimates from weighted chains.

    Args:
      log_weights: of the runs' chains, float64, [R, C].
      label: the part that each chain ended in, [R, C].
      base: the number of each run's base, [R]; runs of one base count as one.
      shape: (B, M).
    """
    log_z, log_squares = np.full(shape, -np.inf), np.full(shape, -np.inf)
    reached, count = np.zeros(shape), np.bincount(base, minlength=shape[0]) * label.shape[1]
    for b in np.unique(base):
        weights, where = log_weights[base == b].ravel() - np.log(count[b]), label[base == b].ravel()
        for j in np.unique(where):
            here = weights[where == j]
            reached[b, j] = len(here) / count[b]
            log_z[b, j] = np.logaddexp.reduce(here)
            log_squares[b, j] = np.logaddexp.reduce(2 * here)
    return Table(log_z, log_squares, reached, count)


def choose(
    log_weights: np.ndarray,
    label: np.ndarray,
    base: np.ndarray,
    shape: tuple[int, int],
    earlier: Sequence[Table] = (),
) -> Parts:
    """Each part from one base, that which `assign` finds best.

    One half of the chains says which bases count in the other half, so that the sum stays unbiased;
    a part that nothing was known of counts from all. Arguments as for `table`; `earlier` as for
    `assign`.
    """
    contributions, mean_shares = np.empty_like(log_weights), np.zeros(shape)
    for i in range(2):
        mine, other = np.s_[:, i::2], np.s_[:, 1 - i :: 2]
        found = table(log_weights[other], label[other], base, shape)
        best = assign(found, earlier).base
        own = np.arange(shape[0])[:, None] == best
        shares = np.where(best >= 0, own, found.num_chains[:, None])
        shares = shares / shares.sum(0)
        counts = np.bincount(base, minlength=shape[0]) * label[mine].shape[1]
        with np.errstate(divide="ignore"):
            scale = np.log(shares / np.maximum(counts, 1)[:, None] / 2)
        contributions[mine] = log_weights[mine] + scale[base[:, None], label[mine]]
        mean_shares += shares / 2
    return Parts(contributions, mean_shares, *_summed(contributions, base))


def _summed(contributions: np.ndarray, base: np.ndarray) -> tuple[float, float, float]:
    """log of the sum, its relative standard error, and the effective number of chains."""
    log_z = np.logaddexp.reduce(contributions.ravel())
    values = np.exp(contributions - log_z)
    # the halves count in ways of their own
    runs = [values[base == b, i::2].ravel() for b in np.unique(base) for i in range(2)]
    variance = sum(len(run) * run.var() for run in runs)
    return float(log_z), float(np.sqrt(variance)), float(1 / np.sum(values**2))
