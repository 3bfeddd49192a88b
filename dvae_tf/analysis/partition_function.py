r"""The paper's Fig. 3: error and spread of log Z against the number of AIS temperatures.

python -m dvae_tf.analysis.partition_function --export_dir=runs/mnist/saved_model \
    --dataset=binarized_mnist
"""

from __future__ import annotations

from absl import flags

from dvae_tf import cli
from dvae_tf.analysis import options


def main(argv: list[str]) -> None:
    """Flags to the curves, written and printed."""
    del argv
    from dvae_tf.analysis import convergence_report

    settings = cli.settings(convergence_report.Settings)
    convergence_report.write(*options.load(flags.FLAGS), settings, *options.output(flags.FLAGS))


if __name__ == "__main__":
    options.define(num_images=4, writes_folder=True)
    flags.DEFINE_integer(
        "max_temperatures", 8192, "largest number of temperatures; 2, 4, ... up to it", 2
    )
    flags.DEFINE_integer("num_chains", 1000, "AIS chains of an estimate", lower_bound=2)
    flags.DEFINE_integer("num_repeats", 8, "independent estimates of each log Z", lower_bound=2)
    flags.DEFINE_integer(
        "truth_temperatures", 2**15, "of the prior's true log Z, each way", lower_bound=2
    )
    flags.DEFINE_integer(
        "posterior_truth_temperatures",
        2**10,
        "of the posteriors', which are annealed from means near their own: fewer do",
        lower_bound=2,
    )
    flags.DEFINE_integer("truth_chains", 2000, "AIS chains of a true log Z", lower_bound=2)
    cli.run(main, "dvae_tf.analysis.convergence_report")
