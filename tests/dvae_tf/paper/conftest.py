"""A made-up program: its runs take no time, and their NLLs are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dvae_tf.config import Config


def made_up_metrics(config: Config) -> dict[str, Any]:
    """Metrics that tell models and seeds apart: the NLL is 90 - L / 10 - K / 100 + seed."""
    undirected = config.posterior == "undirected"
    has_prior = config.task == "vae"
    nll = 90 - config.num_layers / 10 - config.num_samples / 100 + config.seed - 2 * undirected
    return {
        "test_nll": nll,
        "test_nll_stderr": 0.2,
        "log_z_prior_lower": 10.0 if has_prior else None,
        "log_z_prior_upper": 10.25 if has_prior else None,
        "num_images": {"binarized_mnist": 10_000, "omniglot": 8070}.get(config.dataset, 300),
        "num_samples": config.eval_samples,
        "seconds": 0.01 * config.num_steps,
        "evaluation_seconds": 100.0,
        "steps": config.num_steps,
    }


class Program:
    """A `RunFn` that notes what it is asked to run, and leaves what run_dvae.py would."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.errors: dict[str, BaseException] = {}
        self.metrics: dict[str, Any] = {}

    def __call__(self, config: Config, log_dir: Path) -> dict[str, Any]:
        self.asked.append(log_dir.name)
        log_dir.mkdir(parents=True, exist_ok=True)
        (log_dir / "config.json").write_text(config.to_json())
        if error := self.errors.pop(log_dir.name, None):
            raise error
        metrics = made_up_metrics(config) | self.metrics
        (log_dir / "metrics.json").write_text(json.dumps(metrics))
        return metrics


@pytest.fixture
def program() -> Program:
    return Program()
