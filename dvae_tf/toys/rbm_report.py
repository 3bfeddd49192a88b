"""Fig. 4's table, figure and reading, from the runs' numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from dvae_tf.toys.rbm_runs import Runs, Settings

LAST = 10
"""Records at the end over which a final KL is averaged."""

TOLERANCE = 0.2
"""How far apart, relatively, the final KLs may lie."""

COLOURS = ["#f2b134", "#d1632a", "#9c2f5b", "#5b2a86"]
"""With growing t."""


def final(runs: Runs) -> np.ndarray:
    """The KL of each RBM, the mean of the last records, [num_runs]."""
    return runs.kl[1:][-LAST:].mean(0)


def spread(results: Mapping[int, Runs]) -> float:
    """The largest of the final mean KLs over the smallest, less one."""
    means = [final(runs).mean() for runs in results.values()]
    return float(max(means) / min(means) - 1)


def effective_components(runs: Runs) -> np.ndarray:
    """exp of the entropy of the mass on the components, [num_runs]: 1 to num_components."""
    shares = np.clip(runs.shares, 1e-300, 1)
    return np.exp(-np.sum(shares * np.log(shares), -1))


def rows(results: Mapping[int, Runs], record_every: int) -> list[dict[str, object]]:
    """One row for each t, RBM and record."""
    return [
        {"relaxed_sweeps": t, "run": run, "step": i * record_every, "kl": kl}
        for t, runs in results.items()
        for run, curve in enumerate(runs.kl.T.tolist())
        for i, kl in enumerate(curve)
    ]


def reading(results: Mapping[int, Runs], settings: Settings) -> str:
    """One paragraph; all numbers are those of this run."""
    s = settings
    parts = [
        f"KL(q || p) of an RBM q of {s.num_units}+{s.num_units} units to a mixture of "
        f"{s.num_components} products of Bernoulli distributions, by enumeration; {s.num_runs} "
        f"RBMs for each number t of relaxed sweeps, {s.num_steps} steps of Adam at "
        f"{s.learning_rate:g}, {s.num_chains} persistent chains of each RBM with {s.num_sweeps} "
        f"hard sweeps a step, relaxation {s.relaxation} at sharpness {s.sharpness:g}. Final KL in "
        f"nats, the mean of the last {min(LAST, len(next(iter(results.values())).kl) - 1)} "
        f"records, over the RBMs (mean, smallest to largest):"
    ]
    for t, runs in results.items():
        kl = final(runs)
        parts.append(f"t = {t}: {kl.mean():.3f} ({kl.min():.3f} to {kl.max():.3f}),")
    parts[-1] = parts[-1].rstrip(",") + "."
    apart = spread(results)
    parts.append(
        f"The largest mean lies {apart:.1%} above the smallest"
        + (": t decides little." if apart <= TOLERANCE else ": t matters here.")
    )
    counts = [effective_components(runs) for runs in results.values()]
    parts.append(
        f"An RBM's mass ends on {', '.join(f'{np.mean(c):.2f}' for c in counts)} components "
        f"(exp of the entropy, mean over RBMs, in the order of t; at most "
        f"{max(c.max() for c in counts):.2f}). KL(q || p) is log {s.num_components} = "
        f"{np.log(s.num_components):.3f} for a q that equals one component far from the others; "
        "RBMs clearly below that hold more than one."
    )
    return " ".join(parts)


def figure(results: Mapping[int, Runs], settings: Settings) -> Figure:
    """KL against steps, mean and range over the RBMs: the whole course, and the end enlarged."""
    picture = Figure(figsize=(11.5, 4.6), layout="constrained")
    whole, end = picture.subplots(1, 2)
    for (t, runs), colour in zip(results.items(), COLOURS, strict=False):
        steps = settings.record_every * np.arange(len(runs.kl))
        for axes in (whole, end):
            axes.plot(steps, runs.kl.mean(1), color=colour, label=f"t = {t}")
            limits = runs.kl.min(1), runs.kl.max(1)
            axes.fill_between(steps, *limits, color=colour, alpha=0.12, linewidth=0)
    for axes in (whole, end):
        level = np.log(settings.num_components)
        label = f"log {settings.num_components}: q on one component"
        axes.axhline(level, color="black", linewidth=0.8, linestyle=":", label=label)
        axes.set_xlabel("step")
        axes.grid(color="#e6e8eb")
    whole.set_yscale("log")
    whole.set_ylabel("KL(q || p) (nats), mean and range of the runs")
    whole.set_title("(a) exact KL during training", loc="left")
    late = np.concatenate([runs.kl[1:][-3 * len(runs.kl) // 4 :] for runs in results.values()])
    margin = 0.05 * np.ptp(late) + 0.01
    end.set_xlim(settings.num_steps / 4, settings.num_steps)
    end.set_ylim(late.min() - margin, late.max() + margin)
    end.set_title("(b) its last three quarters", loc="left")
    whole.legend(frameon=False)
    return picture
