"""Flags that programs for exported models share, and the model and images that they name."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from dvae_tf import cli
from dvae_tf.cli import option

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
    truth_temperatures: int = option(2**15, "of the prior's true log Z, each way", lower_bound=2)
    posterior_truth_temperatures: int = option(
        2**10,
        "of the posteriors', which are annealed from means near their own: fewer do",
        lower_bound=2,
    )
    truth_chains: int = option(2000, "AIS chains of a true log Z", lower_bound=2)


@dataclasses.dataclass(frozen=True)
class ModesSettings:
    """How much to run for modes; numbers of samples are rounded up to equal populations."""

    num_samples: int = option(200, "of each posterior", lower_bound=8)
    num_temperatures: int = option(101, "of each posterior's annealing", lower_bound=2)
    prior_samples: int = option(4000, "of the prior", lower_bound=8)
    prior_temperatures: int = option(1001, "of the prior's annealing", lower_bound=2)


def define(num_images: int) -> None:
    """Defines the shared flags, with the given default of `num_images`."""
    flags.DEFINE_string("export_dir", "runs/digits/saved_model", "folder of the SavedModel")
    flags.DEFINE_string(
        "dataset", "digits", "digits, binarized_mnist, omniglot, or a path to an .npz"
    )
    flags.DEFINE_string("data_dir", "data", "folder of the datasets' files; missing ones go there")
    flags.DEFINE_enum("split", "test", ["train", "valid", "test"], "images to take")
    flags.DEFINE_integer(
        "num_images", num_images, "a fixed random subset of so many; 0: all", lower_bound=0
    )
    flags.DEFINE_integer("seed", 0, "of all random numbers", lower_bound=0)


def run(report: str, kind: type, num_images: int) -> None:
    """An analysis as a command: `write` of the module `report`.

    It is given the posteriors [B] and the prior that the flags name, their settings of the
    dataclass `kind`, the seed and the folder to write into.
    """

    def main(argv: list[str]) -> None:
        del argv
        from sampler import seeds

        values = flags.FLAGS
        seed, output_dir = seeds.make_seed(values.seed), Path(values.output_dir)
        write = importlib.import_module(report).write
        write(*load(values), cli.settings(kind), seed, output_dir)

    define(num_images)
    flags.DEFINE_string("output_dir", "runs/analysis", "folder of table, figure and reading")
    cli.define(kind)
    cli.run(main, report)


def load_images(values: flags.FlagValues) -> tuple[ExportedModel, np.ndarray]:
    """The model, and the chosen images in {0, 1}, [B, D].

    Raises:
      DataError, ExportError: files that cannot be used, or do not fit one another.
    """
    from dvae_tf import data, export
    from dvae_tf.evaluation import evaluate

    model = export.ExportedModel(Path(values.export_dir))
    images = data.load(values.dataset, values.data_dir).split(values.split)
    model.check_pixels(images.shape[1], values.dataset)
    return model, evaluate.subset(evaluate.binary(images), values.num_images)


def load(values: flags.FlagValues) -> tuple[AnyMachine, AnyMachine]:
    """The posteriors [B] of the chosen images, and the prior; raises as `load_images` does."""
    import tensorflow as tf

    from sampler.machines.rbm import RBM, LowRankRBM

    model, images = load_images(values)
    parameters = model.encode_parameters(tf.constant(images, tf.float32))
    posteriors = (RBM if "w" in parameters else LowRankRBM)(**parameters)
    return posteriors, model.prior_machine()
