"""Settings of the toys; defaults are the paper's where it gives them."""

import dataclasses
import importlib

from absl import flags

from dvae_tf import cli
from dvae_tf.cli import option
from dvae_tf.registry import PLUGGED_IN


@dataclasses.dataclass(frozen=True)
class GaussianSettings:
    """How every estimator of Fig. 1 trains, and is measured."""

    num_steps: int = option(2000, "of Adam, a multiple of 10", lower_bound=10)
    num_runs: int = option(100, "independent runs of each estimator", lower_bound=1)
    num_samples: int = option(1, "samples of each gradient", lower_bound=1)
    learning_rate: float = option(0.01, "Adam's", lower_bound=0)
    bias_samples: int = option(1_000_000, "for each estimator's bias", lower_bound=2)
    seed: int = option(0, "of all random numbers", lower_bound=0)
    record_every: int = 10


@dataclasses.dataclass(frozen=True)
class HarmoniumSettings:
    """How every estimator trains a Gaussian harmonium, and is measured."""

    num_steps: int = option(2000, "of Adam, a multiple of 50", lower_bound=50)
    num_runs: int = option(20, "independent runs of each estimator", lower_bound=1)
    num_samples: int = option(10, "samples of each gradient", lower_bound=1)
    learning_rate: float = option(0.01, "Adam's", lower_bound=0)
    bias_samples: int = option(200_000, "for each estimator's bias", lower_bound=2)
    num_units: int = option(10, "on each side", lower_bound=1)
    seed: int = option(0, "of the target and all runs", lower_bound=0)
    record_every: int = 50


@dataclasses.dataclass(frozen=True)
class AuxiliarySettings:
    """How posteriors with auxiliary units train, and are measured."""

    num_steps: int = option(2000, "of Adam, a multiple of 50", lower_bound=50)
    num_runs: int = option(8, "posteriors for each number of units", lower_bound=1)
    num_chains: int = option(100, "persistent chains of each posterior", lower_bound=1)
    num_sweeps: int = option(5, "hard sweeps of the chains a step", lower_bound=1)
    relaxed_sweeps: int = option(1, "after these", lower_bound=1)
    learning_rate: float = option(0.01, "Adam's", lower_bound=0)
    bias_samples: int = option(1_000_000, "for the bias at each t", lower_bound=2)
    seed: int = option(0, "of the target and all runs", lower_bound=0)
    record_every: int = 50
    num_units: int = 10


@dataclasses.dataclass(frozen=True)
class RBMSettings:
    """How the RBMs of Fig. 4 train, whatever the number of relaxed sweeps.

    They have `num_units` on each side; the mixture's units have a variance of `variance` in each of
    its components. Exact KLs are recorded every so many steps.
    """

    num_steps: int = option(10_000, "of Adam, a multiple of 200", lower_bound=200)
    num_runs: int = option(8, "RBMs for each number of relaxed sweeps", lower_bound=1)
    num_chains: int = option(100, "persistent chains of each RBM", lower_bound=1)
    num_sweeps: int = option(10, "hard sweeps of the chains a step", lower_bound=1)
    relaxation: str = option("pwl", "of the units", enum_values=PLUGGED_IN)
    sharpness: float = option(4.0, "of the relaxation", lower_bound=0)
    learning_rate: float = option(0.01, "Adam's", lower_bound=0)
    seed: int = option(0, "of the mixture and all runs", lower_bound=0)
    record_every: int = 200
    num_units: int = 10
    num_components: int = 8
    variance: float = 0.04


def run(report: str, kind: type) -> None:
    """A toy's command: `write` of the module `report`, with the settings that the flags give."""

    def main(argv: list[str]) -> None:
        del argv
        module = importlib.import_module(report)
        module.write(flags.FLAGS.output_dir, cli.settings(kind))

    cli.define_path("output_dir", "runs/toys", "folder of the CSV, PNG and Markdown")
    cli.define(kind)
    cli.run(main, report)
