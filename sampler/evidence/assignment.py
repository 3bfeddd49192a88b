"""Which base counts which parts of Z: as few as see them all, so that errors cancel.

A base's chains end in one part or another: where it counts all of them, what one part lacks the
others have, and the error is that of its weights alone; where every part has a base of its own, the
random shares of the parts add to it. So a base that sees everything counts everything, and others
count only what it misses.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sampler.weights.estimates import IMPROBABLE, LEAST_ESS

_ERRORS = 3.0
_WORTH = 0.9
_LEAST_VARIANCE = 1e-12


class Table(NamedTuple):
    """What each base says of each part, float64; B bases, M parts.

    Attributes:
      log_z: log of the estimates of Z_j; -inf where a base's chains ended in other parts, [B, M].
      log_squares: log of the sums of squares of what the chains add to them, [B, M].
      reached: fraction of the chains that ended there, unweighted, [B, M].
      num_chains: of each base, [B].
    """

    log_z: np.ndarray
    log_squares: np.ndarray
    reached: np.ndarray
    num_chains: np.ndarray

    def joined(self, others: Sequence["Table"]) -> "Table":
        """All rows, these first."""
        return Table(*(np.concatenate(columns) for columns in zip(self, *others, strict=True)))


class Assignment(NamedTuple):
    """Who counts what.

    Attributes:
      base: of each part, [M]; -1 where no chain ended.
      errors: the standard deviation of what one chain of each base adds, relative to Z, [B].
    """

    base: np.ndarray
    errors: np.ndarray


def assign(found: Table, earlier: Sequence[Table] = (), to_come: bool = False) -> Assignment:
    """The bases of the parts for which the error of Z is least.

    With s_b the standard deviation of what one chain of base b adds, that error is
    sqrt(sum_b s_b^2 / C_b) for C_b chains, or sum_b s_b / sqrt(C) for C chains in the best
    proportions, C_b ~ s_b (Neyman). What a base misses, as others show that have found more, is an
    error too.

    Args:
      found: what may be chosen.
      earlier: tables of the same parts, which may show that a base misses something.
      to_come: for chains that may be had from any base, in place of those that there are.
    """
    judge = _Judge(found, earlier, to_come)
    best = np.where(judge.ess.max(0) > 0, judge.ess.argmax(0), -1)
    starts = [np.where(judge.ess[b] > 0, b, best) for b in range(len(judge.ess))]
    base = min([best, *starts], key=judge.error)
    while True:
        moved = min(judge.moves(base), key=judge.error, default=base)
        if judge.error(moved) > _WORTH * judge.error(base):
            return Assignment(base, judge.errors(base))
        base = moved


def apportioned(wanted: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers that add up to `total`, one at least, as near as may be to the wanted parts."""
    counts = np.ones(len(wanted), int)
    for _ in range(total - len(wanted)):
        counts[np.argmax(wanted / (counts + 0.5))] += 1
    return counts


class _Judge:
    """Errors of bases about parts, as far as their own and others' chains tell."""

    def __init__(self, found: Table, earlier: Sequence[Table], to_come: bool):
        self._to_come = to_come
        every = found.joined(earlier)
        top = every.log_z.max()
        self._values = np.exp(every.log_z - top)
        self._squares = np.exp(every.log_squares - 2 * top)
        self._counts = np.maximum(every.num_chains, 1)
        self._known: dict[tuple[int, bytes], float] = {}
        ess = self._values**2 / np.maximum(self._squares, np.finfo(float).tiny)
        sizes = np.take_along_axis(self._values, ess.argmax(0)[None], 0)[0]
        self._sizes = sizes / sizes.sum()
        self._lows = np.array([self._known_of(part)[2].max() for part in np.eye(len(ess[0])) > 0])
        self.ess = ess[: len(found.num_chains)]

    def moves(self, base: np.ndarray) -> list[np.ndarray]:
        """What differs from `base` [M] in one part."""
        others = np.argwhere((self.ess > 0) & (np.arange(len(self.ess))[:, None] != base))
        return [np.where(np.arange(len(base)) == j, b, base) for b, j in others]

    def error(self, base: np.ndarray) -> float:
        """Of Z if `base` [M] counts the parts; for chains to come, of one of them."""
        errors = self.errors(base)
        if self._to_come:
            return float(errors.sum())
        return float(np.sqrt(np.sum(errors**2 / self._counts[: len(errors)])))

    def errors(self, base: np.ndarray) -> np.ndarray:
        """Of each base's parts in `base`, for one chain, [B]."""
        return np.array([self._error(b, base == b) for b in range(len(self.ess))])

    def _error(self, b: int, parts: np.ndarray) -> float:
        key = b, parts.tobytes()
        if key not in self._known:
            self._known[key] = self._measured(b, parts) if parts.any() else 0.0
        return self._known[key]

    def _measured(self, b: int, parts: np.ndarray) -> float:
        log_z, stderr, low = self._known_of(parts)
        # what a single base has found there, or each of several in a part of its own
        most = max(low.max(), np.logaddexp.reduce(self._lows[parts]))
        missed = -np.expm1(min(log_z[b] - most, 0))
        return self._sizes[parts].sum() * np.hypot(stderr[b], missed) * np.sqrt(self._counts[b])

    def _known_of(self, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """log Z of these parts by each row of the tables, the errors, and lower bounds."""
        values, squares = self._values[:, parts].sum(1), self._squares[:, parts].sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ess, log_z = np.where(values > 0, values**2 / squares, 0), np.log(values)
            stderr = np.sqrt(np.maximum(1 / ess - 1 / self._counts, _LEAST_VARIANCE))
        return log_z, stderr, log_z - np.where(ess >= LEAST_ESS, _ERRORS * stderr, IMPROBABLE)
