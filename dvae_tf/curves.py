"""Runs' curves as a picture, from their TensorBoard events.

python -m dvae_tf.curves --log_dir=runs/mnist
python -m dvae_tf.curves --log_dir=runs/mnist,runs/pwl        one above the other, in ./curves.png
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from dvae_tf import cli, report
from dvae_tf.config import ConfigError
from dvae_tf.files import for_tensorflow

RENAMED = {
    "valid/nll": "eval/valid_nll",
    "valid/neg_elbo": "eval/valid_neg_elbo",
}
"""Tags of older runs."""

CLOCK = "train/objective"
"""Written at every hundredth step: tells when which step was done."""

NEGATED = "train/neg_log_likelihood"
"""Made here of train/log_likelihood, to stand beside the bound."""

STYLES: list[tuple[str, Any]] = [
    ("#1b4f72", "-"),
    ("#d1632a", (0, (6, 2))),
    ("#86c28b", (0, (1, 1))),
    ("#8d5fae", (0, (6, 2, 1, 2))),
]
"""Colours and lines of runs one above the other."""

SETTLED = 0.05
"""Fraction of a run, its first, that may leave a panel: the fall of hundreds of nats in it."""

UNITS = (("seconds", 1), ("minutes", 60), ("hours", 3600))

Curve = tuple[list[int], list[float]]
"""Steps, and values."""


class Run(NamedTuple):
    """What a folder says of a run.

    Attributes:
      scalars: curves by tag.
      clock: steps, and seconds of the sessions up to them, without the time between sessions.
      test: NLL of the test images and its standard error, nats; None of an unfinished run.
    """

    name: str
    scalars: dict[str, Curve]
    clock: Curve
    test: tuple[float, float] | None

    @property
    def last(self) -> int:
        """The last step."""
        return max(steps[-1] for steps, _ in self.scalars.values())

    @property
    def duration(self) -> str:
        """How long it took, in brackets; nothing if that is not known."""
        if not self.clock[1]:
            return ""
        unit, size = _unit(self.clock[1][-1])
        return f" ({self.clock[1][-1] / size:.3g} {unit})"

    def rates(self) -> np.ndarray:
        """Steps a second between the clock's times."""
        steps, seconds = map(np.array, self.clock)
        return np.diff(steps) / np.maximum(np.diff(seconds), 1e-9)


def read(log_dir: Path) -> dict[str, Curve]:
    """Steps and values of each scalar, by name; a resumed run's files form one curve."""
    return _read(log_dir)[0]


def _read(log_dir: Path) -> tuple[dict[str, Curve], Curve]:
    """The scalars, and the clock: see `Run`."""
    if not log_dir.is_dir():
        raise ConfigError(f"--log_dir={log_dir}: no such folder; accepted is a run's")
    folder = for_tensorflow(log_dir)
    found: dict[str, dict[int, float]] = {}
    clock: dict[int, float] = {}
    for path in sorted(log_dir.glob("events.out.tfevents.*")):  # in the order of their times
        session = EventAccumulator(f"{folder}/{path.name}", size_guidance={"tensors": 0})
        session.Reload()
        for tag in session.Tags()["tensors"]:
            if session.SummaryMetadata(tag).plugin_data.plugin_name != "scalars":
                continue
            name, events = RENAMED.get(tag, tag), session.Tensors(tag)
            # later files of a resumed run repeat the steps since its checkpoint
            values = {e.step: float(make_ndarray(e.tensor_proto)) for e in events}
            found.setdefault(name, {}).update(values)
            if name == CLOCK:
                began = session.FirstEventTimestamp()
                before = max((s for step, s in clock.items() if step < events[0].step), default=0.0)
                clock |= {e.step: before + e.wall_time - began for e in events}
    return {name: _curve(values) for name, values in found.items()}, _curve(clock)


def _curve(values: dict[int, float]) -> Curve:
    return sorted(values), [values[step] for step in sorted(values)]


def load(log_dir: Path, name: str = "") -> Run:
    """A folder's run.

    Raises:
      ConfigError: there is no such folder, or no events of a run in it.
    """
    scalars, clock = _read(log_dir)
    if not any(tag in scalars for tag in ("eval/valid_nll", CLOCK)):
        raise ConfigError(f"--log_dir={log_dir}: found no TensorBoard events, accepted is a run's")
    if "train/log_likelihood" in scalars:
        steps, values = scalars["train/log_likelihood"]
        scalars[NEGATED] = steps, [-value for value in values]
    return Run(name or log_dir.resolve().name, scalars, clock, _test(log_dir))


def _test(log_dir: Path) -> tuple[float, float] | None:
    try:
        metrics = json.loads((log_dir / "metrics.json").read_text(encoding="utf-8"))
        nll, stderr = metrics["test_nll"], metrics["test_nll_stderr"]
        return float(nll), float("nan" if stderr is None else stderr)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def save(*log_dirs: Path, output: Path | None = None) -> Path:
    """Writes the curves of one run or several, into the folder of one; returns the file's path.

    Raises:
      ConfigError: a folder that is not there, or has no events of a run.
    """
    short = [path.resolve().name for path in log_dirs]
    names = short if len(set(short)) == len(short) else [str(path) for path in log_dirs]
    runs = [load(path, name) for path, name in zip(log_dirs, names, strict=True)]
    path = output or (log_dirs[0] / "curves.png" if len(runs) == 1 else Path("curves.png"))
    report.write_png(path, draw(runs))
    return path


def draw(runs: Sequence[Run]) -> Figure:
    """Four panels: NLL, bound and likelihood, log Z of the prior, size of the gradients.

    Of one run the seconds stand above the steps; several are told apart by colour and, in grey, by
    their lines.
    """
    has_log_z = any("prior/log_z" in run.scalars for run in runs)
    third = "prior/log_z" if has_log_z else "posterior/rms_coupling"
    title = "log Z of the prior (nats)" if has_log_z else "couplings of the posteriors (rms)"
    figure, axes = report.panels(
        (8.0, 6.8),
        ("NLL (nats)", "", ""),
        ("bound and likelihood (nats)", "", ""),
        (title, "step", ""),
        ("norm of the gradients", "step", ""),
        columns=2,
    )
    figure.get_layout_engine().set(h_pad=0.1)  # type: ignore[union-attr, call-arg]
    alone = len(runs) == 1
    for run, (colour, line) in zip(runs, itertools.cycle(STYLES), strict=False):
        style = {"color": colour, "linestyle": line}
        name = "validation" if alone else f"{run.name}{run.duration}"
        _plot(axes[0], run, "eval/valid_nll", label=name, **style)
        if run.test:
            _test_line(axes[0], *run.test, "black" if alone else colour)
        named = alone or run is runs[0]
        parts = ("-ELBO, validation", "-log p(x | ζ), training") if named else ("", "")
        _plot(axes[1], run, "eval/valid_neg_elbo", label=parts[0], **style)
        _plot(axes[1], run, NEGATED, label=parts[1], linewidth=0.7, **style)
        _plot(axes[2], run, third, **style)
        rate = f"{np.median(run.rates()):.3g} steps/s" if len(run.clock[0]) > 1 else ""
        _plot(axes[3], run, "train/gradient_norm", label=rate, linewidth=0.7, **style)
    if axes[3].lines:
        _logarithmic(axes[3])
    for panel in axes:
        _finish(panel, last=max(run.last for run in runs))
    if alone and len(runs[0].clock[0]) > 1:
        for panel in axes[:2]:
            _seconds_above(panel, *runs[0].clock)
    return figure


def _plot(axes: Axes, run: Run, tag: str, label: str = "", **style: Any) -> None:
    """A curve, if the run has it, and the band of its standard error, if it has one."""
    if tag not in run.scalars:
        return
    steps, values = (np.array(a) for a in run.scalars[tag])
    marker = "o" if len(steps) < 50 else ""
    axes.plot(steps, values, marker=marker, markersize=3, label=label or None, **style)
    errors = dict(zip(*run.scalars.get(f"{tag}_stderr", ([], [])), strict=True))
    half = np.array([errors.get(step, 0.0) for step in steps.tolist()])
    if half.any():
        edges = values - half, values + half
        axes.fill_between(steps, *edges, color=style["color"], alpha=0.25, linewidth=0)


def _test_line(axes: Axes, nll: float, stderr: float, colour: str) -> None:
    label = f"test {nll:.2f} ± {stderr:.2f}"
    axes.axhline(nll, color=colour, linewidth=1, linestyle=":", label=label)
    if np.isfinite(stderr):
        axes.axhspan(nll - stderr, nll + stderr, color=colour, alpha=0.12, linewidth=0)


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _finish(axes: Axes, last: int) -> None:
    """Steps from 0; a legend if there is one; the heights of all but the first steps."""
    axes.set_xlim(0, last)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    points = [np.asarray(line.get_xydata()) for line in axes.lines]
    # the level of a test goes from 0 to 1, whatever the steps
    late = [p[(p[:, 0] >= SETTLED * last) | (len(p) == 2), 1] for p in points]
    shown = np.concatenate([*late, []])
    shown = shown[np.isfinite(shown)]
    if axes.get_yscale() == "linear" and len(shown) and np.ptp(shown):
        low, high = shown.min(), shown.max()
        axes.set_ylim(low - 0.08 * (high - low), high + 0.15 * (high - low))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)
    elif not axes.lines:
        axes.text(0.5, 0.5, "not in this run's events", ha="center", transform=axes.transAxes)


def _seconds_above(axes: Axes, steps: list[int], seconds: list[float]) -> None:
    """A second axis, of the time from the beginning of the run."""
    unit, size = _unit(seconds[-1])
    ticks = np.array(MaxNLocator(4).tick_values(0, seconds[-1] / size))
    ticks = ticks[(ticks >= 0) & (ticks * size <= seconds[-1])]
    above = axes.twiny()
    above.set_xlim(axes.get_xlim())
    above.set_xticks(np.interp(ticks * size, [0, *seconds], [0, *steps]), [f"{t:g}" for t in ticks])
    above.set_xlabel(unit, fontsize=9)


def _unit(seconds: float) -> tuple[str, int]:
    """The unit in which a time is a number of readable size, and its seconds."""
    return next((unit for unit in UNITS if seconds < 120 * unit[1]), UNITS[-1])


def main(argv: list[str]) -> None:
    """Draws the curves of the runs that the flag names."""
    del argv
    print(save(*folders(flags.FLAGS.log_dir), output=flags.FLAGS.output))


def folders(log_dir: Path) -> list[Path]:
    """The folders of a flag: split at commas, unless that is a folder's own name."""
    if log_dir.is_dir() or "," not in str(log_dir):
        return [log_dir]
    return [Path(name).expanduser() for name in str(log_dir).split(",") if name]


if __name__ == "__main__":
    cli.define_path(
        "log_dir", "runs/digits", "folder of the run, or several: a,b", allow_override=True
    )
    cli.define_path("output", None, "file to write (default: curves.png in the run's folder)")
    cli.run(main)
