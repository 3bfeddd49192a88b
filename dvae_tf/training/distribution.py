"""Data-parallel training: the strategies, who owns which images, and the step of all replicas.

Each replica owns a shard of the training images with their chains, and a part of the prior's
samples; it draws its part of every batch from its own shard. Gradients and batch-norm statistics
are those of the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from dvae_tf.config import Config, ConfigError
from dvae_tf.training.batches import batch_indices, shard
from dvae_tf.training.state import State
from dvae_tf.training.step import TrainStep
from dvae_tf.training.workers import Ending, check_tf_config, workers_watched


def mirrored() -> tf.distribute.Strategy:
    """Over all local GPUs, or all logical CPU devices where there are none."""
    gpus = tf.config.list_logical_devices("GPU")
    names = [device.name for device in gpus or tf.config.list_logical_devices("CPU")]
    # on CPUs the default, collectives, mixes up tensors of different layers
    reduce = None if gpus else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(names, reduce)


STRATEGIES: dict[str, Callable[[], tf.distribute.Strategy]] = {
    "none": tf.distribute.get_strategy,
    "mirrored": mirrored,
    "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
}


class Shared(NamedTuple):
    """What replicas share, of a model that is trained without a `Config`.

    Attributes:
      strategy: its name, for messages.
      batch_size, prior_chains: of all together.
    """

    strategy: str
    batch_size: int
    prior_chains: int


class Distribution:
    """A strategy, and this process's place in it.

    Args:
      config: with `strategy`, a name of `STRATEGIES`.
      strategy: the strategy itself, where it has been chosen already.

    Attributes:
      strategy: of tf.distribute.
      num_replicas: R, of all workers together.
      replicas: numbers of this process's own, in [0, R).
      worker: this process's number, of `num_workers`; worker 0 is the chief, which writes and
        evaluates.
      ending: how the processes end together.

    Raises:
      ConfigError: TF_CONFIG tells of no worker, or batch or prior samples can't be shared equally.
    """

    def __init__(self, config: Config | Shared, strategy: tf.distribute.Strategy | None = None):
        if config.strategy == "multi_worker":
            check_tf_config(os.environ.get("TF_CONFIG"))
        self.strategy = strategy or STRATEGIES[config.strategy]()
        if self.strategy.num_replicas_in_sync == 1:
            self.strategy = tf.distribute.get_strategy()
        self.num_replicas: int = self.strategy.num_replicas_in_sync
        resolver = self.strategy.cluster_resolver
        self.worker: int = resolver.task_id or 0 if resolver else 0
        self.num_workers = max(1, resolver.cluster_spec().num_tasks("worker")) if resolver else 1
        self.ending = Ending(self.num_workers)
        alone = self.num_replicas == 1
        self.devices = [None] if alone else self.strategy.extended.worker_devices
        first = self.worker * len(self.devices)
        self.replicas = range(first, first + len(self.devices))
        for name in ("batch_size", "prior_chains"):
            found = getattr(config, name)
            if found % self.num_replicas:
                raise ConfigError(
                    f"--{name}: found {found}, accepted is a multiple of the "
                    f"{self.num_replicas} replicas of --strategy={config.strategy}"
                )

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run's files and evaluates."""
        return self.worker == 0

    def least(self, value: int) -> int:
        """The least of all workers' values; every worker has to ask, and waits for the others."""
        if self.num_workers == 1:
            return value
        own = np.zeros([self.num_workers], np.int64)
        own[self.worker] = value
        with workers_watched(self.num_workers):
            total = self._sum(tf.constant(own))
        return int(tf.reduce_min(total)) // len(self.devices)

    def wait(self) -> None:
        """Returns when every worker has come here."""
        self.least(0)

    @tf.function(autograph=False)
    def _sum(self, values: tf.Tensor) -> tf.Tensor:
        """The sum over all replicas."""

        def add(values: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            # an argument has no device, and so no place for the sum
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(values))

        results = self.strategy.run(add, args=(values,))
        return self.strategy.experimental_local_results(results)[0]


def new_step(
    distribution: Distribution, model: Any, images: Any
) -> tuple[TrainStep | DistributedStep, list[State]]:
    """The step of all replicas over `images`, and new states of this process's own.

    Args:
      model: a compiled `DVAE`.
      images: [N, *shape], or a pair of these and of conditions; each replica has a shard.
    """
    steps, settings = [], model.settings
    num_images = len(tf.nest.flatten(images)[0])
    with distribution.strategy.scope():
        model.optimizer.build(model.trainable_variables)
    for replica, device in zip(distribution.replicas, distribution.devices, strict=True):
        part = shard(num_images, replica, distribution.num_replicas)
        with tf.device(device):
            own = tf.nest.map_structure(lambda a: tf.constant(a[part]), images)  # noqa: B023
            size, seed = part.stop - part.start, settings.seed
            count = distribution.num_replicas
            state = State(model, size, settings.num_samples, seed, replica, count)
            steps.append(TrainStep(model, state, own, model.optimizer, settings, replica))
    alone = distribution.num_replicas == 1
    step_fn = steps[0] if alone else DistributedStep(distribution, steps)
    return step_fn, [step.state for step in steps]


def batch(
    distribution: Distribution, num_images: int, batch_size: int, seed: int, step: int
) -> tf.Tensor:
    """What `new_step`'s is called with: a step's images, int32, numbered within the shards.

    [B] of a lone replica; [R, B / all] of this process's R of several.
    """
    sizes = (shard(num_images, r, distribution.num_replicas) for r in distribution.replicas)
    size = batch_size // distribution.num_replicas
    rows = [
        batch_indices(part.stop - part.start, size, seed, step, replica)
        for replica, part in zip(distribution.replicas, sizes, strict=True)
    ]
    return tf.constant(rows[0] if distribution.num_replicas == 1 else np.stack(rows))


class DistributedStep:
    """The step of several replicas at once, in place of a `TrainStep`'s call.

    Collectives can't run inside XLA's functions on a CPU, so that only the prior's update, which
    needs none, is compiled by it.

    Args:
      distribution: which replicas are this process's own.
      steps: the own replicas' steps, which share model and optimizer.
    """

    def __init__(self, distribution: Distribution, steps: Sequence[TrainStep]):
        self.distribution, self.steps = distribution, steps
        self.optimizer = steps[0].optimizer
        self._update_prior = [
            tf.function(step.update_prior, autograph=False, jit_compile=True) for step in steps
        ]

    def __call__(self, indices: tf.Tensor, detailed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Trains on the images `indices` [own replicas, B / R], numbered within their shards.

        Args:
          indices: int32.
          detailed: see `TrainStep.__call__`.

        Returns:
          Scalars by name, means over all replicas; `outputs` of the first own replica's images.
        """
        with workers_watched(self.distribution.num_workers):
            info = self._run(indices, detailed)
            self.distribution.ending.told = float(info.pop("wish")) > 0
        return info

    @tf.function(autograph=False)
    def _run(self, indices: tf.Tensor, detailed: tf.Tensor) -> dict[str, tf.Tensor]:
        strategy = self.distribution.strategy
        info = strategy.run(self._replica, args=(indices, detailed))
        return {name: strategy.experimental_local_results(v)[0] for name, v in info.items()}

    def _replica(self, indices: tf.Tensor, detailed: tf.Tensor) -> dict[str, tf.Tensor]:
        context = tf.distribute.get_replica_context()
        number = int(tf.get_static_value(context.replica_id_in_sync_group))
        own = number - self.distribution.replicas[0]
        step = self.steps[own]

        def gradients_fn(*args: tf.Tensor) -> tuple:
            gradients, *rest = step.gradients(self._update_prior[own], *args)
            # Keras adds them up over the replicas
            return [g / self.distribution.num_replicas for g in gradients], *rest

        info = step.advance(indices[own], detailed, gradients_fn)
        info["wish"] = self.distribution.ending.wish.read_value()
        outputs = info.pop("outputs")
        means = context.all_reduce(tf.distribute.ReduceOp.MEAN, tf.stack(list(info.values())))
        return {**dict(zip(info, tf.unstack(means), strict=True)), "outputs": outputs}
