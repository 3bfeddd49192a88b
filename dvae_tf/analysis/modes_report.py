"""Modes of posteriors and prior: the experiment, its table, figure and reading."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from tqdm import tqdm

from dvae_tf import report
from dvae_tf.analysis.multimodality import NUM_RUNS, TOLERANCE, Modes, Settings, find_many
from dvae_tf.analysis.options import ModesSettings
from sampler import seeds
from sampler.machines.machine import AnyMachine
from sampler.plots import BLUE, GREY, ORANGE

PAPER_KL = (0.5, 2.0)
"""KL(mean field || posterior) in nats, as in the paper's section 4.1.1."""

_SAMPLES = (100, 1000)


def write(
    posteriors: AnyMachine, prior: AnyMachine, s: ModesSettings, seed: tf.Tensor, output_dir: Path
) -> None:
    """Finds the modes of posteriors [B] and of the prior, and writes modes.* into a folder."""
    of_posteriors, of_prior = (
        Settings(-(-num_samples // NUM_RUNS) * NUM_RUNS, num_temperatures)
        for num_samples, num_temperatures in (
            (s.num_samples, s.num_temperatures),
            (s.prior_samples, s.prior_temperatures),
        )
    )
    with tqdm(total=posteriors.batch_shape[0] + 1, desc="RBMs") as bar:
        (in_prior,) = find_many(prior.copies(1), of_prior, seeds.fold_in(seed, 0), bar.update)
        found = find_many(posteriors, of_posteriors, seeds.fold_in(seed, 1), bar.update)
    text = reading(found, in_prior, of_posteriors, of_prior)
    report.save(output_dir, "modes", rows(found, in_prior), figure(found, in_prior), text)


def rows(posteriors: list[Modes], prior: Modes) -> list[dict[str, object]]:
    """A row for each mode of each RBM."""
    named = [*((f"posterior {i}", modes) for i, modes in enumerate(posteriors)), ("prior", prior)]
    return [
        {
            "rbm": name,
            "mode": i,
            "share": f"{share:.4f}",
            "kl": f"{kl:.4f}",
            "log_z": f"{modes.log_z:.4f}",
            "log_z_stderr": f"{modes.log_z_stderr:.4f}",
        }
        for name, modes in named
        for i, (share, kl) in enumerate(zip(modes.share, modes.kl, strict=True))
    ]


def expected_modes(share: np.ndarray, num_samples: int) -> float:
    """Expected number of modes, of shares [M], among so many independent samples."""
    return float(np.sum(1 - (1 - share) ** num_samples))


def figure(posteriors: list[Modes], prior: Modes) -> Figure:
    """Histograms of the posteriors' numbers of modes and KLs; the prior's modes one by one."""
    title = f"c) the prior's {len(prior.share)} mode{'s' * (len(prior.share) > 1)}"
    drawn, (left, middle, right) = report.panels(
        (11, 3.5),
        ("a) modes of a posterior", "number of modes", "posteriors"),
        ("b) posteriors", "KL(mean field || posterior), nats", "modes"),
        (title, "share of samples", "KL(mean field || prior), nats"),
    )
    right.set_xscale("log")
    _numbers(left, posteriors)
    _distances(middle, posteriors)
    right.scatter(prior.share, prior.kl, s=9, color=BLUE, alpha=0.6, label="modes")
    shares = np.geomspace(prior.share.min(), prior.share.max(), 100)
    right.plot(shares, -np.log(shares), color=GREY, linestyle="--", label="-log share")
    right.set_ylim(0, None)
    right.legend(frameon=False, loc="lower left")
    return drawn


def _numbers(axes: Axes, posteriors: list[Modes]) -> None:
    numbers = np.array([len(modes.share) for modes in posteriors])
    counts = np.bincount(numbers)[1:] / len(numbers)
    bars = axes.bar(np.arange(1, len(counts) + 1), counts, width=0.7, color=BLUE)
    axes.bar_label(bars, [f"{c:.1%}" if c else "" for c in counts], padding=2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set(xlim=(0.4, max(len(counts), 3) + 0.6), ylim=(0, 1.1))


def _distances(axes: Axes, posteriors: list[Modes]) -> None:
    axes.axvspan(*PAPER_KL, color=GREY, alpha=0.2, linewidth=0, label="the paper's range")
    kinds = ((True, BLUE, "of a posterior with one mode"), (False, ORANGE, "of one with several"))
    shown = [
        (kls, colour, label)
        for alone, colour, label in kinds
        if (kls := [kl for m in posteriors if (len(m.kl) == 1) == alone for kl in m.kl])
    ]
    kls, colours, labels = zip(*shown, strict=True)
    edges = np.linspace(0, 1.02 * max(PAPER_KL[1], *(max(each) for each in kls)), 41).tolist()
    axes.hist(kls, edges, stacked=True, color=colours, label=labels)
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])  # room for the legend
    axes.legend(frameon=False, loc="upper right")


def reading(
    posteriors: list[Modes], prior: Modes, of_posteriors: Settings, of_prior: Settings
) -> str:
    """One paragraph, with the paper's numbers for comparison."""
    numbers = np.array([len(modes.share) for modes in posteriors])
    largest = np.array([modes.kl[0] for modes in posteriors])
    inside = np.mean((largest >= PAPER_KL[0]) & (largest <= PAPER_KL[1]))
    low, median, high = np.percentile(largest, [5, 50, 95])
    covering = int(np.searchsorted(np.cumsum(prior.share), 0.9) + 1)
    found = {n: expected_modes(prior.share, n) for n in _SAMPLES}
    return (
        f"Mean-field iterations from {of_posteriors.num_samples} samples of each of "
        f"{len(posteriors)} posteriors end in a single mode for {np.mean(numbers == 1):.1%} of "
        f"them (the paper: about 90%), in at most {numbers.max()}. KL(mean field || posterior) of "
        f"the largest mode is {median:.2f} nats in the median, {low:.2f} to {high:.2f} for 90% of "
        f"posteriors; {inside:.0%} lie between {PAPER_KL[0]} and {PAPER_KL[1]:g} (the paper's "
        f"typical range). {of_prior.num_samples} samples of the prior end in {len(prior.share)} "
        f"modes (the paper: 10 to 20), {covering} of which have 90% of the "
        f"samples; the largest has {prior.share[0]:.1%} and a KL of {prior.kl[0]:.2f} nats, "
        f"1/(sum of squared shares) is {1 / np.sum(prior.share**2):.0f}. How many are found "
        f"depends on the samples: "
        + ", ".join(f"{n} would find about {k:.0f}" for n, k in found.items())
        + f". {_evidence([*posteriors, prior])}"
    )


def _evidence(found: list[Modes]) -> str:
    gaps = [modes.log_z - modes.log_z_check for modes in found]
    return (
        f"Modes are fixed points that differ by more than {TOLERANCE} in some mean (the closest "
        f"two by {min(modes.spacing for modes in found):.2f}, the equations hold to "
        f"{max(modes.residual for modes in found):.0e}). The standard error of log Z, and so of "
        f"a KL, is at most {max(modes.log_z_stderr for modes in found):.3f} nats; AIS and "
        f"population annealing differ by {np.sqrt(np.mean(np.square(gaps))):.3f} (rms). Families "
        f"leave at least {min(modes.num_independent for modes in found):.0f} independent samples "
        f"of an RBM."
    )
