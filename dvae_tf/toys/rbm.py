"""The paper's Fig. 4: an RBM learned by backpropagation through 1, 2, 4 and 8 relaxed sweeps.

python -m dvae_tf.toys.rbm --output_dir=runs/toys
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from dvae_tf import cli

if TYPE_CHECKING:  # TensorFlow has to be imported after `cli.prepare`
    from dvae_tf.toys.rbm_runs import Settings

FLAGS = flags.FLAGS
SWEEPS = (1, 2, 4, 8)


def define_flags() -> None:
    """The command line's flags; the defaults are the paper's, where it names them."""
    flags.DEFINE_string("output_dir", "runs/toys", "folder of the CSV, PNG and Markdown")
    flags.DEFINE_integer("num_steps", 10_000, "of Adam, a multiple of 200", lower_bound=200)
    flags.DEFINE_integer("num_runs", 8, "RBMs for each number of relaxed sweeps", lower_bound=1)
    flags.DEFINE_integer("num_chains", 100, "persistent chains of each RBM", lower_bound=1)
    flags.DEFINE_integer("num_sweeps", 10, "hard sweeps of the chains a step", lower_bound=1)
    flags.DEFINE_enum("relaxation", "pwl", ["pwl", "concrete", "pwl_stop_slope"], "of the units")
    flags.DEFINE_float("sharpness", 4.0, "of the relaxation", lower_bound=0)
    flags.DEFINE_float("learning_rate", 0.01, "Adam's", lower_bound=0)
    flags.DEFINE_integer("seed", 0, "of the mixture and all runs", lower_bound=0)


def main(argv: list[str]) -> None:
    """Flags to one experiment, written and printed."""
    del argv
    from dvae_tf.toys.rbm_runs import Settings
    from dvae_tf.toys.training import check_steps

    names = "num_steps num_runs num_chains num_sweeps relaxation sharpness learning_rate seed"
    settings = Settings(**{name: getattr(FLAGS, name) for name in names.split()})
    check_steps(settings.num_steps, settings.record_every)
    run(Path(FLAGS.output_dir), settings)


def run(output_dir: Path, settings: Settings, sweeps: Sequence[int] = SWEEPS) -> None:
    """Trains with each number of relaxed sweeps and writes rbm.* into a folder."""
    from tqdm import tqdm

    from dvae_tf import report
    from dvae_tf.toys import rbm_report, rbm_runs

    results = {}
    with tqdm(total=settings.num_steps * len(sweeps), unit="step") as bar:
        for t in sweeps:
            bar.set_description(f"t = {t}")
            results[t] = rbm_runs.train(t, settings, bar.update)
    report.save(
        output_dir,
        "rbm",
        rbm_report.rows(results, settings.record_every),
        rbm_report.figure(results, settings),
        rbm_report.reading(results, settings),
    )


if __name__ == "__main__":
    cli.prepare()
    define_flags()
    cli.run(main, "dvae_tf.toys.rbm_report")
