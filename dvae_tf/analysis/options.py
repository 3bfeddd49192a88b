"""Flags that programs for exported models share, and the model and images that they name."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from dvae_tf.cli import option

if TYPE_CHECKING:  # TensorFlow is loaded when the flags have been read
    import numpy as np
    import tensorflow as tf

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


def define(num_images: int, writes_folder: bool = False) -> None:
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
    if writes_folder:
        flags.DEFINE_string("output_dir", "runs/analysis", "folder of table, figure and reading")


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

    from sampler.machines.low_rank import LowRankRBM
    from sampler.machines.rbm import RBM

    model, images = load_images(values)
    parameters = model.encode_parameters(tf.constant(images, tf.float32))
    posteriors = (RBM if "w" in parameters else LowRankRBM)(**parameters)
    return posteriors, model.prior_machine()


def output(values: flags.FlagValues) -> tuple[tf.Tensor, Path]:
    """The seed, and the folder to write into."""
    from sampler import seeds

    return seeds.make_seed(values.seed), Path(values.output_dir)
