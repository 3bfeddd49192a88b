"""A whole run: configuration, training, evaluation, export, pictures, metrics."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import tensorflow as tf

from dvae_tf import curves, data, generation, pictures
from dvae_tf.config import Config, ConfigError
from dvae_tf.dvae import DVAE
from dvae_tf.evaluation.evaluate import Evaluation, Evaluator, subset
from dvae_tf.files import to_json, write_atomically
from dvae_tf.progress import say
from dvae_tf.training import memory
from dvae_tf.training.loop import Trainer
from sampler import seeds
from sampler.command_line.files import check_folder

_GRID = 10
_COMPLETIONS = 3


def run(
    config: Config, data_dir: Path, log_dir: Path, max_seconds: float = math.inf
) -> dict[str, float] | None:
    """Trains, evaluates and exports; resumes a run found in `log_dir`.

    Args:
      max_seconds: of training in this call.

    Returns:
      The metrics, as written to `log_dir`/metrics.json; None if the time was over before, and in
      all workers but the first.

    Raises:
      ConfigError: `log_dir` holds a run with another configuration, or memory won't suffice.
      DataError: `log_dir` can't be written to, or the dataset cannot be had.
      TrainingError: the objective is not a number.
      CheckpointError: checkpoints can't be read or written.
      WorkerLostError: another worker is gone.
    """
    _check_unclaimed(log_dir, config)
    metrics_path = log_dir / "metrics.json"
    if metrics_path.exists():
        say(f"{log_dir} holds this run, finished")
        return json.loads(metrics_path.read_text())
    check_folder("log_dir", log_dir)  # hours later would be too late
    dataset = data.load(config.dataset, data_dir)
    num_images, num_pixels = dataset.train.shape
    memory.check(config, num_images, num_pixels, memory.available())
    trainer = Trainer(config, dataset, log_dir)
    is_chief = trainer.distribution.is_chief
    if is_chief:
        write_atomically(log_dir / "config.json", config.to_json())
    if trainer.first_step:
        say(f"Going on from step {trainer.first_step}")
    if not trainer.run(max_seconds):
        return None
    metrics = _finish(trainer, log_dir) if is_chief else None
    # workers that left earlier would be taken for lost
    trainer.distribution.wait()
    return metrics


def _finish(trainer: Trainer, log_dir: Path) -> dict[str, float]:
    """Evaluates and exports the trained model; returns the metrics."""
    config, dataset = trainer.config, trainer.dataset
    result = _evaluator(config, trainer.model, len(dataset.test))(dataset.test)
    folder = log_dir / "saved_model"
    trainer.model.export_with(folder, result.log_z_prior, config.num_temperatures)
    save_pictures(trainer.model, dataset, log_dir, config.seed)
    curves.save(log_dir)
    metrics = _metrics(result, trainer, config)
    write_atomically(log_dir / "metrics.json", to_json(metrics))
    return metrics


def report(metrics: dict[str, float], log_dir: Path) -> str:
    """The results and where to look, in a few lines."""
    stderr = math.nan if metrics["test_nll_stderr"] is None else metrics["test_nll_stderr"]
    lines = [
        "",
        f"Test NLL   {metrics['test_nll']:.2f} ± {stderr:.2f} nats "
        f"({metrics['num_images']} images, {metrics['num_samples']} samples each)",
        f"-ELBO      {metrics['test_neg_elbo']:.2f} nats",
    ]
    picture = log_dir / "completions.png"
    if metrics["log_z_prior"] is not None:
        picture = log_dir / "samples.png"
        lines.append(
            f"log Z      {metrics['log_z_prior']:.2f}, within {metrics['log_z_prior_lower']:.2f} "
            f"and {metrics['log_z_prior_upper']:.2f}"
        )
    lines += [
        f"Pictures   {picture}, {log_dir / 'curves.png'}",
        f"Model      {log_dir / 'saved_model'}",
        f"Curves     tensorboard --logdir {log_dir}",
    ]
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
    model: DVAE, images: np.ndarray, image_shape: tuple[int, int], log_dir: Path, seed: tf.Tensor
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


def _check_unclaimed(log_dir: Path, config: Config) -> None:
    """Raises ConfigError if the folder holds a run with another configuration."""
    path = log_dir / "config.json"
    if path.exists():
        different = config.differences(Config.from_json(path))
        if different:
            raise ConfigError(
                f"--log_dir={log_dir}: holds a run with another configuration "
                f"({'; '.join(different)}); accepted is the same one, or another folder"
            )


def _evaluator(config: Config, model: DVAE, num_images: int) -> Evaluator:
    return Evaluator(
        model,
        config.eval_samples,
        config.num_temperatures,
        config.prior_temperatures,
        num_images,
        config.seed,
    )


def _metrics(result: Evaluation, trainer: Trainer, config: Config) -> dict[str, float]:
    fields = dataclasses.asdict(result)
    renamed = {name: fields.pop(name) for name in ("nll", "nll_stderr", "neg_elbo", "ess")}
    seconds = {"evaluation_seconds": fields.pop("seconds")}
    del fields["images_per_second"]
    return {
        **{f"test_{name}": value for name, value in renamed.items()},
        **fields,
        **seconds,
        "valid_nll": trainer.best_nll,
        "steps": config.num_steps,
        "seconds": trainer.seconds,
    }
