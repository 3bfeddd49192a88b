"""What a step costs through `model.fit`, beside the command line's; the last line is JSON.

  python benchmarks/fit_step.py --num_steps=200

The same model, batches and random numbers; rounds of both alternate, so that a busy machine slows
both. `fit` shows its progress bar, as the command line does. The optimizer of `fit` is
`keras.optimizers.Adam`, as a user hands it in.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dvae_tf import cli  # noqa: E402

cli.prepare()

flags.DEFINE_integer("num_steps", 100, "steps of a round", lower_bound=10)
flags.DEFINE_integer("rounds", 5, "of each", lower_bound=1)
FLAGS = flags.FLAGS

BATCH = 100


def main(argv: list[str]) -> None:
    """Alternates rounds, prints."""
    del argv
    import keras
    import numpy as np
    import tensorflow as tf

    from dvae_tf import config, factory
    from dvae_tf.training import batches, state, step

    settings = config.resolve("binarized_mnist", prior_sweeps=5, num_steps=20_000)
    count = FLAGS.num_steps * BATCH
    images = (np.random.default_rng(0).random((count, 784)) < 0.13).astype(np.uint8)
    mean = images.mean(0, dtype=np.float32)
    ours, theirs = (factory.new_model(settings, mean) for _ in range(2))
    theirs.compile(keras.optimizers.Adam(3e-3), kl_warmup=6000)
    carried = state.State(ours, count)
    train = step.TrainStep(ours, carried, tf.constant(images), ours.optimizer, ours.settings)

    def command_line(first: int) -> None:
        for number in range(first, first + FLAGS.num_steps):
            indices = batches.batch_indices(count, BATCH, 0, number)
            float(train(tf.constant(indices), tf.constant(False))["train/objective"])

    def fit() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            theirs.fit(images, batch_size=BATCH, epochs=1)

    seconds: dict[str, list[float]] = {"command_line": [], "fit": []}
    for number in range(FLAGS.rounds + 1):
        for name, run in (("command_line", lambda n=number: command_line(n)), ("fit", fit)):
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    # the first round compiles
    ms = {name: [1e3 * s / FLAGS.num_steps for s in times[1:]] for name, times in seconds.items()}
    ratios = [b / a for a, b in zip(ms["command_line"], ms["fit"], strict=True)]
    result = {f"ms_per_step_{name}": round(float(np.median(v)), 3) for name, v in ms.items()}
    result["ratio_median"] = round(float(np.median(ratios)), 3)
    result["traces"] = step.traces(theirs._training.step_fn)
    print(json.dumps(result))


if __name__ == "__main__":
    cli.run(main)
