"""Flags that programs for exported models share, and the model and images that they name."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from dvae_tf import cli, run_folder
from dvae_tf.cli import option
from dvae_tf.config import ConfigError
from dvae_tf.data import DATASETS
from dvae_tf.progress import say

if TYPE_CHECKING:  # TensorFlow is loaded when the flags have been read
    import numpy as np

    from dvae_tf.export import ExportedModel
    from sampler.machines.machine import AnyMachine

flags.disclaim_key_flags()  # --help lists the flags defined here with those of the main module


@dataclasses.dataclass(frozen=True)
class ComparisonSettings:
    """How much to run for Fig. 3."""

    max_temperatures: int = option(
        8192, "largest number of temperatures; 2, 4, ... up to it", lower_bound=2
    )
    num_chains: int = option(1000, "AIS chains of an estimate", lower_bound=2)
    num_repeats: int = option(8, "independent estimates of each log Z", lower_bound=2)
    truth_temperatures: int = option(
        2**15, "temperatures of the prior's true log Z, each way", lower_bound=2
    )
    posterior_truth_temperatures: int = option(
        2**10,
        "temperatures of the posteriors' true log Z, which are annealed from means near their own",
        lower_bound=2,
    )
    truth_chains: int = option(2000, "AIS chains of a true log Z", lower_bound=2)


@dataclasses.dataclass(frozen=True)
class ModesSettings:
    """How much to run for modes; numbers of samples are rounded up to equal populations."""

    num_samples: int = option(200, "samples of each posterior", lower_bound=8)
    num_temperatures: int = option(101, "temperatures of each posterior's annealing", lower_bound=2)
    prior_samples: int = option(4000, "samples of the prior", lower_bound=8)
    prior_temperatures: int = option(1001, "temperatures of the prior's annealing", lower_bound=2)


@dataclasses.dataclass(frozen=True)
class FromPriorSettings:
    """How much to run for the NLL from the prior."""

    num_chains: int = option(16, "chains of each image", lower_bound=1)
    num_temperatures: int = option(
        10_000, "from prior to posterior; more of them narrow the gap", lower_bound=2
    )
    num_simulated: int = option(20, "images of the model itself, for both bounds", lower_bound=2)
    num_samples: int = option(4000, "importance samples of each image", lower_bound=1)
    posterior_temperatures: int = option(10, "of each posterior's annealing", lower_bound=2)
    prior_temperatures: int = option(10_000, "of the prior's, each way", lower_bound=2)


def define(num_images: int) -> None:
    """Defines the shared flags, with the given default of `num_images`."""
    cli.define_path("export_dir", "runs/digits/saved_model", "folder of the SavedModel")
    flags.DEFINE_string(
        "dataset", "digits", f"images: {', '.join(DATASETS)}, or a path to an .npz or .npy file"
    )
    cli.define_path("data_dir", "data", "folder of the datasets' files; missing ones go there")
    flags.DEFINE_enum("split", "test", ["train", "valid", "test"], "split whose images are taken")
    flags.DEFINE_integer(
        "num_images", num_images, "images in a fixed random subset; 0: all", lower_bound=0
    )
    flags.DEFINE_integer("seed", 0, "seed of all random numbers", lower_bound=0)


def run(report: str, kind: type, num_images: int, loader: Callable | None = None) -> None:
    """An analysis as a command: `write` of the module `report`.

    It is given the posteriors [B] and the prior that the flags name (or what `loader` gives), their
    settings of the dataclass `kind`, the seed and the folder to write into.
    """

    def main(argv: list[str]) -> None:
        del argv
        values = flags.FLAGS
        machines = (loader or load)(values)
        from sampler import seeds

        write = importlib.import_module(report).write
        write(*machines, cli.settings(kind), seeds.make_seed(values.seed), values.output_dir)

    define(num_images)
    cli.define_path("output_dir", "runs/analysis", "folder of table, figure and reading")
    cli.define(kind)
    cli.run(main, tensorflow=False)


def load_images(values: flags.FlagValues, *modules: str) -> tuple[ExportedModel, np.ndarray]:
    """The model, and the chosen images in {0, 1}, [B, D].

    What is wrong with the flags is told before TensorFlow is loaded, with `modules` that need it.

    Raises:
      ConfigError, DataError, ExportError: files that cannot be used, or do not fit one another.
    """
    from dvae_tf import data

    dataset = data.load(values.dataset, values.data_dir)
    images, name = dataset.split(values.split), f"{values.split}_images"
    if not (values.export_dir / "saved_model.pb").is_file():
        raise ConfigError(
            f"--export_dir={values.export_dir}: found no file saved_model.pb; accepted is the "
            "folder of an export, which a run writes into saved_model"
        )
    cli.load("dvae_tf.export", "dvae_tf.evaluation.evaluate", *modules)
    from dvae_tf import export
    from dvae_tf.evaluation import evaluate

    model = export.ExportedModel(values.export_dir)
    model.check_pixels(images.shape[1], values.dataset)
    if _images_of(values.export_dir).get(name) not in (None, dataset.fingerprints[name]):
        say(f"The {values.split} images are not those of the run that made {values.export_dir}")
    return model, evaluate.subset(evaluate.binary(images), values.num_images)


def _images_of(export_dir: Path) -> dict[str, str]:
    """Fingerprints of the images of the run that an export is of, as far as it says."""
    try:
        found = json.loads((export_dir / run_folder.IMAGES).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def load(values: flags.FlagValues) -> tuple[AnyMachine, AnyMachine]:
    """The posteriors [B] of the chosen images, and the prior; raises as `load_images` does."""
    import tensorflow as tf

    from sampler.machines.rbm import RBM, LowRankRBM

    model, images = load_images(values)
    parameters = model.encode_parameters(tf.constant(images, tf.float32))
    posteriors = (RBM if "w" in parameters else LowRankRBM)(**parameters)
    return posteriors, model.prior_machine()
