"""How long runs will take: by finished runs like them, or by figures named in the benchmarks."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from dvae_tf.config import Config, ConfigError

FREE_OF_COST = (
    "dataset",
    "sharpness",
    "coupling_scale",
    "num_steps",
    "learning_rate",
    "schedule",
    "constant_rate",
    "adam_epsilon",
    "bound",
    "kl_warmup",
    "weight_decay",
    "seed",
    "eval_every",
    "valid_samples",
    "eval_samples",
    "num_temperatures",
    "prior_temperatures",
    "checkpoint_every",
)
"""Fields that do not change what a step costs; any other one may."""

IMAGES = {"binarized_mnist": (10_000, 10_000), "omniglot": (1345, 8070), "digits": (200, 300)}
"""Validation and test images of the datasets; others are taken to be as large as MNIST."""


class Cost(NamedTuple):
    """What steps and evaluation took.

    Attributes:
      step: seconds of a training step; contains its share of the compilation.
      sample: seconds of an importance sample of one image in evaluation; contains its share of
        the prior's log Z. None where it is not known.
      steps: of the run that told them.
    """

    step: float
    sample: float | None
    steps: int = 0


class Reference(NamedTuple):
    """Milliseconds of a step of DVAE## with 5 prior sweeps, and of each further sweep."""

    step: float
    sweep: float
    sample: float | None


REFERENCES = {200: Reference(23.0, 0.75, 0.079), 400: Reference(103.3, 1.88, None)}
"""By latents: medians of benchmarks/README.md (steps; sweeps of 1000 chains), two cores; and of the
README's 20,000-step run, 794 s for 1000 samples of 10,000 images, in milliseconds a sample."""


class Expected(NamedTuple):
    """Expected seconds of a run, None if nothing is known, and where that is from."""

    seconds: float | None
    source: str


def estimator(output_dir: Path) -> Callable[[Config], Expected]:
    """What to expect of a configuration, given the finished runs in `output_dir`."""
    measured = measure(output_dir)

    def expect(config: Config) -> Expected:
        if costs := measured.get(cost_class(config)):
            # the longest: compilation is the least part of them
            steps = max(cost.steps for cost in costs)
            costs = [cost for cost in costs if cost.steps == steps]
            samples = [cost.sample for cost in costs if cost.sample is not None]
            cost = Cost(median(c.step for c in costs), median(samples) if samples else None)
            source = f"measured: {len(costs)} finished like it, of {steps:,} steps"
            return _expected(config, cost, source)
        if cost_class(config) == cost_class(_referred(config)):
            step, sweep, sample = REFERENCES[config.num_latents]
            ms = step + sweep * (config.prior_sweeps - 5)
            cost = Cost(ms / 1000, sample / 1000 if sample else None)
            return _expected(config, cost, f"reference: {ms:.0f} ms a step by benchmarks/README.md")
        return Expected(None, "nothing measured yet")

    return expect


def measure(output_dir: Path) -> dict[tuple, list[Cost]]:
    """Costs of the finished runs, by `cost_class`; folders of anything else are passed over."""
    measured = defaultdict(list)
    for path in sorted(output_dir.glob("*/metrics.json")):
        try:
            config = Config.from_json(path.with_name("config.json"))
            metrics = json.loads(path.read_text())
            step = metrics["seconds"] / metrics["steps"]
        except (ConfigError, OSError, ValueError, KeyError):
            continue
        sample = None
        if "evaluation_seconds" in metrics:
            samples = metrics["num_images"] * metrics["num_samples"]
            sample = metrics["evaluation_seconds"] / samples
        measured[cost_class(config)].append(Cost(step, sample, metrics["steps"]))
    return dict(measured)


def cost_class(config: Config) -> tuple:
    """Equal for configurations whose steps cost the same."""
    fields = dataclasses.asdict(config)
    return tuple(value for name, value in fields.items() if name not in FREE_OF_COST)


def duration(seconds: float) -> str:
    """Seconds as text of two units at most."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{hours // 24} d {hours % 24:02d} h"


def _referred(config: Config) -> Config:
    """The configuration nearest to `config` that a reference is of."""
    size = config.num_latents if config.num_latents in REFERENCES else next(iter(REFERENCES))
    return dataclasses.replace(Config(), num_latents=size, prior_sweeps=config.prior_sweeps)


def _expected(config: Config, cost: Cost, source: str) -> Expected:
    training = config.num_steps * cost.step
    if cost.sample is None:
        return Expected(training, f"{source}; training alone")
    num_valid, num_test = IMAGES.get(config.dataset, IMAGES["binarized_mnist"])
    validations = -(-config.num_steps // config.eval_every)
    samples = validations * num_valid * min(config.valid_samples, config.eval_samples)
    samples += num_test * config.eval_samples
    return Expected(training + samples * cost.sample, source)
