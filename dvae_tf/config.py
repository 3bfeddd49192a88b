"""A run's configuration: one frozen value, saved beside the run as JSON."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

OVERLAPPING_SHARPNESS = {
    "power": 30.0,
    "exponential": 7.5,
    "gaussian": 4.5,
    "uniform_exponential": 15.0,
}
"""The power function's is the paper's; the others are ours.

They give r(zeta | 0) and r(zeta | 1) about the power function's overlap, 0.05. The gradient of one
unit's KL is then about as noisy and as biased as the power function's; with E[zeta | 0] made equal
instead it would not be: exponential with 12 is three times as noisy already.
"""

PAPER: dict[str, Any] = {"sharpness": {"pwl": 4.0, "concrete": 10.0, **OVERLAPPING_SHARPNESS}}
"""The paper's settings that depend on the dataset; the others are `Config`'s defaults."""

DATASET_DEFAULTS: dict[str, dict[str, Any]] = {
    "omniglot": {"sharpness": {**PAPER["sharpness"], "pwl": 3.0}},
    "digits": {
        "num_latents": 64,
        "num_steps": 3000,
        "prior_sweeps": 10,
        "eval_every": 1000,
        "eval_samples": 1000,
        "checkpoint_every": 500,
        "prior_temperatures": 2000,
    },
}


class ConfigError(ValueError):
    """One clear line: the flag or file, what was found, what is accepted."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides a run's numbers. The defaults are the paper's.

    Attributes are the command line's flags; `run_dvae.py --help` says what each means.
    """

    dataset: str = "digits"
    posterior: str = "undirected"
    relaxation: str = "pwl"
    sharpness: float = 4.0
    num_latents: int = 200
    hidden_units: tuple[int, ...] = (200, 200)
    coupling_scale: float = 1.5
    posterior_sweeps: int = 10
    relaxed_sweeps: int = 1
    prior_sampler: str = "pa"
    prior_chains: int = 1000
    prior_sweeps: int = 40
    num_steps: int = 1_000_000
    batch_size: int = 100
    learning_rate: float = 3e-3
    kl_warmup: float = 0.3
    weight_decay: float = 1e-4
    seed: int = 0
    eval_every: int = 20_000
    valid_samples: int = 100
    eval_samples: int = 4000
    num_temperatures: int = 20
    prior_temperatures: int = 10_000
    checkpoint_every: int = 5000

    def __post_init__(self) -> None:
        for name in CHOICES:
            _check_choice(name, getattr(self, name))
        for name in _POSITIVE:
            _require(getattr(self, name) > 0, name, getattr(self, name), "a positive number")
        even = self.num_latents % 2 == 0
        _require(even, "num_latents", self.num_latents, "an even number (half on each side)")
        for name in ("num_temperatures", "prior_temperatures"):
            _require(getattr(self, name) >= 2, name, getattr(self, name), "at least 2")
        for name in ("coupling_scale", "weight_decay", "seed"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "zero or more")
        _require(0 <= self.kl_warmup <= 1, "kl_warmup", self.kl_warmup, "a fraction of [0, 1]")

    def to_json(self) -> str:
        """JSON text, one field a line."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @staticmethod
    def from_json(path: Path) -> Config:
        """Reads what `to_json` wrote; ConfigError names the file and the fault."""
        try:
            fields = json.loads(path.read_text())
            fields["hidden_units"] = tuple(fields["hidden_units"])
            return Config(**fields)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path}: not a configuration of this program ({error})") from None

    def differences(self, other: Config) -> list[str]:
        """Each field in which `other` differs, as 'name: ours, not theirs'."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [f"{k}: {mine[k]}, not {theirs[k]}" for k in mine if mine[k] != theirs[k]]


CHOICES = {
    "posterior": ("undirected",),
    "relaxation": ("pwl", "concrete", "pwl_stop_slope", *OVERLAPPING_SHARPNESS),
    "prior_sampler": ("pa", "pcd"),
}
"""Accepted names, those of the registries."""

FIELDS = tuple(f.name for f in dataclasses.fields(Config) if f.name != "hidden_units")
"""The fields that the command line sets."""

_POSITIVE = (
    "sharpness",
    "num_latents",
    "posterior_sweeps",
    "relaxed_sweeps",
    "prior_chains",
    "prior_sweeps",
    "num_steps",
    "batch_size",
    "learning_rate",
    "eval_every",
    "valid_samples",
    "eval_samples",
    "checkpoint_every",
)


def _check_choice(name: str, found: str) -> None:
    _require(found in CHOICES[name], name, found, ", ".join(CHOICES[name]))


def _require(holds: bool, name: str, found: object, accepted: str) -> None:
    if not holds:
        raise ConfigError(f"--{name}: found {found}, accepted is {accepted}")


def resolve(dataset: str, **given: Any) -> Config:
    """A `Config` from the values given, the dataset's own defaults, and the paper's, in that order.

    Args:
      dataset: a registered name or a path.
      given: fields by name; None means not given.
    """
    fields = {k: v for k, v in given.items() if v is not None}
    defaults = {**PAPER, **DATASET_DEFAULTS.get(dataset, {})}
    relaxation = fields.get("relaxation", Config.relaxation)
    _check_choice("relaxation", relaxation)
    relaxation = relaxation.removesuffix("_stop_slope")
    defaults["sharpness"] = defaults["sharpness"][relaxation]
    return Config(dataset=dataset, **{**defaults, **fields})
