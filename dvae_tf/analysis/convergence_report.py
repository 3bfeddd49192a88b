"""Fig. 3: the experiment, its table, figure and reading."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dvae_tf import report
from dvae_tf.analysis.comparison import Case, compare
from dvae_tf.analysis.convergence import TARGET
from dvae_tf.analysis.options import ComparisonSettings as Settings
from sampler.machines.machine import AnyMachine
from sampler.plots import BLUE, GREY, ORANGE

GREEN = "#4f8a4b"
_COLOURS = {"biases": BLUE, "means": GREEN, "uniform": ORANGE}

_MEASURES = ("std", "predicted")
"""Fields of a `Curve`: the spread as measured, and as estimated from the weights."""


def write(
    posteriors: AnyMachine,
    prior: AnyMachine,
    settings: Settings,
    seed: tf.Tensor,
    output_dir: Path,
) -> None:
    """Compares posteriors [B] with the prior, and writes partition_function.* into a folder."""
    cases = compare(posteriors, prior, settings, seed)
    drawn, text = figure(cases), reading(cases, settings)
    report.save(output_dir, "partition_function", rows(cases), drawn, text)


def rows(cases: list[Case]) -> list[dict[str, object]]:
    """A row for each RBM, base and number of temperatures."""
    return [
        {
            "rbm": case.rbm if case.rbm == "prior" else f"{case.rbm} {i}",
            "base": case.base,
            "num_temperatures": int(count),
            "mean_abs_error": f"{case.curve.error[p, i]:.6f}",
            "std": f"{case.curve.std[p, i]:.6f}",
            "std_from_weights": f"{case.curve.predicted[p, i]:.6f}",
            "log_z": f"{case.truth.log_z[i]:.5f}",
            "log_z_stderr": f"{case.truth.stderr[i]:.5f}",
            "log_z_gap": f"{case.truth.gap[i]:.5f}",
        }
        for case in cases
        for i in range(len(case.truth.log_z))
        for p, count in enumerate(case.curve.num_temperatures)
    ]


def figure(cases: list[Case]) -> Figure:
    """The paper's two panels: thin lines are RBMs, thick ones their geometric means.

    Dashed: the spread estimated from the weights, which few repeats do not make noisy.
    """
    error, spread = "a) error (dotted: the truth's own)", "b) spread (dashed: by the weights)"
    count = "number of temperatures"
    drawn, (left, right) = report.panels(
        (9.5, 3.9),
        (error, count, r"mean $|\log\hat Z-\log Z|$, nats"),
        (spread, count, r"std of $\log\hat Z$, nats"),
    )
    for axes in (left, right):
        axes.loglog()
        axes.set_xscale("log", base=2)
    for case in cases:
        colour = _COLOURS[case.base]
        _draw(left, case, case.curve.error)
        _draw(right, case, case.curve.std)
        by_weights = np.exp(np.log(case.curve.predicted).mean(1))
        right.plot(case.curve.num_temperatures, by_weights, color=colour, linestyle="--")
        left.axhline(case.truth.stderr.max(), color=colour, linewidth=0.9, linestyle=":")
    right.axhline(TARGET, color=GREY, linewidth=1)
    right.legend(frameon=False)
    return drawn


def _draw(axes: Axes, case: Case, values: np.ndarray) -> None:
    counts, colour = case.curve.num_temperatures, _COLOURS[case.base]
    if values.shape[1] > 1:
        axes.plot(counts, values, color=colour, linewidth=0.7, alpha=0.45)
    label = f"{case.rbm}, from {'its ' * (case.base != 'uniform')}{case.base}"
    middle = np.exp(np.log(values).mean(1))
    axes.plot(counts, middle, color=colour, marker="o", markersize=3.5, label=label)


def reading(cases: list[Case], settings: Settings) -> str:
    """One paragraph: temperatures needed, their ratios, and the accuracy of the true log Z."""
    prior = next(case for case in cases if case.rbm == "prior")
    lines = [_needed(case, prior) for case in cases]
    return (
        f"Standard deviation of log Z over {settings.num_repeats} AIS runs of "
        f"{settings.num_chains} chains, which falls to {TARGET:g} nats at: {'; '.join(lines)} "
        f"(the paper: about 10). In parentheses the same from the spread of the weights of all "
        f"chains, which is less noisy. The true log Z is the mean of forward and backward AIS: "
        f"{_sureness([c for c in cases if c is not prior])} for posteriors, "
        f"{_sureness([prior])} for the prior."
    )


def _sureness(cases: list[Case]) -> str:
    """Accuracy of the true log Z that the cases share, and the smallest error measured with it."""
    truth = cases[0].truth
    smallest = min(case.curve.error.min() for case in cases)
    return (
        f"standard error at most {truth.stderr.max():.1g} (backward - forward at most "
        f"{abs(truth.gap).max():.1g}; smallest mean error plotted {smallest:.1g})"
    )


def _needed(case: Case, prior: Case) -> str:
    """Temperatures that a case needs, in the median over its RBMs, compared with the prior's."""
    of_case, of_prior = ([np.median(c.needed(f)) for f in _MEASURES] for c in (case, prior))
    most = case.curve.num_temperatures[-1]
    measured, by_weights = (f"above {most:.0f}" if np.isnan(n) else f"{n:.0f}" for n in of_case)
    text = f"{measured} ({by_weights}) temperatures for "
    if case is prior:
        return text + f"the prior, annealed from the {case.base} distribution"
    ratios = np.divide(of_prior, of_case)
    shown = ["an unknown number of" if np.isnan(r) else f"{r:.1f}" for r in ratios]
    return (
        text + f"{case.curve.std.shape[1]} posteriors, annealed from their {case.base} (the "
        f"median), of which the prior needs {shown[0]} ({shown[1]}) times as many"
    )
