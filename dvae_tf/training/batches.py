"""Which training images a step sees: functions of their arguments alone.

So a resumed run sees the batches that it would have seen.
"""

import functools

import numpy as np


def shard(num_images: int, replica: int, num_replicas: int) -> slice:
    """The images of a replica: consecutive ones, the shards' sizes differing by one at most."""
    size, rest = divmod(num_images, num_replicas)
    first = replica * size + min(replica, rest)
    return slice(first, first + size + (replica < rest))


def batch_indices(
    num_images: int, batch_size: int, seed: int, step: int, replica: int = 0
) -> np.ndarray:
    """Training images of a step, int32 [batch_size]: each epoch is a new permutation.

    An epoch's last images that do not fill a batch are left out of it.

    Args:
      num_images, batch_size: of the replica: its shard, and its part of the batch.
      step: from 0.
    """
    epoch, batch = divmod(step, num_images // batch_size)
    order = _order(num_images, replica, seed, epoch)
    return order[batch * batch_size : (batch + 1) * batch_size]


@functools.lru_cache(maxsize=16)
def _order(num_images: int, replica: int, seed: int, epoch: int) -> np.ndarray:
    key = [seed, epoch, replica] if replica else [seed, epoch]
    return np.random.default_rng(key).permutation(num_images).astype(np.int32)
