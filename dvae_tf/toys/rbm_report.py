"""Fig. 4: the experiment, its table, figure and reading."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dvae_tf import report
from dvae_tf.toys import rbm_runs
from dvae_tf.toys.rbm_runs import Runs
from dvae_tf.toys.settings import RBMSettings as Settings

SWEEPS = (1, 2, 4, 8)
"""Numbers t of relaxed sweeps."""

LAST = 10
"""Records at the end over which a final KL is averaged."""

TOLERANCE = 0.2
"""Relative difference of final KLs up to which t matters little."""

STYLES = [("#f2b134", "o"), ("#d1632a", "^"), ("#9c2f5b", "s"), ("#5b2a86", "D")]
"""Colours, that darken with t, and markers, that tell t without them."""


def write(output_dir: Path, settings: Settings, sweeps: Sequence[int] = SWEEPS) -> None:
    """Trains with each number of relaxed sweeps and writes rbm.* into a folder."""
    results = {t: rbm_runs.train(t, settings) for t in sweeps}
    rows = [
        {"relaxed_sweeps": t, "run": run, "step": i * settings.record_every, "kl": kl}
        for t, runs in results.items()
        for run, curve in enumerate(runs.kl.T.tolist())
        for i, kl in enumerate(curve)
    ]
    drawn = _figure(results, settings)
    report.save(output_dir, "rbm", rows, drawn, reading(results, settings))


def spread(results: Mapping[int, Runs]) -> float:
    """The largest of the final mean KLs over the smallest, less one."""
    means = [_final(runs).mean() for runs in results.values()]
    return float(max(means) / min(means) - 1)


def effective_components(runs: Runs) -> np.ndarray:
    """exp of the entropy of the mass on the components, [num_runs]: 1 to num_components."""
    shares = np.clip(runs.shares, 1e-300, 1)
    return np.exp(-np.sum(shares * np.log(shares), -1))


def reading(results: Mapping[int, Runs], settings: Settings) -> str:
    """One paragraph with this run's numbers."""
    s = settings
    last = min(LAST, len(next(iter(results.values())).kl) - 1)
    final = {t: _final(runs) for t, runs in results.items()}
    kls = [
        f"t = {t}: {kl.mean():.3f} ({kl.min():.3f} to {kl.max():.3f})" for t, kl in final.items()
    ]
    apart = spread(results)
    counts = [effective_components(runs) for runs in results.values()]
    return (
        f"KL(q || p) of an RBM q of {s.num_units}+{s.num_units} units to a mixture of "
        f"{s.num_components} products of Bernoulli distributions, by enumeration; {s.num_runs} "
        f"RBMs for each number t of relaxed sweeps, {s.num_steps} steps of Adam at "
        f"{s.learning_rate:g}, {s.num_chains} persistent chains of each RBM with {s.num_sweeps} "
        f"hard sweeps a step, relaxation {s.relaxation} at sharpness {s.sharpness:g}. Final KL in "
        f"nats, the mean of the last {last} records, over the RBMs (mean, smallest to largest): "
        f"{', '.join(kls)}. The largest mean lies {apart:.1%} above the smallest: "
        f"{'t decides little' if apart <= TOLERANCE else 't matters here'}. "
        f"An RBM's mass ends on {', '.join(f'{np.mean(c):.2f}' for c in counts)} components "
        f"(exp of the entropy, mean over RBMs, in the order of t; at most "
        f"{max(c.max() for c in counts):.2f}). KL(q || p) is log {s.num_components} = "
        f"{np.log(s.num_components):.3f} for a q that equals one component far from the others; "
        "RBMs clearly below that hold more than one."
    )


def _final(runs: Runs) -> np.ndarray:
    """The KL of each RBM, the mean of the last records, [num_runs]."""
    return runs.kl[1:][-LAST:].mean(0)


def _figure(results: Mapping[int, Runs], settings: Settings) -> Figure:
    """KL against steps, mean and range over the RBMs: the whole course, and the end enlarged."""
    ylabel = "KL(q || p) (nats), mean and range of the runs"
    late = np.concatenate([runs.kl[1:][-3 * len(runs.kl) // 4 :] for runs in results.values()])
    margin = 0.05 * np.ptp(late) + 0.01
    first, second = ("(a) exact KL during training", "(b) its last three quarters")
    drawn, panels = report.panels((11.5, 4.6), (first, "step", ylabel), (second, "step", ""))
    panels[0].set_yscale("log")
    panels[1].set_xlim(settings.num_steps / 4, settings.num_steps)
    panels[1].set_ylim(late.min() - margin, late.max() + margin)
    label = f"log {settings.num_components}: q on one component"
    for axes in panels:
        for i, ((t, runs), (colour, marker)) in enumerate(
            zip(results.items(), STYLES, strict=False)
        ):
            steps = settings.record_every * np.arange(len(runs.kl))
            found = runs.kl.min(1), runs.kl.mean(1), runs.kl.max(1)
            # lines that lie upon one another are told by markers at different steps
            every = i * max(1, len(steps) // 40), max(1, len(steps) // 10)
            style: Any = {"color": colour, "marker": marker, "markersize": 4, "markevery": every}
            report.band(axes, steps, *found, label=f"t = {t}", **style)
        level = np.log(settings.num_components)
        axes.axhline(level, color="black", linewidth=0.8, linestyle=":", label=label)
    panels[0].legend(frameon=False)
    return drawn
