"""Number of mean-field modes of posteriors and of the prior, and KL(mean field || RBM).

python -m dvae_tf.analysis.modes --export_dir=runs/mnist/saved_model --dataset=binarized_mnist
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from dvae_tf import cli
from dvae_tf.analysis import options

if __name__ == "__main__":
    cli.prepare()
    options.define(num_images=500)
    flags.DEFINE_integer("num_samples", 200, "of each posterior", lower_bound=8)
    flags.DEFINE_integer("num_temperatures", 101, "of each posterior's annealing", lower_bound=2)
    flags.DEFINE_integer("prior_samples", 4000, "of the prior", lower_bound=8)
    flags.DEFINE_integer("prior_temperatures", 1001, "of the prior's annealing", lower_bound=2)


def main(argv: list[str]) -> None:
    """Flags to the modes of posteriors and prior, written and printed."""
    del argv
    from tqdm import tqdm

    from dvae_tf import report
    from dvae_tf.analysis import modes_report, multimodality
    from sampler import seeds

    values = flags.FLAGS
    posteriors, prior = options.load(values)
    seed = seeds.make_seed(values.seed)
    settings = [
        multimodality.Settings(_whole(number), temperatures)
        for number, temperatures in (
            (values.num_samples, values.num_temperatures),
            (values.prior_samples, values.prior_temperatures),
        )
    ]
    with tqdm(total=posteriors.b1.shape[0] + 1, desc="RBMs") as bar:
        of_prior = multimodality.find_many(
            prior.copies(1), settings[1], seeds.fold_in(seed, 0), bar.update
        )[0]
        of_posteriors = multimodality.find_many(
            posteriors, settings[0], seeds.fold_in(seed, 1), bar.update
        )
    report.save(
        Path(values.output_dir),
        "modes",
        modes_report.rows(of_posteriors, of_prior),
        modes_report.figure(of_posteriors, of_prior),
        modes_report.reading(of_posteriors, of_prior, *settings),
    )


def _whole(num_samples: int) -> int:
    """The number of samples, rounded up to equal populations."""
    from dvae_tf.analysis.multimodality import NUM_RUNS

    return -(-num_samples // NUM_RUNS) * NUM_RUNS


if __name__ == "__main__":
    cli.run(main, "dvae_tf.analysis.modes_report")
