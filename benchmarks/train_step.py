"""Times one training step; the last line is JSON.

  python benchmarks/train_step.py --num_latents=200 --prior_sweeps=5 --batch_size=100
  python benchmarks/train_step.py --num_samples=25

Images are pixel-like random data; what a step costs does not depend on them.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dvae_tf import cli  # noqa: E402
from dvae_tf.config import CHOICES  # noqa: E402

cli.prepare()

flags.DEFINE_integer("num_latents", 200, "latent units in all; 200 means 100+100")
flags.DEFINE_integer("prior_sweeps", 5, "Gibbs sweeps of the prior's samples per step")
flags.DEFINE_integer("batch_size", 100, "images per step")
flags.DEFINE_integer("num_samples", 1, "K, of the importance-weighted bound", lower_bound=1)
flags.DEFINE_enum("posterior", "undirected", CHOICES["posterior"], "q(z|x)")
flags.DEFINE_enum("prior", "rbm", CHOICES["prior"], "p(z)")
flags.DEFINE_integer("num_layers", 1, "groups of a directed posterior", lower_bound=1)
flags.DEFINE_integer("coupling_rank", 0, "of an undirected posterior; 0: full", lower_bound=0)
flags.DEFINE_enum("prior_sampler", "pa", ["pa", "pcd"], "of the prior")
flags.DEFINE_integer("num_steps", 100, "timed steps", lower_bound=50)
flags.DEFINE_integer("warm_up", 20, "steps before", lower_bound=2)
flags.DEFINE_string("profile_dir", None, "folder for a TensorFlow profile of the timed steps")
FLAGS = flags.FLAGS

NUM_IMAGES = 10_000
NUM_PIXELS = 784


def make_step():
    """A step function over fresh parameters: step number -> objective."""
    import numpy as np
    import tensorflow as tf

    from dvae_tf import config
    from dvae_tf.factory import new_model
    from dvae_tf.training import batches, state, step

    settings = config.resolve(
        "binarized_mnist",
        num_latents=FLAGS.num_latents,
        prior_sweeps=FLAGS.prior_sweeps,
        batch_size=FLAGS.batch_size,
        prior_sampler=FLAGS.prior_sampler,
        num_samples=FLAGS.num_samples,
        posterior=FLAGS.posterior,
        prior=FLAGS.prior,
        num_layers=FLAGS.num_layers,
        coupling_rank=FLAGS.coupling_rank,
        num_steps=20_000,
    )
    rng = np.random.default_rng(0)
    prototypes = rng.random((64, NUM_PIXELS)) < 0.13
    flips = rng.random((NUM_IMAGES, NUM_PIXELS)) < 0.02
    images = (prototypes[rng.integers(0, 64, NUM_IMAGES)] ^ flips).astype(np.uint8)
    model = new_model(settings, images.mean(0, dtype=np.float32))
    carried = state.State(model, NUM_IMAGES, settings.num_samples)
    train = step.TrainStep(model, carried, tf.constant(images), model.optimizer, model.settings)

    def run(number: int) -> float:
        indices = batches.batch_indices(NUM_IMAGES, settings.batch_size, 0, number)
        info = train(tf.constant(indices), tf.constant(False))
        return float(info["train/objective"])

    return run


def main(argv: list[str]) -> None:
    """Warms up, times, prints."""
    del argv
    import numpy as np
    import tensorflow as tf

    step = make_step()
    for number in range(FLAGS.warm_up):
        step(number)
    if FLAGS.profile_dir:
        tf.profiler.experimental.start(FLAGS.profile_dir)
    seconds, cpu = [], time.process_time()
    for number in range(FLAGS.num_steps):
        started = time.perf_counter()
        step(FLAGS.warm_up + number)
        seconds.append(time.perf_counter() - started)
    cpu = time.process_time() - cpu
    if FLAGS.profile_dir:
        tf.profiler.experimental.stop()
    result = {
        "posterior": FLAGS.posterior,
        "prior": FLAGS.prior,
        "num_latents": FLAGS.num_latents,
        "num_samples": FLAGS.num_samples,
        "coupling_rank": FLAGS.coupling_rank,
        "prior_sweeps": FLAGS.prior_sweeps,
        "batch_size": FLAGS.batch_size,
        "ms_per_step_median": round(1e3 * float(np.median(seconds)), 3),
        "ms_per_step_min": round(1e3 * min(seconds), 3),
        "cpu_ms_per_step": round(1e3 * cpu / len(seconds), 3),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "timed": len(seconds),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    cli.run(main)
