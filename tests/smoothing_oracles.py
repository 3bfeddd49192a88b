"""Overlapping smoothings in NumPy float64: density and distribution function of r(zeta | 0)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import oracles
from scipy import integrate, optimize, special

UNIFORM_WEIGHT = 0.05


def density(name: str, sharpness: float, zeta: np.ndarray) -> np.ndarray:
    """r(zeta | 0)."""
    if name == "power":
        return zeta ** (1 / sharpness - 1) / sharpness
    if name == "exponential":
        return sharpness * np.exp(-sharpness * zeta) / (1 - np.exp(-sharpness))
    if name == "gaussian":
        height = sharpness * np.sqrt(2 / np.pi) / special.erf(sharpness / np.sqrt(2))
        return height * np.exp(-((sharpness * zeta) ** 2) / 2)
    rest = density("exponential", sharpness, zeta)
    return UNIFORM_WEIGHT + (1 - UNIFORM_WEIGHT) * rest


def cdf(name: str, sharpness: float, zeta: np.ndarray) -> np.ndarray:
    """R(zeta | 0)."""
    if name == "power":
        return zeta ** (1 / sharpness)
    if name == "exponential":
        return (1 - np.exp(-sharpness * zeta)) / (1 - np.exp(-sharpness))
    if name == "gaussian":
        return special.erf(sharpness * zeta / np.sqrt(2)) / special.erf(sharpness / np.sqrt(2))
    rest = cdf("exponential", sharpness, zeta)
    return UNIFORM_WEIGHT * zeta + (1 - UNIFORM_WEIGHT) * rest


def mixture_cdf(name: str, sharpness: float, logit: float, zeta: np.ndarray) -> np.ndarray:
    """P(unit <= zeta), q r(. | 1) + (1 - q) r(. | 0) integrated."""
    q = special.expit(logit)
    below1 = 1 - cdf(name, sharpness, 1 - zeta)
    return q * below1 + (1 - q) * cdf(name, sharpness, zeta)


def mixture_quantile(name: str, sharpness: float, logit: float, level: float) -> float:
    """The zeta at which `mixture_cdf` is `level`."""

    def excess(zeta: float) -> float:
        return float(mixture_cdf(name, sharpness, logit, zeta)) - level

    return float(optimize.brentq(excess, 0.0, 1.0, xtol=1e-15, rtol=1e-14))


def half_integral(integrand: Callable[[np.ndarray], np.ndarray]) -> float:
    """The integral over zeta from 0 to 1/2 of functions like zeta^(-29/30), by zeta = exp(-s)."""
    s = np.linspace(np.log(2), 705, 20_001)
    zeta = np.exp(-s)
    return float(integrate.simpson(integrand(zeta) * zeta, x=s))


def terms(name: str, sharpness: float, zeta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a = log r(zeta | 1) - log r(zeta | 0) and c = log r(zeta | 0)."""
    zeta = np.asarray(zeta, np.float64)
    c = np.log(density(name, sharpness, zeta))
    return np.log(density(name, sharpness, 1 - zeta)) - c, c


def kl(name: str, sharpness: float, logit: float, prior_logit: float) -> float:
    """KL between the mixtures of one unit with two logits."""

    def at(sign: int, zeta: np.ndarray) -> np.ndarray:
        # the upper half of [0, 1] is the lower half of the unit with the opposite logit
        a, c = terms(name, sharpness, zeta)
        mine, prior = sign * logit, sign * prior_logit
        log_q = c + np.logaddexp(0, mine + a) - np.logaddexp(0, mine)
        log_p = c + np.logaddexp(0, prior + a) - np.logaddexp(0, prior)
        return np.exp(log_q) * (log_q - log_p)

    return half_integral(lambda zeta: at(1, zeta) + at(-1, zeta))


def mean_field(
    rbm: tuple[np.ndarray, ...], a1: np.ndarray, a2: np.ndarray, sweeps: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Means of each side after alternating updates from 1/2, for biases raised by a1 and a2."""
    b1, b2, w = (np.asarray(x, np.float64) for x in rbm)
    m1, m2 = np.full(len(b1), 0.5), np.full(len(b2), 0.5)
    for _ in range(sweeps):
        for i in range(len(b1)):
            m1[i] = special.expit(b1[i] + a1[i] + sum(w[i, j] * m2[j] for j in range(len(b2))))
        for j in range(len(b2)):
            m2[j] = special.expit(b2[j] + a2[j] + sum(w[i, j] * m1[i] for i in range(len(b1))))
    return m1, m2


def bound(
    name: str,
    sharpness: float,
    rbm: tuple[np.ndarray, ...],
    zeta1: np.ndarray,
    zeta2: np.ndarray,
    means: tuple[np.ndarray, np.ndarray],
) -> float:
    """-E(m) + sum(a m + c) + H(m) of one pair of states, at given means."""
    value = -oracles.energy(*rbm, *means)
    for zeta, m in ((zeta1, means[0]), (zeta2, means[1])):
        a, c = terms(name, sharpness, zeta)
        value += float(np.sum(a * m + c + special.entr(m) + special.entr(1 - m)))
    return value


def log_sum(
    name: str,
    sharpness: float,
    rbm: tuple[np.ndarray, ...],
    zeta1: np.ndarray,
    zeta2: np.ndarray,
) -> float:
    """log of the sum over all z of exp(-E(z)) r(zeta | z), by enumeration."""
    b1, b2, w = rbm
    (a1, c1), (a2, c2) = terms(name, sharpness, zeta1), terms(name, sharpness, zeta2)
    return oracles.log_z(b1 + a1, b2 + a2, w) + float(c1.sum() + c2.sum())
