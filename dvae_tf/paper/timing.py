"""Estimates of how long runs take, from finished runs like them or from benchmarks/README.md."""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from dvae_tf.config import Config, ConfigError

FREE_OF_COST = """
dataset sharpness coupling_scale num_steps learning_rate schedule constant_rate adam_epsilon bound
kl_warmup weight_decay seed eval_every valid_samples eval_samples num_temperatures
prior_temperatures checkpoint_every
"""
"""Fields that do not affect the cost of a step; all others may."""

IMAGES = {"binarized_mnist": (10_000, 10_000), "omniglot": (1345, 8070), "digits": (200, 300)}
"""Validation and test images of each dataset; unknown ones count as MNIST."""


class Cost(NamedTuple):
    """What steps and evaluation took.

    Attributes:
      step: seconds per training step, its share of the compilation included.
      sample: likewise per importance sample of an image, with the prior's log Z; None if unknown.
      steps: number of steps of the measured run.
    """

    step: float
    sample: float | None
    steps: int = 0


REFERENCES = {200: Cost(0.0230, 0.079e-3), 400: Cost(0.1033, None)}
"""DVAE## with 5 prior sweeps, by latents: medians of benchmarks/README.md, two cores; and of the
README's 20,000-step run, 794 s for 1000 samples of 10,000 images."""

SWEEP = {200: 0.75e-3, 400: 1.88e-3}
"""Seconds of each further prior sweep, of 1000 chains."""


class Expected(NamedTuple):
    """Expected seconds of a run, None if unknown, and the source of the estimate."""

    seconds: float | None
    source: str


def estimator(output_dir: Path) -> Callable[[Config], Expected]:
    """Estimates a configuration's time from the finished runs in `output_dir`."""
    measured = _measure(output_dir)

    def expect(config: Config) -> Expected:
        if costs := measured.get(_cost_class(config)):
            # the longest: compilation is the least part of them
            steps = max(cost.steps for cost in costs)
            costs = [cost for cost in costs if cost.steps == steps]
            samples = [cost.sample for cost in costs if cost.sample is not None]
            cost = Cost(median(c.step for c in costs), median(samples) if samples else None)
            source = f"measured: {len(costs)} finished like it, of {steps:,} steps"
            return _expected(config, cost, source)
        size, sweeps = config.num_latents, config.prior_sweeps
        referred = Config(num_latents=size, prior_sweeps=sweeps)
        if size not in REFERENCES or _cost_class(config) != _cost_class(referred):
            return Expected(None, "nothing measured yet")
        step = REFERENCES[size].step + SWEEP[size] * (sweeps - 5)
        source = f"reference: {1000 * step:.0f} ms a step by benchmarks/README.md"
        return _expected(config, REFERENCES[size]._replace(step=step), source)

    return expect


def duration(seconds: float) -> str:
    """Seconds as text of two units at most."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if minutes < 60:
        return f"{minutes} min" if seconds >= 60 else f"{seconds:.0f} s"
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{hours // 24} d {hours % 24:02d} h"


def _measure(output_dir: Path) -> dict[tuple, list[Cost]]:
    """Costs of the finished runs, by `_cost_class`; other folders are skipped."""
    measured = defaultdict(list)
    for path in sorted(output_dir.glob("*/metrics.json")):
        try:
            config = Config.from_json(path.with_name("config.json"))
            metrics = json.loads(path.read_text())
            cost = Cost(metrics["seconds"] / metrics["steps"], None, metrics["steps"])
        except (ConfigError, OSError, ValueError, KeyError):
            continue
        if "evaluation_seconds" in metrics:
            samples = metrics["num_images"] * metrics["num_samples"]
            cost = cost._replace(sample=metrics["evaluation_seconds"] / samples)
        measured[_cost_class(config)].append(cost)
    return dict(measured)


def _cost_class(config: Config) -> tuple:
    """Equal for configurations whose steps cost the same."""
    fields = dataclasses.asdict(config)
    return tuple(value for name, value in fields.items() if name not in FREE_OF_COST.split())


def _expected(config: Config, cost: Cost, source: str) -> Expected:
    training = config.num_steps * cost.step
    if cost.sample is None:
        return Expected(training, f"{source}; training alone")
    num_valid, num_test = IMAGES.get(config.dataset, IMAGES["binarized_mnist"])
    validations = -(-config.num_steps // config.eval_every)
    samples = validations * num_valid * min(config.valid_samples, config.eval_samples)
    samples += num_test * config.eval_samples
    rest = samples * cost.sample
    parts = f"{duration(training)} of training, {duration(rest)} of evaluation; {source}"
    return Expected(training + rest, parts)
