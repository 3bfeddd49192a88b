"""A run's configuration: one frozen value, saved beside the run as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dvae_tf import registry
from sampler.io.errors import printable, reason

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

RECIPES: dict[str, dict[str, Any]] = {
    "paper": {},
    "fast": {
        "batch_size": 200,
        "prior_sweeps": 5,
        "learning_rate": 6e-3,
        "schedule": "linear",
        "adam_epsilon": 1e-4,
        "kl_warmup": 0.1,
    },
}
"""Settings of the training by name, measured on binarized MNIST with K = 1.

A task's and a dataset's own defaults, and what is given, come before them.
"""

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


TASK_DEFAULTS: dict[str, dict[str, Any]] = {
    "structured_prediction": {"learning_rate": 3e-4, "hidden_units": (200,)},
}


_LONGEST_FILE = 1 << 16
"""Bytes; `to_json` writes about one thousand."""

_LARGEST = 2**63 - 1
"""Of the numbers in a file: seeds are of 64 bits, and nothing else comes near."""


class ConfigError(ValueError):
    """One clear line: the flag or file, what was found, what is accepted."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides a run's numbers. The defaults are the paper's.

    Attributes are the command line's flags; `run_dvae.py --help` says what each means. The last
    four are fingerprints, of the images ("": not known), as files may change under their names, and
    of the trained model that the run started from ("": of none).
    """

    dataset: str = "digits"
    task: str = "vae"
    posterior: str = "undirected"
    prior: str = "rbm"
    num_layers: int = 1
    shared_context: bool = True
    relaxation: str = "pwl"
    sharpness: float = 4.0
    num_samples: int = 1
    bound: str = "importance_weighted"
    iw_gradient: str = "dreg"
    num_latents: int = 200
    num_latents_1: int = 0
    hidden_units: tuple[int, ...] = (200, 200)
    coupling_scale: float = 1.5
    coupling_rank: int = 0
    num_auxiliary: int = 32
    families: str = "binary,gaussian"
    posterior_sweeps: int = 10
    relaxed_sweeps: int = 1
    prior_sampler: str = "pa"
    prior_chains: int = 1000
    prior_sweeps: int = 40
    num_steps: int = 1_000_000
    batch_size: int = 100
    learning_rate: float = 3e-3
    schedule: str = "paper"
    constant_rate: float = 0.4
    adam_epsilon: float = 1e-3
    kl_warmup: float = 0.3
    weight_decay: float = 1e-4
    seed: int = 0
    eval_every: int = 20_000
    valid_samples: int = 100
    eval_samples: int = 4000
    num_temperatures: int = 0
    prior_temperatures: int = 10_000
    checkpoint_every: int = 5000
    strategy: str = "none"
    train_images: str = ""
    valid_images: str = ""
    test_images: str = ""
    initial_model: str = ""

    def __post_init__(self) -> None:
        for name in CHOICES:
            _check_choice(name, getattr(self, name))
        for name in _POSITIVE:
            found = getattr(self, name)
            _require(0 < found <= _LARGEST, name, found, "a positive number")
        self._check_sides()
        self._check_posterior()
        for name, rest in (
            ("num_temperatures", ", or 0: as many as pay"),
            ("prior_temperatures", ""),
        ):
            found = getattr(self, name)
            _require(found >= 2 or bool(rest and not found), name, found, f"at least 2{rest}")
        for name in ("coupling_scale", "coupling_rank", "weight_decay", "seed"):
            found = getattr(self, name)
            _require(0 <= found <= _LARGEST, name, found, "zero or more")
        for name in ("constant_rate", "kl_warmup"):
            found = getattr(self, name)
            _require(0 <= found <= 1, name, found, "a fraction of [0, 1]")
        self._check_schedule()

    def _check_schedule(self) -> None:
        idle = self.schedule != "linear" and self.constant_rate != Config.constant_rate
        accepted = "only with --schedule=linear"
        _require(not idle, "constant_rate", self.constant_rate, accepted)

    def _check_sides(self) -> None:
        total, first = self.num_latents, self.num_latents_1
        _require(
            first > 0 or total % 2 == 0, "num_latents", total, "an even number, or --num_latents_1"
        )
        _require(0 <= first < total, "num_latents_1", first, f"0 (half) to {total - 1}")

    def _check_posterior(self) -> None:
        total = self.num_latents
        fits = total % self.num_layers == 0
        _require(fits, "num_layers", self.num_layers, f"a divisor of the {total} latents")
        for name, owners in _OWNERS.items():
            idle = self.posterior not in owners and getattr(self, name) != getattr(Config, name)
            accepted = f"only with --posterior={' or '.join(owners)}"
            _require(not idle, name, getattr(self, name), accepted)
        self._check_families()
        if self.posterior in _WITH_SWEEPS:
            accepted = ", ".join(registry.PLUGGED_IN)
            _require(
                self.relaxation in registry.PLUGGED_IN,
                "relaxation",
                self.relaxation,
                f"{accepted} with --posterior={self.posterior}, others with --posterior=directed",
            )

    def _check_families(self) -> None:
        kinds = self.families.split(",")
        known = [re.fullmatch(r"binary|gaussian|potts([2-9]|[1-9]\d{1,2})", kind) for kind in kinds]
        accepted = "two of binary, gaussian and potts3, potts4, ..., as binary,gaussian"
        _require(len(kinds) == 2 and all(known), "families", self.families, accepted)
        if "harmonium" not in (self.posterior, self.prior):
            return
        both = self.posterior == self.prior == "harmonium" or self.task != "vae"
        _require(both, "prior", self.prior, "harmonium with --posterior=harmonium, and only there")
        for found, size in zip(known, self.sides, strict=True):
            states = int(found[1] or 1) if found else 1
            accepted = f"sides of whole Potts units (--num_latents_1; here {self.sides})"
            _require(not size % states, "num_latents", self.num_latents, accepted)
            fits = states == 1 or self.relaxation in registry.CATEGORICAL
            accepted = f"{', '.join(registry.CATEGORICAL)} with Potts units"
            _require(fits, "relaxation", self.relaxation, accepted)

    @property
    def sides(self) -> tuple[int, int]:
        """Units of the RBMs' two sides, n1 and n2."""
        first = self.num_latents_1 or self.num_latents // 2
        return first, self.num_latents - first

    def to_json(self) -> str:
        """JSON text, one field a line."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @staticmethod
    def from_json(path: Path) -> Config:
        """Reads what `to_json` wrote; ConfigError names the file and the fault."""
        try:
            if path.exists() and not path.is_file():  # To open a pipe would wait for its writer.
                raise OSError("not a regular file")
            with path.open("rb") as file:
                text = file.read(_LONGEST_FILE + 1)
            if len(text) > _LONGEST_FILE:
                raise ValueError(f"more than {_LONGEST_FILE} bytes")
            return Config.parse(text.decode())
        except ConfigError as error:
            raise ConfigError(f"{path}: {printable(str(error))}") from None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"{path}: not a configuration of this program ({reason(error)})"
            ) from None

    @staticmethod
    def parse(text: str) -> Config:
        """Reads the text that `to_json` gives; ValueError if it is none, or a field is wrong."""
        return Config(**_read_fields(text))

    def differences(self, other: Config, but: Collection[str] = ()) -> list[str]:
        """Each field in which `other` differs, as 'name: ours, not theirs', `but` for some.

        Where both know their images those count, and not what the dataset is called.
        """
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        known = all(mine[k] and theirs[k] for k in IMAGES)
        skipped = {*but, *(["dataset"] if known else IMAGES)}
        names = [k for k in mine if mine[k] != theirs[k] and k not in skipped]
        words = {k: f"the {k.replace('_', ' ')} of {self.dataset} are not the same" for k in IMAGES}
        words["initial_model"] = "it started from another model (it goes on without --init_from)"
        return [words.get(k, f"{k}: {mine[k]}, not {theirs[k]}") for k in names]


CHOICES = {
    "task": registry.TASKS,
    "posterior": registry.POSTERIORS,
    "prior": registry.PRIORS,
    "relaxation": registry.RELAXATIONS,
    "bound": ("importance_weighted", "variational"),
    "iw_gradient": ("dreg", "iwae"),
    "schedule": ("paper", "linear"),
    "prior_sampler": registry.PRIOR_SAMPLERS,
    "strategy": ("none", "mirrored", "multi_worker"),
}
"""Accepted names."""

IMAGES = ("train_images", "valid_images", "test_images")
"""The fields with fingerprints of the images."""

EVALUATION = ("eval_samples", "num_temperatures", "prior_temperatures")
"""Fields of the test alone: a run whose training is done is evaluated again with others.

A run that goes on with others validates with them, too.
"""

MAY_CHANGE = (*EVALUATION, "num_steps", "checkpoint_every")
"""Fields that may differ between a run and the command that goes on with it.

The schedules have to allow another number of steps: see `training.schedules`.
"""

STRUCTURE = (
    "task",
    "posterior",
    "prior",
    "num_layers",
    "shared_context",
    "num_latents",
    "num_latents_1",
    "num_auxiliary",
    "families",
    "hidden_units",
    "coupling_scale",
    "coupling_rank",
)
"""Fields by which the parameters of a model mean what they mean."""

_NAMES = tuple(f.name for f in dataclasses.fields(Config))
FIELDS = tuple(k for k in _NAMES if k not in ("hidden_units", "initial_model", *IMAGES))
"""The fields that the command line sets."""

_WITH_SWEEPS = ("undirected", "auxiliary", "harmonium", "rbm_groups")
"""Posteriors of relaxed Gibbs sweeps, which need a relaxation plugged into discrete formulas."""

_OWNERS = {
    "num_layers": ("directed", "rbm_groups"),
    "shared_context": ("directed", "rbm_groups"),
    "coupling_rank": ("undirected", "auxiliary"),
    "families": ("harmonium",),
    "num_auxiliary": ("auxiliary",),
}
"""Fields that mean something to some kinds of posteriors: elsewhere they keep their defaults."""

_POSITIVE = (
    "sharpness",
    "num_layers",
    "num_samples",
    "num_latents",
    "num_auxiliary",
    "posterior_sweeps",
    "relaxed_sweeps",
    "prior_chains",
    "prior_sweeps",
    "num_steps",
    "batch_size",
    "learning_rate",
    "adam_epsilon",
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


def _read_fields(text: str) -> dict[str, Any]:
    """A `Config`'s arguments from JSON text; ValueError unless each has the type of its default."""
    fields = json.loads(text, object_pairs_hook=_without_repeats)
    if not isinstance(fields, dict) or not isinstance(fields.get("hidden_units"), list):
        raise ValueError("accepted: an object with a list hidden_units")
    fields["hidden_units"] = tuple(fields["hidden_units"])
    for name, value in fields.items():
        default = getattr(Config, name, None)
        if not _is_like(value, default):
            raise ValueError(
                f"{name}: found {value!r}, accepted is the like of {default!r}"
                if name in Config.__dataclass_fields__
                else f"unknown field {name!r}"
            )
    return fields


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name is there twice")
    return fields


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value has its default's type and, a number, is finite and not too large."""
    if isinstance(default, tuple):
        return all(_is_like(v, default[0]) and v > 0 for v in value)
    if isinstance(default, float) and type(value) is int:
        default = 0
    if type(value) is not type(default):
        return False
    return not isinstance(value, (int, float)) or abs(value) <= _LARGEST


def resolve(dataset: str, recipe: str = "paper", **given: Any) -> Config:
    """A `Config` from the values given, the dataset's and the task's defaults, and a recipe's.

    Args:
      dataset: a registered name or a path.
      recipe: a name of `RECIPES`; what it leaves open is the paper's.
      given: fields by name; None means not given.
    """
    fields = {k: v for k, v in given.items() if v is not None}
    task = fields.get("task", Config.task)
    _check_choice("task", task)
    _require(recipe in RECIPES, "recipe", recipe, ", ".join(RECIPES))
    own = {**TASK_DEFAULTS.get(task, {}), **DATASET_DEFAULTS.get(dataset, {})}
    defaults = {**PAPER, **RECIPES[recipe], **own}
    relaxation = fields.get("relaxation", Config.relaxation)
    _check_choice("relaxation", relaxation)
    relaxation = relaxation.removesuffix("_stop_slope")
    defaults["sharpness"] = defaults["sharpness"].get(relaxation, Config.sharpness)
    return Config(dataset=dataset, **{**defaults, **fields})


def default_texts() -> dict[str, str]:
    """What each field is if nobody says, with what datasets and tasks say of their own."""
    own = {**DATASET_DEFAULTS, **TASK_DEFAULTS}
    texts = {}
    for name in FIELDS:
        others = [f"{k}: {v[name]}" for k, v in own.items() if name in v and name != "sharpness"]
        texts[name] = "; ".join([str(getattr(Config, name)), *others])
    by_relaxation = ", ".join(f"{k} {v:g}" for k, v in PAPER["sharpness"].items())
    return texts | {"sharpness": f"{by_relaxation}; omniglot: pwl 3"}
