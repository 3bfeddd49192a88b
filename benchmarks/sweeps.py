"""Times a Gibbs sweep of many chains of one RBM; the last line is JSON.

  python benchmarks/sweeps.py --num_units=100 --num_chains=1000

The same work as the peers' `--mode=sweeps`: calls of `--prior_sweeps` sweeps, milliseconds a sweep.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dvae_tf import cli  # noqa: E402

cli.prepare()

flags.DEFINE_integer("num_units", 100, "units of each side")
flags.DEFINE_integer("num_chains", 1000, "chains of the RBM")
flags.DEFINE_integer("prior_sweeps", 40, "sweeps in a call")
flags.DEFINE_integer("num_calls", 50, "timed calls", lower_bound=1)
FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Warms up, times, prints."""
    del argv
    import numpy as np
    import tensorflow as tf

    from sampler import gibbs, seeds
    from sampler.machines.rbm import RBM

    n = FLAGS.num_units
    rng = np.random.default_rng(0)
    w = tf.constant(rng.normal(size=(n, n), scale=0.01), tf.float32)
    rbm = RBM(tf.zeros([n]), tf.zeros([n]), w)
    root = seeds.make_seed(0)

    @tf.function(jit_compile=True, autograph=False)
    def call(z2: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        return gibbs.run(rbm, (None, z2), FLAGS.prior_sweeps, seeds.fold_in(root, number))[1]

    z2 = gibbs.initial(rbm, FLAGS.num_chains, root)[1]
    seconds = []
    for number in range(5 + FLAGS.num_calls):
        started = time.perf_counter()
        z2 = call(z2, tf.constant(number))
        z2[0, 0].numpy()
        seconds.append((time.perf_counter() - started) / FLAGS.prior_sweeps)
    seconds = seconds[5:]
    result = {
        "num_units": n,
        "num_chains": FLAGS.num_chains,
        "ms_per_sweep_median": round(1e3 * float(np.median(seconds)), 4),
        "ms_per_sweep_min": round(1e3 * min(seconds), 4),
        "timed": len(seconds),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    cli.run(main)
