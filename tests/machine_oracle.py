"""Exact answers about small machines of blocks, in NumPy float64; shares no code with the sampler.

A machine is `kinds` (of each block "bernoulli", "spin", ("gaussian", precision) or ("categorical",
q)), fields [n_k] and couplings {(k, l): [n_k, n_l]}. The states of all discrete blocks are listed;
Gaussian units are integrated out by completing the square.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

MOST_STATES = 2**13


class Exact(NamedTuple):
    """What is known of one machine; blocks' units stand side by side, n in all.

    Attributes:
      log_z: a number.
      means, second: E[x], [n], and E[x x'], [n, n].
      states: of the discrete units, [S, n]; 0 at Gaussian ones.
      probabilities: of the states, [S].
      shift, cov: of the Gaussian units given a state, mean [S, n] and covariance [n, n]; 0 at
        discrete ones.
    """

    log_z: float
    means: np.ndarray
    second: np.ndarray
    states: np.ndarray
    probabilities: np.ndarray
    shift: np.ndarray
    cov: np.ndarray

    def sample(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Independent samples, [count, n]."""
        rows = generator.choice(len(self.states), count, p=self.probabilities)
        noise = generator.multivariate_normal(np.zeros(len(self.cov)), self.cov, count)
        return self.states[rows] + self.shift[rows] + noise


def unit_values(kind: Any) -> np.ndarray:
    """The states of a discrete unit, [values, width]."""
    if kind == "bernoulli":
        return np.array([[0.0], [1.0]])
    if kind == "spin":
        return np.array([[-1.0], [1.0]])
    return np.eye(kind[1])


def is_gaussian(kind: Any) -> bool:
    return kind[0] == "gaussian"


def width(kind: Any) -> int:
    return kind[1] if kind[0] == "categorical" else 1


def num_states(kinds: list, units: list[int]) -> int:
    """How many states all discrete blocks have together."""
    pairs = zip(kinds, units, strict=True)
    return int(np.prod([len(unit_values(k)) ** float(n) for k, n in pairs if not is_gaussian(k)]))


def solve(kinds: list, fields: list, couplings: dict) -> Exact:
    """The exact answers about one machine."""
    sizes = [len(f) for f in fields]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    total = starts[-1]
    field, w = np.concatenate(fields).astype(np.float64), np.zeros((total, total))
    for (k, l), matrix in couplings.items():
        w[starts[k] : starts[k + 1], starts[l] : starts[l + 1]] = matrix
    w += w.T
    real = np.repeat([is_gaussian(kind) for kind in kinds], sizes)
    precision = np.concatenate(
        [np.full(n, kind[1] if is_gaussian(kind) else 0.0) for kind, n in zip(kinds, sizes)]  # noqa: B905
    )[real]
    x = _list_states(kinds, sizes)
    # log p* of the discrete units alone, then the integral over the real ones given them
    exponents = x @ field + np.einsum("si,ij,sj->s", x, w, x) / 2
    inverse = np.linalg.inv(np.diag(precision) - w[np.ix_(real, real)])
    h = field[real] + x @ w[:, real]
    exponents += np.einsum("si,ij,sj->s", h, inverse, h) / 2
    log_det = np.linalg.slogdet(inverse)[1]
    exponents += (log_det + np.log(precision).sum()) / 2
    largest = exponents.max()
    weights = np.exp(exponents - largest)
    probabilities = weights / weights.sum()
    shift, cov = np.zeros_like(x), np.zeros((total, total))
    shift[:, real] = h @ inverse
    cov[np.ix_(real, real)] = inverse
    rows = x + shift
    second = (probabilities[:, None] * rows).T @ rows + cov
    log_z = float(largest + np.log(weights.sum()))
    return Exact(log_z, probabilities @ rows, second, x, probabilities, shift, cov)


def _list_states(kinds: list, sizes: list[int]) -> np.ndarray:
    """All states of the discrete units, 0 at Gaussian ones, [S, n]."""
    rows = np.zeros((1, 0))
    for kind, size in zip(kinds, sizes, strict=True):
        if is_gaussian(kind):
            rows = np.concatenate([rows, np.zeros((len(rows), size))], 1)
            continue
        for _ in range(size // width(kind)):
            values = unit_values(kind)
            rows = np.concatenate(
                [np.repeat(rows, len(values), 0), np.tile(values, (len(rows), 1))], 1
            )
    return rows


def structure(generator: np.random.Generator, num_blocks: int) -> tuple[list, list[int]]:
    """Random kinds of blocks and numbers of units, 1 to 6, few enough states to list."""
    kinds_of = ["bernoulli", "spin", ("gaussian", 1.0), ("gaussian", 2.5), ("categorical", 3)]
    while True:
        kinds = [kinds_of[i] for i in generator.integers(0, 5, num_blocks)]
        units = [int(n) for n in generator.integers(1, 7, num_blocks)]
        if num_states(kinds, units) <= MOST_STATES:
            return kinds, units


def random_machines(
    generator: np.random.Generator, kinds: list, units: list[int], count: int
) -> tuple[list, dict]:
    """Fields and couplings of `count` machines of scales 0.1, ..., 3, float32, batch axis first.

    Couplings between Gaussian blocks are scaled so that the joint precision has its eigenvalues, in
    units of the precisions, above 0.2.
    """
    sizes = [width(kind) * n for kind, n in zip(kinds, units, strict=True)]
    scale = np.geomspace(0.1, 3, count)[:, None]
    fields = [scale * generator.normal(size=(count, n)) for n in sizes]
    couplings = {}
    real = [k for k, kind in enumerate(kinds) if is_gaussian(kind)]
    for k, l in itertools.combinations(range(len(kinds)), 2):
        w = scale[..., None] * generator.normal(size=(count, sizes[k], sizes[l]))
        if k in real and l in real:
            # each of the norms below 0.8 / (number of Gaussian blocks - 1), so their sum below 0.8
            norm = np.linalg.norm(w, 2, (-2, -1))[:, None, None]
            bound = 0.8 * np.sqrt(kinds[k][1] * kinds[l][1]) / (len(real) - 1)
            w *= np.minimum(1, bound / norm)
        elif k in real or l in real:
            # a real unit couples the others by the square of this
            w /= np.sqrt(sizes[k] + sizes[l])
        couplings[k, l] = w.astype(np.float32)
    return [f.astype(np.float32) for f in fields], couplings


def solve_each(kinds: list, fields: list, couplings: dict) -> list[Exact]:
    """`solve` of each machine of a batch."""
    return [
        solve(kinds, [f[i] for f in fields], {pair: w[i] for pair, w in couplings.items()})
        for i in range(len(fields[0]))
    ]
