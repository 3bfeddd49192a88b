"""A whole run: configuration, training, evaluation, export, pictures, metrics."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from dvae_tf import curves, data, generation, pictures, run_folder
from dvae_tf.config import IMAGES, Config
from dvae_tf.dvae import DVAE
from dvae_tf.evaluation.evaluate import Evaluation, Evaluator, subset
from dvae_tf.files import held, to_json, write_atomically
from dvae_tf.progress import say
from dvae_tf.registry import TASKS
from dvae_tf.training import memory
from dvae_tf.training.loop import Trainer
from dvae_tf.training.summaries import Summaries
from dvae_tf.training.workers import own_number
from sampler import seeds
from sampler.command_line.files import check_folder
from sampler.io.errors import reason

_GRID = 10
_COMPLETIONS = 3


def run(
    config: Config,
    dataset: data.Dataset,
    log_dir: Path,
    max_seconds: float = math.inf,
    init_from: Path | None = None,
) -> dict[str, Any] | None:
    """Trains, evaluates and exports; resumes a run found in `log_dir`.

    A finished run is evaluated again where `config` says how else.

    Args:
      max_seconds: of training in this call.
      init_from: folder of a run whose trained model a new one starts from.

    Returns:
      The metrics, as written to `log_dir`/metrics.json; None if the time was over before, and in
      all workers but the first.

    Raises:
      ConfigError: `log_dir` holds a run with another configuration, or memory won't suffice.
      DataError: `log_dir` can't be written to, or another process is at work in it.
      TrainingError: the objective is not a number.
      CheckpointError: checkpoints can't be read or written.
      WorkerLostError: another worker is gone.
    """
    config = run_folder.with_origins(config, dataset.fingerprints, log_dir, init_from)
    run_folder.check(log_dir, config)
    metrics = run_folder.finished(log_dir, config)
    missing = run_folder.missing(log_dir, _pictures(config, dataset))
    if metrics and not (missing and run_folder.has_begun(log_dir)):
        say(
            f"{log_dir} holds this run, finished"
            + f" (without {', '.join(missing)})" * bool(missing)
        )
        return metrics
    check_folder("log_dir", log_dir)  # hours later would be too late
    with held(log_dir, "log_dir", own_number() if config.strategy == "multi_worker" else 0):
        return _run(config, dataset, log_dir, max_seconds, init_from)


def _run(
    config: Config,
    dataset: data.Dataset,
    log_dir: Path,
    max_seconds: float,
    init_from: Path | None,
) -> dict[str, Any] | None:
    """`run` by the folder's holder."""
    run_folder.check(log_dir, config)  # once more, as nobody else can change it now
    memory.check(config, dataset.train, memory.available())
    initial = None
    if init_from and not run_folder.has_begun(log_dir):
        initial, _ = run_folder.trained_model(init_from, config)
        theirs = Config.from_json(init_from / "config.json")
        if any(getattr(theirs, k) not in ("", getattr(config, k)) for k in IMAGES):
            say(f"--init_from={init_from}: its model was trained on other images")
    trainer = Trainer(config, dataset, log_dir, initial)
    is_chief = trainer.distribution.is_chief
    metrics = run_folder.finished(log_dir, config)
    changed = [] if metrics else run_folder.changed_evaluation(log_dir, config)
    if is_chief:
        run_folder.tidy(log_dir)
        write_atomically(log_dir / "config.json", config.to_json())
    if changed:
        done = trainer.first_step == config.num_steps
        what = "the run in it is evaluated again" if done else "validations and test change"
        say(f"{log_dir}: {what} ({'; '.join(changed)})")
    if trainer.first_step:
        say(f"Going on from step {trainer.first_step}")
    if not trainer.run(max_seconds):
        return None
    metrics = _finish(trainer, log_dir, metrics) if is_chief else None
    # workers that left earlier would be taken for lost
    trainer.distribution.wait()
    return metrics


def _finish(trainer: Trainer, log_dir: Path, metrics: dict[str, Any] | None) -> dict[str, Any]:
    """Evaluates the trained model unless there are `metrics`, and writes what is missing.

    The metrics are written first, and whatever of the rest fails can be made up for.
    """
    config, model = trainer.config, trainer.model
    if metrics is None:
        result = _evaluator(config, model, len(trainer.dataset.test))(trainer.dataset.test)
        metrics = _metrics(result, trainer, config)
        run_folder.clear(log_dir)
        try:  # events first, as nothing would make up for them; but no full disk costs the results
            _show(metrics, trainer, log_dir)
        finally:
            write_atomically(log_dir / run_folder.METRICS, to_json(metrics))
    missing = run_folder.missing(log_dir, _pictures(config, trainer.dataset))
    if run_folder.EXPORT in missing:
        say("exporting…")
        directory = log_dir / run_folder.EXPORT
        write_atomically(directory / run_folder.IMAGES, json.dumps(trainer.dataset.fingerprints))
        model.export_with(directory, metrics["log_z_prior"], metrics["num_temperatures"])
    if any(name.endswith(".png") and name != run_folder.CURVES for name in missing):
        say("drawing samples…")
        _attempt(save_pictures, model, trainer.dataset, log_dir, config.seed)
    if run_folder.CURVES in missing:
        _attempt(curves.save, log_dir)
    return metrics


def _show(metrics: dict[str, Any], trainer: Trainer, log_dir: Path) -> None:
    """The test's numbers for TensorBoard, with the configuration by which it compares runs."""
    summaries = Summaries(log_dir, trainer.dataset)
    summaries.configuration(trainer.config)
    values = {f"eval/{name}": metrics[name] for name in ("test_nll", "test_neg_elbo")}
    summaries.scalars(values, trainer.config.num_steps)
    summaries.close()


def _pictures(config: Config, dataset: data.Dataset) -> list[str]:
    """Names of what `save_pictures` writes; nothing where the data are no images."""
    if not dataset.is_pictorial:
        return []
    has_prior = TASKS.load(config.task).has_prior
    return ["samples.png", "reconstructions.png"] if has_prior else ["completions.png"]


def _attempt(picture_fn: Callable[..., object], *arguments: Any) -> None:
    """A picture, or a warning: the results are there without it, and so is status 0."""
    try:
        picture_fn(*arguments)
    except Exception as error:
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        say(f"Warning: a picture could not be made ({where}{reason(error)})")


def report(metrics: dict[str, Any], log_dir: Path) -> str:
    """The results and where to look, in a few lines."""
    stderr = math.nan if metrics["test_nll_stderr"] is None else metrics["test_nll_stderr"]
    lines = [
        "",
        f"Test NLL   {metrics['test_nll']:.2f} ± {stderr:.2f} nats "
        f"({metrics['num_images']} images, {metrics['num_samples']} samples each)",
        f"-ELBO      {metrics['test_neg_elbo']:.2f} nats",
    ]
    if metrics["log_z_prior"] is not None:
        lines.append(
            f"log Z      {metrics['log_z_prior']:.2f}, within {metrics['log_z_prior_lower']:.2f} "
            f"and {metrics['log_z_prior_upper']:.2f}"
        )
    names = ("samples.png", "completions.png", "curves.png")
    pictures_found = [str(log_dir / name) for name in names if (log_dir / name).exists()]
    lines += [f"Pictures   {', '.join(pictures_found)}"] if pictures_found else []
    lines += [
        f"Model      {log_dir / 'saved_model'}",
        f"Curves     tensorboard --logdir={shlex.quote(str(log_dir))}",
    ]
    lines += [f"Warning    {text}" for text in metrics.get("warnings", [])]
    return "\n".join(lines)


def save_pictures(model: DVAE, dataset: data.Dataset, log_dir: Path, seed: int) -> None:
    """Writes samples.png (samples, then test images) and reconstructions.png (pairs of rows).

    Without a prior it is completions.png instead: a row of test images, and below it the row with
    the given half kept and the rest predicted, three times over with different samples.
    """
    root = seeds.fold_in(seeds.make_seed(seed), 3)
    images = subset(dataset.test, _GRID * _GRID).astype(np.float32)
    images = np.resize(images, [_GRID * _GRID, images.shape[1]])  # Repeats them if there are fewer.
    if not model.task.has_prior:
        _save_completions(model, images[: 3 * _GRID], dataset.image_shape, log_dir, root)
        return
    samples = _compiled(lambda: generation.sample_images(model, _GRID * _GRID, root))
    tables = [pictures.grid(a, dataset.image_shape, _GRID) for a in (samples, images)]
    panels = dict(zip(("samples: means of p(x | z)", "test images"), tables, strict=True))
    pictures.save(panels, log_dir / "samples.png")
    half = images[: _GRID * _GRID // 2]
    pairs = _compiled(lambda: generation.reconstruct(model, tf.constant(half), root))
    table = pictures.reconstruction_grid(half, pairs, dataset.image_shape, _GRID)
    title = "rows of test images, each above its reconstructions"
    pictures.save({title: table}, log_dir / "reconstructions.png")


def _save_completions(
    model: DVAE, images: np.ndarray, image_shape: tuple[int, ...], log_dir: Path, seed: tf.Tensor
) -> None:
    copies = np.tile(images, (_COMPLETIONS, 1))
    predicted = _compiled(lambda: generation.reconstruct(model, tf.constant(copies), seed))
    rows = np.concatenate([images, model.join(copies, predicted)])
    table = rows.reshape(1 + _COMPLETIONS, -1, _GRID, images.shape[1]).swapaxes(0, 1)
    cells = table.reshape(-1, images.shape[1])
    title = "test images, and their upper halves completed three times"
    grid = pictures.grid(cells, image_shape, _GRID)
    pictures.save({title: grid}, log_dir / "completions.png")


def _compiled(function) -> np.ndarray:
    return tf.function(function, jit_compile=True, autograph=False)().numpy()


def _evaluator(config: Config, model: DVAE, num_images: int) -> Evaluator:
    return Evaluator(
        model,
        config.eval_samples,
        config.num_temperatures,
        config.prior_temperatures,
        num_images,
        config.seed,
    )


def _metrics(result: Evaluation, trainer: Trainer, config: Config) -> dict[str, Any]:
    fields = dataclasses.asdict(result)
    renamed = {name: fields.pop(name) for name in ("nll", "nll_stderr", "neg_elbo", "ess")}
    seconds = {"evaluation_seconds": fields.pop("seconds")}
    del fields["images_per_second"]
    warnings = list(fields.pop("found"))
    return {
        **{f"test_{name}": value for name, value in renamed.items()},
        **fields,
        **seconds,
        "valid_nll": trainer.best_nll,
        "temperatures_asked": config.num_temperatures,
        "prior_temperatures": config.prior_temperatures,
        "steps": config.num_steps,
        "seconds": trainer.seconds,
        "warnings": warnings,
    }
