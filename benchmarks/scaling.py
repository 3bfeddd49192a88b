"""What data-parallel training costs and would give: measured here, and computed from that.

  python benchmarks/scaling.py                     # prints the tables of docs/scaling.md
  python benchmarks/scaling.py --num_steps=0       # without times

Collectives and their bytes are counted as two replicas trace a step. Times are this machine's;
the projections add ring all-reduces at the bandwidths and latencies given as flags.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dvae_tf import cli  # noqa: E402

cli.prepare()

flags.DEFINE_integer("num_steps", 200, "timed steps of each kind; 0: none", lower_bound=0)
flags.DEFINE_float("gpu_bandwidth", 100.0, "between GPUs of one machine, GB/s")
flags.DEFINE_float("gpu_latency", 10.0, "of a message between them, microseconds")
flags.DEFINE_float("net_bandwidth", 1.1, "between machines, GB/s (10 Gbit Ethernet)")
flags.DEFINE_float("net_latency", 50.0, "of a message between them, microseconds")
FLAGS = flags.FLAGS

MODELS = {
    "100+100": {"num_latents": 200},
    "200+200": {"num_latents": 400},
    "200+200, rank 8": {"num_latents": 400, "coupling_rank": 8},
}
NUM_IMAGES, NUM_PIXELS = 10_000, 784


def settings(strategy: str, **fields):
    """The paper's configuration but for 5 prior sweeps."""
    from dvae_tf import config

    return config.resolve("binarized_mnist", prior_sweeps=5, strategy=strategy, **fields)


def make_step(strategy: str, **fields):
    """A step over random images: number -> what it returns."""
    import numpy as np
    import tensorflow as tf

    from dvae_tf.factory import new_model
    from dvae_tf.training.distribution import Distribution, batch, new_step

    found = settings(strategy, **fields)
    images = (np.random.default_rng(0).random((NUM_IMAGES, NUM_PIXELS)) < 0.13).astype(np.uint8)
    distribution = Distribution(found)
    with distribution.strategy.scope():
        model = new_model(found, images.mean(0, dtype=np.float32))
    step_fn, _ = new_step(distribution, model, images)

    def run(number: int):
        rows = batch(distribution, NUM_IMAGES, found.batch_size, found.seed, number)
        info = step_fn(rows, tf.constant(False))
        return float(info["train/objective"])

    return run


def count_collectives(**fields) -> list[int]:
    """Bytes of each all-reduce of a step, as one of two replicas asks for it."""
    import tensorflow as tf

    calls: list[int] = []
    original = tf.distribute.ReplicaContext.all_reduce

    def counted(self, op, value, options=None):
        number = tf.get_static_value(self.replica_id_in_sync_group)
        if number == 0:
            tensors = tf.nest.flatten(value)
            calls.append(sum(t.shape.num_elements() * t.dtype.size for t in tensors))
        return original(self, op, value, options)

    tf.distribute.ReplicaContext.all_reduce = counted
    try:
        make_step("mirrored", **fields)(0)
    finally:
        tf.distribute.ReplicaContext.all_reduce = original
    return calls


def milliseconds(strategy: str, **fields) -> float:
    """The median of a step's time."""
    import numpy as np

    step = make_step(strategy, **fields)
    seconds = []
    for number in range(10 + FLAGS.num_steps):
        started = time.perf_counter()
        step(number)
        seconds.append(time.perf_counter() - started)
    return 1e3 * float(np.median(seconds[10:]))


@dataclasses.dataclass
class Link:
    """How tensors travel: bytes a second, and seconds a message."""

    bandwidth: float
    latency: float

    def all_reduce_ms(self, sizes: list[int], num_replicas: int) -> float:
        """Ring all-reduces of `sizes` bytes, one after another."""
        rounds = 2 * (num_replicas - 1)
        volume = sum(sizes) * rounds / num_replicas
        return 1e3 * (volume / self.bandwidth + len(sizes) * rounds * self.latency)


def print_collectives(counted: dict[str, list[int]]) -> None:
    """A line a model."""
    print("| model | all-reduces a step | of these gradients | bytes a step | gradients' share |")
    print("|---|---|---|---|---|")
    for name, sizes in counted.items():
        largest = max(sizes)
        share = f"{largest / sum(sizes):.1%}"
        print(f"| {name} | {len(sizes)} | 1 | {sum(sizes) / 1e6:.2f} MB | {share} |")


@dataclasses.dataclass
class Times:
    """Milliseconds of a step with a batch of 100 and 1000 samples of the prior, and with half."""

    alone: float
    half: float

    def of_part(self, num_replicas: int) -> float:
        """Of 1 / R of both, by a line through the two measured."""
        fixed = 2 * self.half - self.alone
        return fixed + (self.alone - fixed) / num_replicas


def print_times() -> dict[str, Times]:
    """Alone and as two replicas on these cores; half the images and samples for comparison."""
    print("\n| model | alone | two replicas | ratio | alone, half the work |")
    print("|---|---|---|---|---|")
    found = {}
    for name, fields in MODELS.items():
        alone, two = (milliseconds(s, **fields) for s in ("none", "mirrored"))
        half = milliseconds("none", batch_size=50, prior_chains=500, **fields)
        print(f"| {name} | {alone:.1f} ms | {two:.1f} ms | {two / alone:.2f} | {half:.1f} ms |")
        found[name] = Times(alone, half)
    return found


def links() -> dict[tuple[str, int], Link]:
    """What connects 8 GPUs, and 32 workers."""
    return {
        ("GPUs", 8): Link(1e9 * FLAGS.gpu_bandwidth, 1e-6 * FLAGS.gpu_latency),
        ("workers", 32): Link(1e9 * FLAGS.net_bandwidth, 1e-6 * FLAGS.net_latency),
    }


def print_projection(counted: dict[str, list[int]]) -> None:
    """Milliseconds of all-reduces, for 8 GPUs and 32 workers."""
    print("\n| model | " + " | ".join(f"{n} {kind}" for kind, n in links()) + " |")
    print("|---|---|---|")
    for name, sizes in counted.items():
        row = [f"{link.all_reduce_ms(sizes, n):.1f} ms" for (_, n), link in links().items()]
        print(f"| {name} | {' | '.join(row)} |")


def print_gains(counted: dict[str, list[int]], times: dict[str, Times]) -> None:
    """Images a second, as a multiple of one replica's; steps take as long as on this machine."""
    print("\n| model | replicas | batch of 100 shared | batch of 100 each |")
    print("|---|---|---|---|")
    for name, sizes in counted.items():
        alone = times[name].alone
        for (kind, n), link in links().items():
            reduce = link.all_reduce_ms(sizes, n)
            shared = alone / (times[name].of_part(n) + reduce)
            each = n * alone / (alone + reduce)
            print(f"| {name} | {n} {kind} | {shared:.1f} | {each:.1f} |")


def print_memory() -> None:
    """Of the images' chains, 100 units on the side that is kept."""
    print("\n| images | chains, a byte a unit | chains, a bit a unit | images, a byte a pixel |")
    print("|---|---|---|---|")
    for count in (10**6, 10**9):
        sizes = (100 * count, 100 * count / 8, NUM_PIXELS * count)
        print(f"| {count:.0e} | " + " | ".join(f"{s / 1e9:.2f} GB" for s in sizes) + " |")


def main(argv: list[str]) -> None:
    """Counts, times, computes."""
    del argv
    counted = {name: count_collectives(**fields) for name, fields in MODELS.items()}
    print_collectives(counted)
    times = print_times() if FLAGS.num_steps else None
    print_projection(counted)
    if times:
        print_gains(counted, times)
    print_memory()


def two_devices() -> None:
    """Makes two logical devices of the CPU, before TensorFlow looks for them."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


if __name__ == "__main__":
    two_devices()
    cli.run(main)
