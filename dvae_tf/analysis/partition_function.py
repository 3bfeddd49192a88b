r"""The paper's Fig. 3: error and spread of log Z against the number of AIS temperatures.

python -m dvae_tf.analysis.partition_function --export_dir=runs/mnist/saved_model \
    --dataset=binarized_mnist
"""

from __future__ import annotations

from absl import flags

from dvae_tf import cli
from dvae_tf.analysis import options


def main(argv: list[str]) -> None:
    """Runs the comparison that the flags describe."""
    del argv
    from dvae_tf.analysis import convergence_report

    settings = cli.settings(options.ComparisonSettings)
    convergence_report.write(*options.load(flags.FLAGS), settings, *options.output(flags.FLAGS))


if __name__ == "__main__":
    options.define(num_images=4, writes_folder=True)
    cli.define(options.ComparisonSettings)
    cli.run(main, "dvae_tf.analysis.convergence_report")
