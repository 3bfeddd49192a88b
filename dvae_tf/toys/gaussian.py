"""The paper's Fig. 1: a Gaussian learned by REINFORCE, reparameterisation, and Gibbs sweeps.

python -m dvae_tf.toys.gaussian --output_dir=runs/toys
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from dvae_tf import cli

if TYPE_CHECKING:  # TensorFlow has to be imported after `cli.prepare`
    from dvae_tf.toys.gaussian_runs import Settings

FLAGS = flags.FLAGS


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
    from dvae_tf.toys.gaussian_runs import Settings
    from dvae_tf.toys.training import check_steps

    settings = Settings(
        FLAGS.num_steps,
        FLAGS.num_runs,
        FLAGS.num_samples,
        FLAGS.learning_rate,
        seed=FLAGS.seed,
    )
    check_steps(settings.num_steps, settings.record_every)
    run(Path(FLAGS.output_dir), settings, FLAGS.bias_samples)


def run(output_dir: Path, settings: Settings, bias_samples: int) -> None:
    """Trains by every estimator, measures their gradients, and writes gaussian.* into a folder."""
    from tqdm import tqdm

    from dvae_tf import report
    from dvae_tf.files import write_atomically
    from dvae_tf.toys import gaussian_report, gaussian_runs
    from dvae_tf.toys.estimators import ESTIMATORS

    histories = {}
    with tqdm(total=settings.num_steps * len(ESTIMATORS), unit="step") as bar:
        for name, loss in ESTIMATORS.items():
            bar.set_description(name)
            histories[name] = gaussian_runs.train(loss, settings, bar.update)
    measured = {
        name: gaussian_runs.measure(loss, bias_samples, settings.seed)
        for name, loss in tqdm(ESTIMATORS.items(), "gradients at a fixed phi")
    }
    curves = gaussian_report.quartiles(histories)
    rows = report.to_csv(gaussian_report.gradient_rows(measured))
    write_atomically(output_dir / "gaussian_gradients.csv", rows)
    print(gaussian_report.gradient_table(measured))
    report.save(
        output_dir,
        "gaussian",
        gaussian_report.curve_rows(curves, settings.record_every),
        gaussian_report.figure(curves, histories, settings),
        gaussian_report.reading(curves, measured, settings),
    )


if __name__ == "__main__":
    cli.prepare()
    define_flags()
    cli.run(main, "dvae_tf.toys.gaussian_report")
