"""What the followers of log Z and the running NLL cost a training; the last line is JSON.

  python benchmarks/follow.py --data_dir=DIR --num_steps=800

Two trainings of binarized MNIST by the fast recipe with rank 8, of which one follows, take turns,
so that a busy machine slows both. Rounds are as long as the running NLL's interval, or more.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dvae_tf import cli  # noqa: E402

cli.prepare()

flags.DEFINE_string("data_dir", "data", "where the data set is")
flags.DEFINE_integer("num_steps", 800, "steps of a round", lower_bound=800)
flags.DEFINE_integer("rounds", 3, "of each", lower_bound=1)
FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Alternates rounds, prints."""
    del argv
    import numpy as np

    from dvae_tf import config, data
    from dvae_tf.training.loop import Trainer

    settings = config.resolve(
        "binarized_mnist", recipe="fast", prior_sweeps=5, coupling_rank=8, num_steps=20_000
    )
    dataset = data.load("binarized_mnist", FLAGS.data_dir)
    with tempfile.TemporaryDirectory() as folder:
        trainers = [Trainer(settings, dataset, Path(folder) / name) for name in ("bare", "follow")]
        trainers[0].follower = None
        ms: list[list[float]] = [[], []]
        for number in range(FLAGS.rounds + 1):
            steps = range(number * FLAGS.num_steps + 1, (number + 1) * FLAGS.num_steps + 1)
            for trainer, times in zip(trainers, ms, strict=True):
                started = time.perf_counter()
                for step in steps:
                    trainer._step(step)
                times.append(1e3 * (time.perf_counter() - started) / FLAGS.num_steps)
    # the first round compiles
    bare, follow = (np.array(times[1:]) for times in ms)
    result = {"ms_per_step_bare": np.median(bare), "ms_per_step_follow": np.median(follow)}
    result["ratio_median"] = np.median(follow / bare)
    print(json.dumps({name: round(float(value), 3) for name, value in result.items()}))


if __name__ == "__main__":
    cli.run(main)
