"""The paper's Fig. 1: a Gaussian learned by REINFORCE, reparameterisation, and Gibbs sweeps.

python -m dvae_tf.toys.gaussian --output_dir=runs/toys
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from dvae_tf import cli
from dvae_tf.toys.settings import GaussianSettings


def main(argv: list[str]) -> None:
    """Runs the experiment that the flags describe."""
    del argv
    from dvae_tf.toys import gaussian_report

    gaussian_report.write(Path(flags.FLAGS.output_dir), cli.settings(GaussianSettings))


if __name__ == "__main__":
    flags.DEFINE_string("output_dir", "runs/toys", "folder of the CSV, PNG and Markdown")
    cli.define(GaussianSettings)
    cli.run(main, "dvae_tf.toys.gaussian_report")
