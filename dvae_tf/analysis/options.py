"""Flags that the analyses share, and what they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

if TYPE_CHECKING:  # TensorFlow is loaded when the flags have been read
    from sampler.machines.machine import AnyMachine


def define(num_images: int) -> None:
    """Defines the flags; `num_images` is a default that the analysis can afford."""
    flags.DEFINE_string("export_dir", "runs/digits/saved_model", "folder of the SavedModel")
    flags.DEFINE_string(
        "dataset", "digits", "digits, binarized_mnist, omniglot, or a path to an .npz"
    )
    flags.DEFINE_string("data_dir", "data", "folder of the datasets' files; missing ones go there")
    flags.DEFINE_enum("split", "test", ["train", "valid", "test"], "images to take")
    flags.DEFINE_integer(
        "num_images",
        num_images,
        "posteriors to look at, of a fixed random subset; 0: all",
        lower_bound=0,
    )
    flags.DEFINE_string("output_dir", "runs/analysis", "folder for the table, figure and reading")
    flags.DEFINE_integer("seed", 0, "of all random numbers", lower_bound=0)


def load(values: flags.FlagValues) -> tuple[AnyMachine, AnyMachine]:
    """The posteriors [B] of the chosen images, and the prior.

    Raises:
      DataError, ExportError: files that cannot be used, or do not fit one another.
    """
    import tensorflow as tf

    from dvae_tf import data, export
    from dvae_tf.evaluation import evaluate
    from sampler.machines.low_rank import LowRankRBM
    from sampler.machines.rbm import RBM

    model = export.ExportedModel(Path(values.export_dir))
    images = data.load(values.dataset, values.data_dir).split(values.split)
    model.check_pixels(images.shape[1], values.dataset)
    chosen = evaluate.subset(evaluate.binary(images), values.num_images)
    parameters = model.encode(tf.constant(chosen, tf.float32))
    posteriors = (RBM if "w" in parameters else LowRankRBM)(**parameters)
    return posteriors, model.prior_machine()
