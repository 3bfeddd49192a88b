"""The paper's Fig. 4: an RBM learned by backpropagation through 1, 2, 4 and 8 relaxed sweeps.

python -m dvae_tf.toys.rbm --output_dir=runs/toys
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from dvae_tf import cli
from dvae_tf.toys.settings import RBMSettings


def main(argv: list[str]) -> None:
    """Runs the experiment that the flags describe."""
    del argv
    from dvae_tf.toys import rbm_report

    rbm_report.write(Path(flags.FLAGS.output_dir), cli.settings(RBMSettings))


if __name__ == "__main__":
    flags.DEFINE_string("output_dir", "runs/toys", "folder of the CSV, PNG and Markdown")
    cli.define(RBMSettings)
    cli.run(main, "dvae_tf.toys.rbm_report")
