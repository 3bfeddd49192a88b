"""Pictures of a run's diagnostics: NumPy arrays in, Matplotlib figures out.

Figures are made without pyplot, so that nothing global changes and no display is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#2a6f97", "#d1632a", "#8a8f98"
TRUSTED_FAMILIES = 100.0
"""A population of R is trusted while R is at least so many times rho_t."""

_STYLE: Any = {
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5b6068",
    "axes.labelcolor": "#22262b",
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": "#5b6068",
    "ytick.color": "#5b6068",
    "lines.linewidth": 1.8,
    "legend.frameon": False,
}
_styled = matplotlib.rc_context(_STYLE)  # a decorator
_BETA = r"inverse temperature $\beta$"


@_styled
def weights(log_weights: np.ndarray, ess: float, title: str) -> Figure:
    """Histogram of AIS' log-weights about the log of their mean.

    Few chains far to the right of the rest carry the estimate: then the ESS is small.

    Args:
      log_weights: [C], in nats.
      ess: their effective sample size.
      title: what was run.
    """
    log_weights = np.asarray(log_weights, np.float64)
    centred = log_weights - _log_mean_exp(log_weights)
    share = np.exp(centred) / len(centred)
    edges = np.histogram_bin_edges(centred, bins=min(40, max(10, len(centred) // 25))).tolist()
    figure, (axes,) = _figure(1)
    each = np.full(len(centred), 1 / len(centred))
    axes.hist(centred, edges, weights=each, color=GREY, alpha=0.55, label="chains")
    axes.hist(
        centred,
        edges,
        weights=share,
        histtype="step",
        color=ORANGE,
        linewidth=1.8,
        label="their weight in the estimate",
    )
    axes.axvline(0, color=BLUE, linewidth=1.2, linestyle="--", label=r"estimate of $\log Z$")
    axes.set_title(f"{title}\nESS {_count(ess)} of {_count(len(centred))} chains")
    axes.set_xlabel(r"log-weight minus estimate of $\log Z$ (nats)")
    axes.set_ylabel("fraction per bin")
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper left")
    return figure


@_styled
def ess(betas: np.ndarray, ess: np.ndarray, title: str) -> Figure:
    """AIS along beta: the ESS of the weights so far; a sudden fall asks for temperatures there.

    Args:
      betas: [T].
      ess: effective fraction of the chains at each temperature, [T].
      title: what was run.
    """
    figure, (axes,) = _figure(1)
    axes.plot(betas, ess, color=BLUE)
    axes.set_ylim(0, 1.04)
    axes.set_title(title)
    axes.set_xlabel(_BETA)
    axes.set_ylabel("ESS / chains")
    return figure


@_styled
def families(
    betas: np.ndarray, ess: np.ndarray, rho_t: np.ndarray, unique: np.ndarray, size: int, title: str
) -> Figure:
    """Population annealing along beta: the ESS of each step, and what is left of the families.

    Args:
      betas: [T].
      ess: effective fraction of the population at each step, before resampling, [T].
      rho_t: mean-square family size, [T].
      unique: number of families that have descendants, [T].
      size: of the population, R.
      title: what was run.
    """
    figure, (top, bottom) = _figure(2)
    top.plot(betas, ess, color=BLUE)
    top.set_ylim(0, 1.04)
    top.set_ylabel("ESS / population")
    top.set_title(title)
    limit = size / TRUSTED_FAMILIES
    bottom.plot(betas, unique, color=BLUE, label="unique families")
    bottom.plot(betas, rho_t, color=ORANGE, label=r"mean-square family size $\rho_t$")
    bottom.axhline(
        limit, color=GREY, linewidth=1.2, linestyle="--", label=r"largest trusted $\rho_t$"
    )
    bottom.set_yscale("log")
    bottom.set_ylim(0.8, 1.4 * size)
    bottom.set_ylabel("families")
    bottom.set_xlabel(_BETA)
    bottom.legend()
    return figure


@_styled
def energy(betas: np.ndarray, mean: np.ndarray, variance: np.ndarray, title: str) -> Figure:
    """The mean of the energy that beta multiplies, and its fluctuation: peaks mark transitions.

    That energy is E of the target less E of the base (zero for a uniform one).

    Args:
      betas: [T].
      mean, variance: of that energy, in nats and nats squared, [T].
      title: what was run.
    """
    figure, (top, bottom) = _figure(2)
    spread = np.sqrt(variance)
    top.fill_between(
        betas,
        mean - spread,
        mean + spread,
        color=BLUE,
        alpha=0.15,
        linewidth=0,
        label=r"$\pm\sigma_E$",
    )
    top.plot(betas, mean, color=BLUE, label=r"$\langle E\rangle$")
    top.set_ylabel(r"$E - E_{\mathrm{base}}$ (nats)")
    top.set_title(title)
    top.legend()
    bottom.plot(betas, variance, color=ORANGE)
    bottom.set_ylim(0, None)
    bottom.set_ylabel(r"Var $E$ (nats$^2$)")
    bottom.set_xlabel(_BETA)
    return figure


@_styled
def swaps(betas: np.ndarray, rates: np.ndarray, title: str) -> Figure:
    """Parallel tempering: how often neighbouring temperatures swap.

    Args:
      betas: [T].
      rates: accepted fraction between betas[t] and betas[t + 1], [T - 1].
      title: what was run.
    """
    figure, (axes,) = _figure(1)
    axes.stairs(rates, betas, color=BLUE, fill=True, alpha=0.25)
    axes.stairs(rates, betas, color=BLUE, linewidth=1.8)
    axes.set_ylim(0, 1.04)
    axes.set_xlim(0, 1)
    axes.set_title(title)
    axes.set_xlabel(_BETA)
    axes.set_ylabel("accepted swaps (fraction)")
    return figure


KINDS: dict[str, Callable[..., Figure]] = {
    "weights": weights,
    "ess": ess,
    "families": families,
    "energy": energy,
    "swaps": swaps,
}
"""Each kind of picture by its name, which ends the file's."""


def save(figure: Figure, folder: str, name: str, kind: str) -> Path:
    """Writes FOLDER/NAME_KIND.png."""
    path = Path(folder) / f"{name}_{kind}.png"
    figure.savefig(path, dpi=150)
    return path


def _figure(rows: int) -> tuple[Figure, list[Axes]]:
    """An empty figure with `rows` panels over one axis."""
    figure = Figure(figsize=(6.4, 2.1 + 1.8 * rows), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    return figure, list(axes)


def _count(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def _log_mean_exp(x: np.ndarray) -> float:
    return float(np.logaddexp.reduce(x) - np.log(len(x)))
