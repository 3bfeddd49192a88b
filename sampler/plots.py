"""Pictures of a run's diagnostics: a result and a title (what was run) in, Matplotlib figures out.

Of a batch, the machine with the smallest effective sample size is drawn. Figures are made without
pyplot, so that nothing global changes and no display is needed.
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sampler.populations.result import CHAINS_PER_RHO
from sampler.populations.result import Result as Annealed
from sampler.tempering.parallel_tempering import Result as Tempered
from sampler.weights.estimates import Estimate

BLUE, ORANGE, GREY = "#2a6f97", "#d1632a", "#8a8f98"
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
def weights(result: Estimate, title: str) -> Figure:
    """Histogram of AIS' log-weights about the log of their mean.

    Few chains far to the right of the rest carry the estimate: then the ESS is small.
    """
    log_weights = _one(result, result.samples.log_weights)
    centred = log_weights - np.logaddexp.reduce(log_weights) + np.log(len(log_weights))
    share = np.exp(centred) / len(centred)
    edges = np.histogram_bin_edges(centred, bins=min(40, max(10, len(centred) // 25))).tolist()
    figure, (axes,) = _figure(title)
    each = np.full(len(centred), 1 / len(centred))
    axes.hist(centred, edges, weights=each, color=GREY, alpha=0.55, label="chains")
    style: Any = {"histtype": "step", "color": ORANGE, "linewidth": 1.8}
    axes.hist(centred, edges, weights=share, label="their weight in the estimate", **style)
    axes.axvline(0, color=BLUE, linewidth=1.2, linestyle="--", label=r"estimate of $\log Z$")
    ess = _count(float(_one(result, result.ess)))
    axes.set_title(f"{title}\nESS {ess} of {_count(len(centred))} chains")
    axes.set(xlabel=r"log-weight minus estimate of $\log Z$ (nats)", ylabel="fraction per bin")
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper left")
    return figure


@_styled
def ess(result: Estimate, title: str) -> Figure:
    """AIS along beta: the ESS of the weights so far; a sudden fall asks for temperatures there."""
    figure, (axes,) = _figure(title)
    fractions = _one(result, result.trace.ess) / result.samples.log_weights.shape[-1]
    axes.plot(result.trace.betas, fractions, color=BLUE)
    axes.set(xlabel=_BETA, ylabel="ESS / chains", ylim=(0, 1.04))
    return figure


@_styled
def families(result: Annealed, title: str) -> Figure:
    """Population annealing along beta: the ESS of each step, and what is left of the families.

    All are means over the runs.
    """
    figure, (top, bottom) = _figure(title, 2)
    trace = result.trace
    size = result.samples.log_weights.shape[-1] // result.run_log_z.shape[-1]
    top.plot(trace.betas, _mean(result, trace.ess) / size, color=BLUE)
    top.set(ylabel="ESS / population", ylim=(0, 1.04))
    for values, color, label in (
        (trace.num_families, BLUE, "unique families"),
        (trace.rho_t, ORANGE, r"mean-square family size $\rho_t$"),
    ):
        bottom.plot(trace.betas, _mean(result, values), color=color, label=label)
    limit: Any = {"color": GREY, "linewidth": 1.2, "linestyle": "--"}
    bottom.axhline(size / CHAINS_PER_RHO, label=r"largest trusted $\rho_t$", **limit)
    bottom.set(xlabel=_BETA, ylabel="families", yscale="log", ylim=(0.8, 1.4 * size))
    bottom.legend()
    return figure


@_styled
def energy(result: Annealed, title: str) -> Figure:
    """The mean of the energy that beta multiplies, and its fluctuation: peaks mark transitions.

    That energy is E of the target less E of the base (zero for a uniform one).
    """
    figure, (top, bottom) = _figure(title, 2)
    betas, mean = result.trace.betas, _mean(result, result.trace.mean_energy)
    variance = _mean(result, result.trace.energy_variance)
    band: Any = {"color": BLUE, "alpha": 0.15, "linewidth": 0, "label": r"$\pm\sigma_E$"}
    top.fill_between(betas, mean - np.sqrt(variance), mean + np.sqrt(variance), **band)
    top.plot(betas, mean, color=BLUE, label=r"$\langle E\rangle$")
    top.set_ylabel(r"$E - E_{\mathrm{base}}$ (nats)")
    top.legend()
    bottom.plot(betas, variance, color=ORANGE)
    bottom.set(xlabel=_BETA, ylabel=r"Var $E$ (nats$^2$)", ylim=(0, None))
    return figure


@_styled
def swaps(result: Tempered, title: str) -> Figure:
    """Parallel tempering: how often neighbouring temperatures swap."""
    figure, (axes,) = _figure(title)
    rates = _one(result, result.swap_rates)
    axes.stairs(rates, result.betas, color=BLUE, fill=True, alpha=0.25)
    axes.stairs(rates, result.betas, color=BLUE, linewidth=1.8)
    axes.set(xlabel=_BETA, ylabel="accepted swaps (fraction)", xlim=(0, 1), ylim=(0, 1.04))
    return figure


KINDS: dict[str, tuple[Any, ...]] = {
    "ais": (weights, ess),
    "pa": (families, energy),
    "pt": (swaps,),
}
"""The pictures of each of the command line's methods; a file's name ends in the function's."""


def worst(result: Any) -> int:
    """The number, in the flattened batch, of the machine with the smallest ESS."""
    return int(np.argmin(result.ess))


def save(figure: Figure, folder: str, name: str, kind: str) -> Path:
    """Writes FOLDER/NAME_KIND.png."""
    path = Path(folder) / f"{name}_{kind}.png"
    figure.savefig(path, dpi=150)
    return path


def _one(result: Any, values: Any, first: int = 0) -> np.ndarray:
    """The worst machine's part of values, of which the batch's axes come after the first ones."""
    values, batch = np.asarray(values), np.shape(result.ess)
    rest = values.shape[first + len(batch) :]
    return values.reshape(*values.shape[:first], -1, *rest).take(worst(result), first)


def _mean(result: Any, values: np.ndarray) -> np.ndarray:
    """Values [T, ..., R] of the worst machine, averaged over its runs, [T]."""
    return _one(result, values, 1).mean(-1)


def _figure(title: str, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure with `rows` panels over one axis."""
    figure = Figure(figsize=(6.4, 2.1 + 1.8 * rows), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    axes[0].set_title(title)
    return figure, list(axes)


def _count(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"
