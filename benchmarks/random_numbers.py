"""Streams the sampler's raw random words to standard output, for the usual test batteries.

  python benchmarks/random_numbers.py | dieharder -g 200 -a
  python benchmarks/random_numbers.py --draws=many | dieharder -g 200 -a

`--draws=one` counts through one seed; `many` takes 200 words each from the seeds of successive
sweeps, which is how a Gibbs sampler reads them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dvae_tf import cli  # noqa: E402

cli.prepare()

flags.DEFINE_enum("draws", "one", ["one", "many"], "how the stream is cut from seeds")
flags.DEFINE_integer("seed", 0, "of the stream")
FLAGS = flags.FLAGS

WORDS = 1 << 20
SHORT = 200


def main(argv: list[str]) -> None:
    """Writes until the reader closes the pipe."""
    del argv
    import tensorflow as tf

    from sampler import seeds

    root = seeds.make_seed(FLAGS.seed)

    @tf.function(jit_compile=True)
    def block(number: tf.Tensor) -> tf.Tensor:
        if FLAGS.draws == "one":
            return seeds.raw_bits(root, tf.range(number * WORDS, (number + 1) * WORDS))
        first = number * (WORDS // SHORT)
        sweeps = tf.range(first, first + WORDS // SHORT)
        return tf.vectorized_map(
            lambda sweep: seeds.raw_bits(seeds.fold_in(root, sweep), tf.range(SHORT)), sweeps
        )

    try:
        for number in range((1 << 31) // WORDS):
            sys.stdout.buffer.write(block(tf.constant(number)).numpy().tobytes())
    except BrokenPipeError:
        sys.stderr.close()


if __name__ == "__main__":
    cli.run(main)
