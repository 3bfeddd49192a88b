"""Fig. 1 with a Gaussian harmonium: its table, figure and reading."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from dvae_tf import report
from dvae_tf.toys import harmonium_runs as runs
from dvae_tf.toys.gaussian_report import STYLES
from dvae_tf.toys.settings import HarmoniumSettings as Settings

ROUNDING = 1e-6
"""KL below which float32 tells nothing."""


def write(output_dir: Path, settings: Settings) -> None:
    """Trains by every estimator, measures their bias, and writes harmonium.* into a folder."""
    p = runs.target(settings.num_units, settings.seed)
    curves, biases = {}, {}
    for name, loss in tqdm(runs.ESTIMATORS.items(), "estimators"):
        found = runs.train(loss, p, settings, name)
        curves[name] = np.quantile(found, [0.25, 0.5, 0.75], axis=1).T
        biases[name] = runs.bias(loss, p, settings)
    rows = [
        {"estimator": name, "step": i * settings.record_every}
        | {"kl_q25": low, "kl_median": middle, "kl_q75": high}
        | dict(zip(("bias", "bias_stderr", "deviation"), biases[name], strict=True))
        for name, curve in curves.items()
        for i, (low, middle, high) in enumerate(curve.tolist())
    ]
    figure, (left, right) = report.panels(
        (11, 4.5),
        ("(a) closed-form KL during training", "step", "KL(q || p) (nats), median and quartiles"),
        ("(b) bias of the gradient", "relaxed sweeps t", "of the exact gradient's norm"),
    )
    left.set_yscale("log")
    for name, curve in curves.items():
        steps = settings.record_every * np.arange(len(curve))
        report.band(
            left, steps, *np.maximum(curve, ROUNDING).T, label=name, markevery=8, **STYLES[name]
        )
    left.legend(frameon=False)
    bias, error, _ = np.array([biases[f"Gibbs, t = {t}"] for t in runs.SWEEPS]).T
    right.errorbar(runs.SWEEPS, bias, error, marker="o", color="#9c2f5b")
    right.set(xscale="log", xticks=runs.SWEEPS, xticklabels=runs.SWEEPS)
    right.minorticks_off()
    report.save(output_dir, "harmonium", rows, figure, _reading(curves, biases, settings))


def _reading(curves: dict, biases: dict, settings: Settings) -> str:
    """One paragraph with this run's numbers."""
    last = {name: curve[-1, 1] for name, curve in curves.items()}
    told = {
        name: f"{kl:.2g}" if kl > ROUNDING else f"under {ROUNDING:g}" for name, kl in last.items()
    }
    ends = ", ".join(f"{kl} ({name})" for name, kl in told.items())
    bias = ", ".join(f"{b:.1%} ± {e:.1%} ({name})" for name, (b, e, _) in biases.items())
    noise = ", ".join(f"{d:.2g} ({name})" for name, (*_, d) in biases.items())
    start = next(iter(curves.values()))[0, 1]
    return (
        f"KL(q || p) of a Gaussian harmonium of {settings.num_units} + {settings.num_units} units, "
        f"medians of {settings.num_runs} runs of {settings.num_steps} steps (Adam, learning rate "
        f"{settings.learning_rate:g}, {settings.num_samples} sample(s) a step): {start:.2f} nats "
        f"at the start, at the end {ends}. Off the target, at 3/4 of its couplings, the bias of "
        f"the gradient is {bias} of the exact gradient's norm; one sample's deviation is {noise} "
        "of it."
    )
