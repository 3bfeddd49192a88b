"""Fig. 1's tables, figure and reading, from the runs' numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dvae_tf.toys.estimators import ESTIMATORS
from dvae_tf.toys.gaussian_runs import START, TARGET, Gradients, Settings
from dvae_tf.toys.normal import Gaussian

GOAL = 1e-3
"""KL that the estimators are compared at, nats."""

FACTOR = 10.0
"""How far below REINFORCE an estimator should be."""

_COLOURS = ["#8a8f98", "#f2b134", "#d1632a", "#9c2f5b", "#5b2a86", "#2a6f97"]
COLOURS = dict(zip(ESTIMATORS, _COLOURS, strict=True))
"""By the estimator's name: Gibbs darkens with t."""

Quartiles = Mapping[str, np.ndarray]
"""KL's quartiles over runs at each record, [records, 3], by the estimator's name."""


class Comparison(NamedTuple):
    """An estimator beside REINFORCE; medians over the runs.

    Attributes:
      reached: the first recorded step with a KL of at most `GOAL`; -1 for none.
      ratio: REINFORCE's KL over this one's at that step.
      ahead: the first and the last recorded step with a ratio of at least `FACTOR`; empty for none.
      last: KL at the end, nats.
      last_ratio: REINFORCE's KL over this one's at the end.
    """

    reached: int
    ratio: float
    ahead: list[int]
    last: float
    last_ratio: float


def quartiles(histories: Mapping[str, Gaussian]) -> dict[str, np.ndarray]:
    """Quartiles of the KL over the runs, [records, 3]."""
    kls = {name: history.kl(TARGET).numpy() for name, history in histories.items()}
    return {name: np.quantile(kl, [0.25, 0.5, 0.75], axis=1).T for name, kl in kls.items()}


def compare(curves: Quartiles, record_every: int) -> dict[str, Comparison]:
    """Every estimator beside REINFORCE, by name."""
    reference = curves["REINFORCE"][:, 1]
    found = {}
    for name, curve in curves.items():
        ratios = reference / curve[:, 1]
        below = np.flatnonzero(curve[:, 1] <= GOAL)
        reached, ratio = (int(below[0]), ratios[below[0]]) if len(below) else (-1, np.nan)
        far = np.flatnonzero(ratios >= FACTOR) * record_every
        step = reached * record_every if len(below) else -1
        found[name] = Comparison(
            step,
            float(ratio),
            far[[0, -1]].tolist() if len(far) else [],
            *map(float, (curve[-1, 1], ratios[-1])),
        )
    return found


def curve_rows(curves: Quartiles, record_every: int) -> list[dict[str, object]]:
    """One row for each estimator and record."""
    return [
        {"estimator": name, "step": i * record_every, "kl_q25": low, "kl_median": mid, "kl_q75": up}
        for name, curve in curves.items()
        for i, (low, mid, up) in enumerate(curve.tolist())
    ]


def gradient_rows(gradients: Mapping[str, Gradients]) -> list[dict[str, object]]:
    """One row for each estimator and parameter."""
    names = ("mean_1", "mean_2", "log_diagonal_1", "log_diagonal_2", "below")
    return [
        {"estimator": estimator, "parameter": name, **dict(zip(found._fields, values, strict=True))}
        for estimator, found in gradients.items()
        for name, *values in zip(names, *(v.tolist() for v in found), strict=True)
    ]


def gradient_table(gradients: Mapping[str, Gradients]) -> str:
    """Norms of bias and deviation as fractions of the exact gradient's, a line an estimator."""
    lines = [f"{'gradient at a fixed phi':24}{'bias':>9}{'+-':>9}{'std':>9}  worst bias / s.e."]
    for name, found in gradients.items():
        parts = [_relative(v, found) for v in (found.bias, found.standard_error, found.deviation)]
        worst = np.max(abs(found.bias / found.standard_error))
        lines.append(f"{name:24}" + "".join(f"{v:9.4f}" for v in parts) + f"{worst:12.1f}")
    return "\n".join(lines)


def reading(curves: Quartiles, gradients: Mapping[str, Gradients], settings: Settings) -> str:
    """One paragraph; all numbers are those of this run."""
    found = compare(curves, settings.record_every)
    sweeps = [name for name in found if name.startswith("Gibbs")]
    best = min(found, key=lambda name: found[name].last)
    parts = [
        f"KL(q || p) of a two-dimensional Gaussian q to p, medians of {settings.num_runs} runs of "
        f"{settings.num_steps} steps (Adam, learning rate {settings.learning_rate:g}, "
        f"{settings.num_samples} sample(s) a step, from the standard normal)."
    ]
    parts += [_sentence(name, found[name]) for name in sweeps]
    parts.append(
        f"At the end REINFORCE has {found['REINFORCE'].last:.2g} and reparameterisation "
        f"{found['reparameterised'].last:.2g}; lowest: {best}."
    )
    biases = [f"{_relative(gradients[n].bias, gradients[n]):.1%}" for n in sweeps]
    worst = max(_significance(gradients[n]) for n in ("REINFORCE", "reparameterised"))
    deviations = [
        f"{_relative(gradients[n].deviation, gradients[n]):.2g} ({n})"
        for n in ("REINFORCE", sweeps[0], sweeps[-1], "reparameterised")
    ]
    parts.append(
        f"At a fixed phi the bias of the Gibbs gradients is {', '.join(biases)} of the exact "
        f"gradient's norm, REINFORCE's and reparameterisation's within {worst:.1f} standard errors "
        f"of none; a one-sample gradient deviates by {', '.join(deviations)} times that norm. "
        "All noise and bias vanish with log q - log p, so that every estimator converges: what "
        "differs is the rate, which few sweeps lower and REINFORCE's noise at first swamps."
    )
    return " ".join(parts)


def _sentence(name: str, found: Comparison) -> str:
    """What came of one estimator."""
    reached = (
        f"KL <= {GOAL:g} first at step {found.reached}, where REINFORCE's is {found.ratio:.3g} "
        "times as large"
        if found.reached >= 0
        else f"KL <= {GOAL:g} is not reached"
    )
    ahead = (
        f"a ratio of {FACTOR:g} or more from step {found.ahead[0]} to {found.ahead[1]}"
        if found.ahead
        else f"never a ratio of {FACTOR:g}"
    )
    return (
        f"{name}: {reached}; {ahead}; {found.last:.2g} at the end, REINFORCE's "
        f"being {found.last_ratio:.2g} times as large."
    )


def figure(curves: Quartiles, histories: Mapping[str, Gaussian], settings: Settings) -> Figure:
    """KL against steps with its quartiles; contours of the target and of learned Gaussians."""
    picture = Figure(figsize=(11.5, 4.8), layout="constrained")
    left, right = picture.subplots(1, 2, width_ratios=[1.35, 1])
    _draw_curves(left, curves, settings.record_every)
    reached = compare(curves, settings.record_every)["Gibbs, t = 1"].reached
    record = reached // settings.record_every if reached >= 0 else -1
    _draw_contours(right, histories, record, settings.record_every)
    return picture


def _draw_curves(axes: Axes, curves: Quartiles, record_every: int) -> None:
    for name, curve in curves.items():
        colour = COLOURS[name]
        steps = record_every * np.arange(len(curve))
        axes.plot(steps, curve[:, 1], color=colour, label=name)
        axes.fill_between(steps, curve[:, 0], curve[:, 2], color=colour, alpha=0.15, linewidth=0)
    axes.axhline(GOAL, color="black", linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("KL(q || p) (nats), median and quartiles")
    axes.set_title("(a) closed-form KL during training", loc="left")
    axes.grid(color="#e6e8eb")
    axes.legend(frameon=False)


def _draw_contours(
    axes: Axes, histories: Mapping[str, Gaussian], record: int, record_every: int
) -> None:
    _ellipses(axes, TARGET, "black", "target", linewidth=2.5, alpha=0.5)
    _ellipses(axes, START, "#8a8f98", "start", linestyle=":")
    for name, colour in (("REINFORCE", "#3a3f47"), ("Gibbs, t = 1", "#d1632a")):
        history = histories[name]
        kls = history.kl(TARGET).numpy()[record]
        run = np.argsort(kls)[len(kls) // 2]
        learned = Gaussian(*(t[record, run] for t in history))
        step = np.arange(len(history.below))[record] * record_every
        _ellipses(axes, learned, colour, f"{name}, step {step}", linestyle="--")
    axes.set_aspect("equal")
    axes.set_xlabel("$z_1$")
    axes.set_ylabel("$z_2$")
    axes.set_title("(b) 1 and 2 standard deviations, the median run", loc="left")
    axes.legend(frameon=False)


def _ellipses(axes: Axes, q: Gaussian, colour: str, label: str, **style: object) -> None:
    angles = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    for radius in (1, 2):
        line = q.sample(radius * circle).numpy()
        axes.plot(*line.T, color=colour, label=label if radius == 1 else None, **style)  # type: ignore[arg-type]


def _relative(vector: np.ndarray, found: Gradients) -> float:
    return float(np.linalg.norm(vector) / np.linalg.norm(found.exact))


def _significance(found: Gradients) -> float:
    return float(np.max(abs(found.bias / found.standard_error)))
