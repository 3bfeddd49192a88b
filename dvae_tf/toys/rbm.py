"""The paper's Fig. 4: an RBM learned by backpropagation through 1, 2, 4 and 8 relaxed sweeps.

python -m dvae_tf.toys.rbm --output_dir=runs/toys
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from dvae_tf import cli, config


def define_flags() -> None:
    """The command line's flags; the defaults are the paper's, where it names them."""
    flags.DEFINE_string("output_dir", "runs/toys", "folder of the CSV, PNG and Markdown")
    flags.DEFINE_integer("num_steps", 10_000, "of Adam, a multiple of 200", lower_bound=200)
    flags.DEFINE_integer("num_runs", 8, "RBMs for each number of relaxed sweeps", lower_bound=1)
    flags.DEFINE_integer("num_chains", 100, "persistent chains of each RBM", lower_bound=1)
    flags.DEFINE_integer("num_sweeps", 10, "hard sweeps of the chains a step", lower_bound=1)
    flags.DEFINE_enum("relaxation", "pwl", config.PLUGGED_IN, "of the units")
    flags.DEFINE_float("sharpness", 4.0, "of the relaxation", lower_bound=0)
    flags.DEFINE_float("learning_rate", 0.01, "Adam's", lower_bound=0)
    flags.DEFINE_integer("seed", 0, "of the mixture and all runs", lower_bound=0)


def main(argv: list[str]) -> None:
    """Flags to one experiment, written and printed."""
    del argv
    from dvae_tf.toys import rbm_report

    rbm_report.write(Path(flags.FLAGS.output_dir), cli.settings(rbm_report.Settings))


if __name__ == "__main__":
    define_flags()
    cli.run(main, "dvae_tf.toys.rbm_report")
