"""The paper's Fig. 1: a Gaussian learned by REINFORCE, reparameterisation, and Gibbs sweeps.

python -m dvae_tf.toys.gaussian --output_dir=runs/toys
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from dvae_tf import cli


def define_flags() -> None:
    """The command line's flags; the defaults are those of the figure."""
    flags.DEFINE_string("output_dir", "runs/toys", "folder of the CSV, PNG and Markdown")
    flags.DEFINE_integer("num_steps", 2000, "of Adam, a multiple of 10", lower_bound=10)
    flags.DEFINE_integer("num_runs", 100, "independent runs of each estimator", lower_bound=1)
    flags.DEFINE_integer("num_samples", 1, "samples of each gradient", lower_bound=1)
    flags.DEFINE_float("learning_rate", 0.01, "Adam's", lower_bound=0)
    flags.DEFINE_integer("bias_samples", 1_000_000, "for each estimator's bias", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "of all random numbers", lower_bound=0)


def main(argv: list[str]) -> None:
    """Flags to one experiment, written and printed."""
    del argv
    from dvae_tf.toys import gaussian_report

    settings = cli.settings(gaussian_report.Settings)
    gaussian_report.write(Path(flags.FLAGS.output_dir), settings, flags.FLAGS.bias_samples)


if __name__ == "__main__":
    define_flags()
    cli.run(main, "dvae_tf.toys.gaussian_report")
