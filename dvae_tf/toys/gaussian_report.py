"""Fig. 1: the experiment, its tables, figure and reading."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm import tqdm

from dvae_tf import report
from dvae_tf.files import write_atomically
from dvae_tf.toys import gaussian_runs
from dvae_tf.toys.estimators import ESTIMATORS
from dvae_tf.toys.gaussian_runs import START, TARGET, Gradients
from dvae_tf.toys.normal import Gaussian
from dvae_tf.toys.settings import GaussianSettings as Settings

GOAL = 1e-3
"""KL in nats at which estimators are compared."""

FACTOR = 10.0
"""How many times smaller than REINFORCE's a KL should be."""

_COLOURS = ["#8a8f98", "#f2b134", "#d1632a", "#9c2f5b", "#5b2a86", "#2a6f97"]
_LINES = [":", "-", "-", "-", "-", "--"]
_MARKERS = ["", "o", "^", "s", "D", ""]
STYLES: dict[str, Any] = {
    name: {"color": colour, "linestyle": line, "marker": marker, "markersize": 4}
    for name, colour, line, marker in zip(ESTIMATORS, _COLOURS, _LINES, _MARKERS, strict=True)
}
"""By the estimator's name: Gibbs darkens with t, and markers tell t without colours."""

Quartiles = Mapping[str, np.ndarray]
"""KL's quartiles over runs at each record, [records, 3], by the estimator's name."""


class Comparison(NamedTuple):
    """An estimator compared with REINFORCE, by medians over the runs.

    Attributes:
      reached: the first recorded step with a KL of at most `GOAL`; -1 for none.
      ratio, last_ratio: REINFORCE's KL over this one's, at that step and at the end.
      ahead: the first and the last recorded step with a ratio of at least `FACTOR`; empty for none.
      last: KL at the end, nats.
    """

    reached: int
    ratio: float
    ahead: list[int]
    last: float
    last_ratio: float


def write(output_dir: Path, settings: Settings) -> None:
    """Trains by every estimator, measures their gradients, and writes gaussian.* into a folder."""
    histories = {
        name: gaussian_runs.train(loss, settings, name) for name, loss in ESTIMATORS.items()
    }
    measured = {
        name: gaussian_runs.measure(loss, settings.bias_samples, settings.seed)
        for name, loss in tqdm(ESTIMATORS.items(), "gradients at a fixed phi")
    }
    curves = {
        name: np.quantile(history.kl(TARGET), [0.25, 0.5, 0.75], axis=1).T
        for name, history in histories.items()
    }
    write_atomically(output_dir / "gaussian_gradients.csv", report.to_csv(_gradient_rows(measured)))
    print(_gradient_table(measured))
    rows = [
        {"estimator": name, "step": i * settings.record_every}
        | {"kl_q25": low, "kl_median": middle, "kl_q75": high}
        for name, curve in curves.items()
        for i, (low, middle, high) in enumerate(curve.tolist())
    ]
    drawn = _figure(curves, histories, settings)
    report.save(output_dir, "gaussian", rows, drawn, _reading(curves, measured, settings))


def compare(curves: Quartiles, record_every: int) -> dict[str, Comparison]:
    """Compares every estimator with REINFORCE, by name."""
    reference = curves["REINFORCE"][:, 1]
    return {name: _compare(reference, curve[:, 1], record_every) for name, curve in curves.items()}


def _compare(reference: np.ndarray, kl: np.ndarray, record_every: int) -> Comparison:
    ratios = reference / kl
    below, far = np.flatnonzero(kl <= GOAL), np.flatnonzero(ratios >= FACTOR)
    return Comparison(
        reached=int(below[0]) * record_every if len(below) else -1,
        ratio=float(ratios[below[0]]) if len(below) else np.nan,
        ahead=(far[[0, -1]] * record_every).tolist() if len(far) else [],
        last=float(kl[-1]),
        last_ratio=float(ratios[-1]),
    )


def _gradient_rows(gradients: Mapping[str, Gradients]) -> list[dict[str, object]]:
    """One row for each estimator and parameter."""
    names = ("mean_1", "mean_2", "log_diagonal_1", "log_diagonal_2", "below")
    return [
        {"estimator": estimator, "parameter": name, **dict(zip(found._fields, values, strict=True))}
        for estimator, found in gradients.items()
        for name, *values in zip(names, *(v.tolist() for v in found), strict=True)
    ]


def _gradient_table(gradients: Mapping[str, Gradients]) -> str:
    """Norms of bias and deviation as fractions of the exact gradient's, a line per estimator."""
    lines = [f"{'gradient at a fixed phi':24}{'bias':>9}{'+-':>9}{'std':>9}  worst bias / s.e."]
    for name, found in gradients.items():
        parts = map(found.relative, (found.bias, found.standard_error, found.deviation))
        numbers = "".join(f"{part:9.4f}" for part in parts)
        lines.append(f"{name:24}{numbers}{found.significance:12.1f}")
    return "\n".join(lines)


def _reading(curves: Quartiles, gradients: Mapping[str, Gradients], settings: Settings) -> str:
    """One paragraph with this run's numbers."""
    found = compare(curves, settings.record_every)
    sweeps = [name for name in found if name.startswith("Gibbs")]
    biases = [f"{gradients[n].relative(gradients[n].bias):.1%}" for n in sweeps]
    worst = max(gradients[n].significance for n in ("REINFORCE", "reparameterised"))
    deviations = [
        f"{gradients[n].relative(gradients[n].deviation):.2g} ({n})"
        for n in ("REINFORCE", sweeps[0], sweeps[-1], "reparameterised")
    ]
    return (
        f"KL(q || p) of a two-dimensional Gaussian q to p, medians of {settings.num_runs} runs of "
        f"{settings.num_steps} steps (Adam, learning rate {settings.learning_rate:g}, "
        f"{settings.num_samples} sample(s) a step, from the standard normal). "
        f"{' '.join(_sentence(name, found[name]) for name in sweeps)} "
        f"At the end REINFORCE has {found['REINFORCE'].last:.2g} and reparameterisation "
        f"{found['reparameterised'].last:.2g}; lowest: "
        f"{min(found, key=lambda name: found[name].last)}. "
        f"At a fixed phi the bias of the Gibbs gradients is {', '.join(biases)} of the exact "
        f"gradient's norm, REINFORCE's and reparameterisation's within {worst:.1f} standard errors "
        f"of none; a one-sample gradient deviates by {', '.join(deviations)} times that norm. "
        "All noise and bias vanish with log q - log p, so that every estimator converges: what "
        "differs is the rate, which few sweeps lower and REINFORCE's noise at first swamps."
    )


def _sentence(name: str, found: Comparison) -> str:
    """One estimator's results."""
    reached, ahead = "is not reached", f"never a ratio of {FACTOR:g}"
    if found.reached >= 0:
        reached = (
            f"first at step {found.reached}, where REINFORCE's is {found.ratio:.3g} times as large"
        )
    if found.ahead:
        ahead = f"a ratio of {FACTOR:g} or more from step {found.ahead[0]} to {found.ahead[1]}"
    return (
        f"{name}: KL <= {GOAL:g} {reached}; {ahead}; {found.last:.2g} at the end, REINFORCE's "
        f"being {found.last_ratio:.2g} times as large."
    )


def _figure(curves: Quartiles, histories: Mapping[str, Gaussian], settings: Settings) -> Figure:
    """KL against steps with its quartiles; contours of the target and of learned Gaussians."""
    ylabel = "KL(q || p) (nats), median and quartiles"
    drawn, (left, right) = report.panels(
        (11.5, 4.8),
        ("(a) closed-form KL during training", "step", ylabel),
        ("(b) 1 and 2 standard deviations, the median run", "$z_1$", "$z_2$"),
    )
    left.set_yscale("log")
    right.set_aspect("equal")
    for i, (name, curve) in enumerate(curves.items()):
        steps = settings.record_every * np.arange(len(curve))
        # at every tenth of the curve, no two estimators' at the same step
        every = i * len(steps) // 60, max(1, len(steps) // 10)
        report.band(left, steps, *curve.T, label=name, markevery=every, **STYLES[name])
    left.axhline(GOAL, color="black", linewidth=0.8, linestyle=":")
    left.legend(frameon=False)
    _ellipses(right, TARGET, "black", "target", linewidth=2.5, alpha=0.5)
    _ellipses(right, START, "#8a8f98", "start", linestyle=":")
    step = compare(curves, settings.record_every)["Gibbs, t = 1"].reached
    step = step if step >= 0 else settings.num_steps
    for name, colour, line in (("REINFORCE", "#3a3f47", "-."), ("Gibbs, t = 1", "#d1632a", "--")):
        learned = Gaussian(*(t[step // settings.record_every] for t in histories[name]))
        kls = learned.kl(TARGET).numpy()
        median = Gaussian(*(t[np.argsort(kls)[len(kls) // 2]] for t in learned))
        _ellipses(right, median, colour, f"{name}, step {step}", linestyle=line)
    right.legend(frameon=False)
    return drawn


def _ellipses(axes: Axes, q: Gaussian, colour: str, label: str, **style: Any) -> None:
    angles = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    for radius in (1, 2):
        line = q.sample(radius * circle).numpy()
        axes.plot(*line.T, color=colour, label=label if radius == 1 else None, **style)
