"""Evaluates an exported DVAE##: the test NLL of its discrete model, with the bracket of log Z.

python eval_nll.py --export_dir=runs/digits/saved_model
python eval_nll.py --export_dir=runs/mnist/saved_model --dataset=binarized_mnist --num_samples=1000
"""

from __future__ import annotations

from absl import flags

from dvae_tf import cli
from dvae_tf.analysis import options
from dvae_tf.files import write_atomically
from sampler.command_line.files import check_file, check_folder

options.define(num_images=0)
flags.DEFINE_integer("num_samples", 4000, "importance samples of each image", lower_bound=1)
flags.DEFINE_integer(
    "num_temperatures", 0, "AIS temperatures of each posterior; 0: as many as pay", lower_bound=0
)
flags.DEFINE_integer(
    "prior_temperatures", 10_000, "AIS temperatures of the prior, each way", lower_bound=2
)
cli.define_path("output", None, "file to write the results to, as JSON")
FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Flags to one evaluation, printed and written."""
    del argv
    if FLAGS.output:
        check_folder("output", FLAGS.output.parent)
        check_file("output", FLAGS.output)
    model, images = options.load_images(FLAGS)
    from dvae_tf.evaluation import evaluate

    evaluator = evaluate.Evaluator(
        model,
        FLAGS.num_samples,
        FLAGS.num_temperatures,
        FLAGS.prior_temperatures,
        len(images),
        FLAGS.seed,
    )
    result = evaluator(images, f"{FLAGS.split} images")
    if FLAGS.output:
        write_atomically(FLAGS.output, result.to_json())
    print(result.report())


def command() -> None:
    """The program, also as an installed command."""
    cli.run(main, tensorflow=False)


if __name__ == "__main__":
    command()
