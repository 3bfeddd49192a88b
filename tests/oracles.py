"""Exact answers about small RBMs, in NumPy float64, by enumeration of all states.

Shares no code with what it checks. An RBM is three arrays: b1 [n1], b2 [n2], w [n1, n2], with
E(z1, z2) = -(b1'z1 + b2'z2 + z1'W z2); tables over states are [2^n1, 2^n2], in the order of
`states`. Loops and plain sums are preferred to speed.
"""

from __future__ import annotations

import numpy as np


def states(n: int) -> np.ndarray:
    """All 2^n binary rows, [2^n, n]; row i holds the bits of i, the highest first."""
    return np.array([[i >> (n - 1 - k) & 1 for k in range(n)] for i in range(2**n)], np.float64)


def index(z: np.ndarray) -> np.ndarray:
    """The row of `states` that each binary z [..., n] is: int64, [...]."""
    z = np.asarray(z, np.int64)
    return z @ (1 << np.arange(z.shape[-1])[::-1])


def energy(b1: np.ndarray, b2: np.ndarray, w: np.ndarray, z1: np.ndarray, z2: np.ndarray) -> float:
    """E(z1, z2) of one pair of states, z1 [n1] and z2 [n2]."""
    b1, b2, w, z1, z2 = (np.asarray(x, np.float64) for x in (b1, b2, w, z1, z2))
    return -float(b1 @ z1 + b2 @ z2 + z1 @ w @ z2)


def energies(b1: np.ndarray, b2: np.ndarray, w: np.ndarray) -> np.ndarray:
    """E of every pair of states, [2^n1, 2^n2]."""
    b1, b2, w = (np.asarray(x, np.float64) for x in (b1, b2, w))
    s1, s2 = states(len(b1)), states(len(b2))
    return -((s1 @ b1)[:, None] + (s2 @ b2)[None, :] + s1 @ w @ s2.T)


def log_z(b1: np.ndarray, b2: np.ndarray, w: np.ndarray) -> float:
    """log of the sum of exp(-E) over all states."""
    exponents = -energies(b1, b2, w)
    largest = exponents.max()
    return float(largest + np.log(np.exp(exponents - largest).sum()))


def probabilities(b1: np.ndarray, b2: np.ndarray, w: np.ndarray) -> np.ndarray:
    """p(z1, z2) of every pair of states, [2^n1, 2^n2]."""
    exponents = -energies(b1, b2, w)
    weights = np.exp(exponents - exponents.max())
    return weights / weights.sum()


def mean1(b1: np.ndarray, b2: np.ndarray, w: np.ndarray) -> np.ndarray:
    """E[z1], [n1]."""
    return probabilities(b1, b2, w).sum(1) @ states(len(b1))


def mean2(b1: np.ndarray, b2: np.ndarray, w: np.ndarray) -> np.ndarray:
    """E[z2], [n2]."""
    return probabilities(b1, b2, w).sum(0) @ states(len(b2))


def pairs(b1: np.ndarray, b2: np.ndarray, w: np.ndarray) -> np.ndarray:
    """E[z1 z2'], [n1, n2]."""
    return states(len(b1)).T @ probabilities(b1, b2, w) @ states(len(b2))


def moments(b1: np.ndarray, b2: np.ndarray, w: np.ndarray) -> np.ndarray:
    """E[z1], E[z2] and E[z1 z2'] in one row, [n1 + n2 + n1 n2]: the means of `statistics`."""
    return np.concatenate([mean1(b1, b2, w), mean2(b1, b2, w), pairs(b1, b2, w).ravel()])


def statistics(z1: np.ndarray, z2: np.ndarray) -> np.ndarray:
    """z1, z2 and z1 z2' of pairs of states, [..., n1 + n2 + n1 n2], in the order of `moments`."""
    z1, z2 = np.asarray(z1, np.float64), np.asarray(z2, np.float64)
    products = z1[..., :, None] * z2[..., None, :]
    return np.concatenate([z1, z2, products.reshape(*z1.shape[:-1], -1)], -1)


def samples(
    b1: np.ndarray, b2: np.ndarray, w: np.ndarray, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Exact independent samples, z1 [count, n1] and z2 [count, n2], drawn from the table."""
    table = probabilities(b1, b2, w)
    drawn = generator.choice(table.size, count, p=table.ravel())
    rows1, rows2 = np.unravel_index(drawn, table.shape)
    return states(len(b1))[rows1], states(len(b2))[rows2]


def sweep_kernel(b1: np.ndarray, b2: np.ndarray, w: np.ndarray) -> np.ndarray:
    """P(z2' | z2) of one Gibbs sweep (z1 given z2, then z2' given z1), [2^n2, 2^n2]."""
    table = probabilities(b1, b2, w)
    z1_given_z2 = (table / table.sum(0)).T
    z2_given_z1 = table / table.sum(1, keepdims=True)
    return z1_given_z2 @ z2_given_z1


def after_sweeps(
    b1: np.ndarray, b2: np.ndarray, w: np.ndarray, start: np.ndarray, count: int
) -> np.ndarray:
    """The law of (z1, z2) after `count` sweeps from z2 = start, [2^n1, 2^n2]."""
    table = probabilities(b1, b2, w)
    before = np.linalg.matrix_power(sweep_kernel(b1, b2, w), count - 1)[index(start)]
    z1 = before @ (table / table.sum(0)).T
    return z1[:, None] * table / table.sum(1, keepdims=True)


def kl(p: np.ndarray, q: np.ndarray) -> float:
    """KL(p || q) of two tables of probabilities, in nats; infinite where q is 0 and p is not."""
    p, q = np.asarray(p, np.float64).ravel(), np.asarray(q, np.float64).ravel()
    if np.any(q[p > 0] == 0):
        return float("inf")
    return float(np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0])))


def entropy(p: np.ndarray) -> float:
    """-sum p log p of a table of probabilities, in nats."""
    p = np.asarray(p, np.float64).ravel()
    return -float(np.sum(p[p > 0] * np.log(p[p > 0])))


def parameters(
    generator: np.random.Generator, n1: int, n2: int, scale: float, batch: tuple[int, ...] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random b1, b2, w with leading dimensions `batch`: float32, normal with sd `scale`."""
    shapes = ((*batch, n1), (*batch, n2), (*batch, n1, n2))
    b1, b2, w = ((scale * generator.normal(size=shape)).astype(np.float32) for shape in shapes)
    return b1, b2, w


def mean_and_stderr(x: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and its standard error of independent values along an axis."""
    x = np.asarray(x, np.float64)
    return x.mean(axis), x.std(axis, ddof=1) / np.sqrt(x.shape[axis])


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    """Pearson's statistic in its own standard deviations: (chi^2 - df) / sqrt(2 df)."""
    counts, expected = np.ravel(counts), np.ravel(expected)
    assert expected.min() >= 5, f"an expected count of {expected.min():.2g} is too small for chi^2"
    freedom = counts.size - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


def assert_within(
    estimate: np.ndarray, truth: np.ndarray, stderr: np.ndarray, slack: float = 0.0
) -> None:
    """|estimate - truth| <= 5 standard errors + slack (rounding), elementwise.

    A normal error passes 5 standard errors once in 1.7 million; tests that make thousands of such
    comparisons with fixed seeds are still quiet unless something is wrong.
    """
    error = np.abs(np.asarray(estimate, np.float64) - truth)
    allowed = 5 * np.asarray(stderr, np.float64) + slack
    assert np.all(np.isfinite(error)), "not finite"
    worst = np.unravel_index(np.argmax(error - allowed), error.shape)
    assert np.all(error <= allowed), (
        f"at {worst}: estimate {np.broadcast_to(estimate, error.shape)[worst]:.6g}, "
        f"truth {np.broadcast_to(truth, error.shape)[worst]:.6g}, "
        f"error {error[worst]:.3g}, allowed {np.broadcast_to(allowed, error.shape)[worst]:.3g}"
    )
