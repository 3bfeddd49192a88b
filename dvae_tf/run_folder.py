"""What the folder of a run says about it, read without TensorFlow."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvae_tf.config import EVALUATION, MAY_CHANGE, STRUCTURE, Config, ConfigError

METRICS = "metrics.json"
EXPORT = "saved_model"
CURVES = "curves.png"
NUMBERS = ("test_nll", "test_neg_elbo", "num_images", "num_samples", "num_temperatures")
"""In the metrics; beside them those that are null of one image, or without a prior."""
NUMBERS_OR_NULL = ("test_nll_stderr", "log_z_prior", "log_z_prior_lower", "log_z_prior_upper")
IMAGES = "images.json"
"""Beside an export: fingerprints of the images of its run."""


def check(log_dir: Path, config: Config) -> None:
    """Raises ConfigError if the folder holds a run that `config` can't go on with."""
    path = log_dir / "config.json"
    if path.exists():
        different = config.differences(Config.from_json(path), but=MAY_CHANGE)
        if different:
            raise ConfigError(
                f"--log_dir={log_dir}: holds a run with another configuration "
                f"({'; '.join(different)}); accepted is the same one, or another folder"
            )
    if (log_dir / METRICS).exists() and not (finished(log_dir, config) or has_begun(log_dir)):
        raise ConfigError(
            f"--log_dir={log_dir}: holds the results of a run without its checkpoints, which can "
            "not be evaluated again or trained on; accepted is its own command, or another folder"
        )


def has_begun(log_dir: Path) -> bool:
    """Whether the folder has a checkpoint."""
    return any((log_dir / "checkpoints").glob("step-*.index"))


def changed_evaluation(log_dir: Path, config: Config) -> list[str]:
    """How the evaluation that `config` asks for differs from the last command's in the folder."""
    path = log_dir / "config.json"
    others = {*dataclasses.asdict(config)} - {*EVALUATION}
    return config.differences(Config.from_json(path), but=others) if path.exists() else []


def finished(log_dir: Path, config: Config) -> dict[str, Any] | None:
    """The metrics of a run of that configuration, if it has been evaluated as it says."""
    try:
        theirs = Config.from_json(log_dir / "config.json")
        metrics = dict(json.loads((log_dir / METRICS).read_text(encoding="utf-8")))
    except (ConfigError, OSError, ValueError, TypeError, RecursionError):
        return None
    if config.differences(theirs, but=[*EVALUATION, "checkpoint_every"]):
        return None
    ours = {name: getattr(config, name) for name in EVALUATION} | {"steps": config.num_steps}
    found = {"eval_samples": metrics.get("num_samples"), **metrics}
    found["num_temperatures"] = metrics.get("temperatures_asked")
    # what an older version did not write down was config.json's
    found = {k: v for k, v in found.items() if v is not None}
    same = all(found.get(k, getattr(theirs, k, v)) == v for k, v in ours.items())
    return metrics if same and _is_whole(metrics) else None


def _is_whole(metrics: dict[str, Any]) -> bool:
    """Whether a file has the numbers that are shown of a run; somebody may have had it in hand."""
    known = all(isinstance(metrics.get(name), (int, float)) for name in NUMBERS)
    return known and all(isinstance(metrics.get(k), (float, type(None))) for k in NUMBERS_OR_NULL)


def missing(log_dir: Path, pictures: Sequence[str]) -> list[str]:
    """Which of the files that a run writes after its metrics are not there."""
    exported = [] if (log_dir / EXPORT / "saved_model.pb").exists() else [EXPORT]
    return exported + [n for n in (*pictures, CURVES) if not (log_dir / n).exists()]


def clear(log_dir: Path) -> None:
    """Removes the results of an earlier end of the run, the metrics first, as others hang on it."""
    (log_dir / METRICS).unlink(missing_ok=True)
    shutil.rmtree(log_dir / EXPORT, ignore_errors=True)
    for path in log_dir.glob("*.png"):
        path.unlink(missing_ok=True)


def tidy(log_dir: Path) -> None:
    """Removes what killed processes left half written; by the folder's holder alone."""
    for path in log_dir.glob("*.tmp"):
        path.unlink(missing_ok=True)


def trained_model(run: Path, config: Config) -> tuple[Path, str]:
    """The checkpoint of a run's best model, else of its last step, and the fingerprint of its file.

    Raises:
      ConfigError: there is none, or its parts are not those of `config`.
    """
    folder = run / "checkpoints"
    found = [*folder.glob("best/ckpt-*.index")] or [*folder.glob("step-*.index")]
    if not found:
        raise ConfigError(
            f"--init_from={run}: found no trained model; accepted is the folder of a run that has "
            "got as far as a checkpoint"
        )
    theirs = Config.from_json(run / "config.json")
    if different := config.differences(theirs, but={*dataclasses.asdict(config)} - {*STRUCTURE}):
        raise ConfigError(
            f"--init_from={run}: holds another kind of model ({'; '.join(different)}); accepted is "
            "one with the same parts"
        )
    newest = max(found, key=lambda path: int(path.stem.rpartition("-")[2]))
    digest = hashlib.sha256()
    for path in sorted(newest.parent.glob(f"{newest.stem}.data-*")):
        digest.update(path.read_bytes())
    return newest.with_suffix(""), digest.hexdigest()[:16]


def with_origins(
    config: Config, fingerprints: dict[str, Any], log_dir: Path, init_from: Path | None
) -> Config:
    """The configuration with fingerprints of the images, and of the model that it starts from.

    A run that has begun needs the latter no more: it goes on where that model is gone, and where it
    is not named again, as it must not be once it has been trained on.
    """
    config, initial = dataclasses.replace(config, **fingerprints), _initial_model(log_dir)
    if init_from is not None:
        try:
            _, initial = trained_model(init_from, config)
        except ConfigError:
            if not initial:
                raise
    return dataclasses.replace(config, initial_model=initial)


def _initial_model(log_dir: Path) -> str:
    try:
        return Config.from_json(log_dir / "config.json").initial_model
    except ConfigError:
        return ""
