"""Number of mean-field modes of posteriors and of the prior, and KL(mean field || RBM).

python -m dvae_tf.analysis.modes --export_dir=runs/mnist/saved_model --dataset=binarized_mnist
"""

from __future__ import annotations

from absl import flags

from dvae_tf import cli
from dvae_tf.analysis import options


def main(argv: list[str]) -> None:
    """Finds the modes of the posteriors and the prior that the flags name."""
    del argv
    from dvae_tf.analysis import modes_report
    from dvae_tf.analysis.multimodality import NUM_RUNS, Settings

    def settings(num_samples: int, num_temperatures: int) -> Settings:
        # rounded up to equal populations
        return Settings(-(-num_samples // NUM_RUNS) * NUM_RUNS, num_temperatures)

    values = flags.FLAGS
    modes_report.write(
        *options.load(values),
        settings(values.num_samples, values.num_temperatures),
        settings(values.prior_samples, values.prior_temperatures),
        *options.output(values),
    )


if __name__ == "__main__":
    options.define(num_images=500, writes_folder=True)
    flags.DEFINE_integer("num_samples", 200, "of each posterior", lower_bound=8)
    flags.DEFINE_integer("num_temperatures", 101, "of each posterior's annealing", lower_bound=2)
    flags.DEFINE_integer("prior_samples", 4000, "of the prior", lower_bound=8)
    flags.DEFINE_integer("prior_temperatures", 1001, "of the prior's annealing", lower_bound=2)
    cli.run(main, "dvae_tf.analysis.modes_report")
