"""What auxiliary units bring: its table, figure and reading."""

from pathlib import Path
from typing import Any

import numpy as np

from dvae_tf import report
from dvae_tf.toys import auxiliary_runs as runs
from dvae_tf.toys.rbm_report import STYLES
from dvae_tf.toys.settings import AuxiliarySettings as Settings

UNITS = (0, 4, 8, 16)
PROBED = 8
"""Units with which the bias is measured."""

SWEEPS = (1, 2, 4, 8)
LAST = 10
"""Records at the end over which a KL is averaged."""


def write(output_dir: Path, settings: Settings) -> None:
    """Trains with each number of units, measures the bias, writes auxiliary.* into a folder."""
    curves = {n: runs.train(n, settings) for n in UNITS}
    biases = {t: runs.bias(PROBED, t, settings) for t in SWEEPS}
    rows = [
        {"auxiliary": n, "run": run, "step": i * settings.record_every, "kl": kl}
        for n, curve in curves.items()
        for run, one in enumerate(curve.T.tolist())
        for i, kl in enumerate(one)
    ]
    figure, (left, right) = report.panels(
        (11, 4.5),
        ("(a) exact KL during training", "step", "KL(q || p) (nats), median and quartiles"),
        ("(b) bias of the gradient", "relaxed sweeps t", "of the exact gradient's norm"),
    )
    for (n, curve), (color, marker) in zip(curves.items(), STYLES, strict=True):
        steps = settings.record_every * np.arange(len(curve))
        low, middle, high = np.quantile(curve, [0.25, 0.5, 0.75], axis=1)
        style: dict[str, Any] = {"color": color, "marker": marker, "markevery": 0.12}
        report.band(left, steps, low, middle, high, label=f"{n} auxiliary units", **style)
    left.set_ylim(bottom=0)
    left.legend(frameon=False)
    values, errors, _ = np.array(list(biases.values())).T
    right.errorbar(SWEEPS, values, errors, marker="o", color="#9c2f5b")
    right.set(xscale="log", xticks=SWEEPS, xticklabels=SWEEPS, ylim=(0, None))
    right.minorticks_off()
    report.save(output_dir, "auxiliary", rows, figure, _reading(curves, biases, settings))


def _reading(curves: dict, biases: dict, settings: Settings) -> str:
    """One paragraph with this run's numbers."""
    ends = {n: curve[-LAST:].mean(0) for n, curve in curves.items()}
    falls = ", ".join(f"{np.mean(kl):.3f} ± {_error(kl):.3f} ({n})" for n, kl in ends.items())
    bias = ", ".join(f"{b:.1%} ± {e:.1%} (t = {t})" for t, (b, e, _) in biases.items())
    noise = ", ".join(f"{d:.2g} (t = {t})" for t, (*_, d) in biases.items())
    return (
        f"KL(q || p) to a Boltzmann machine of {settings.num_units} bits, by enumeration, at the "
        f"end of {settings.num_steps} steps (Adam, learning rate {settings.learning_rate:g}, "
        f"{settings.num_chains} chains), by the number of auxiliary units: {falls}; means of "
        f"{settings.num_runs} runs and their errors. With {PROBED} units of random couplings, "
        f"the bias of the gradient is {bias} of the exact gradient's norm; one sample's "
        f"deviation is {noise} of it."
    )


def _error(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
