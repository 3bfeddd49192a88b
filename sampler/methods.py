"""What the command line's methods do with an RBM, and what they say about it.

Each takes (rbm, seed, bar, flags...): the RBM of any batch shape, an int32 [2] seed, the progress
bar, and the method's flags (`options`) by name. Large batches go in groups, which bounds memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from tqdm import tqdm

from sampler import exact
from sampler import path as paths
from sampler.path import Path
from sampler.rbm import RBM

BASES: dict[str, Callable[[RBM], Path]] = {
    "biases": paths.from_biases,
    "uniform": paths.from_uniform,
}
CHAINS_AT_ONCE = 50_000
"""Most chains of a group of RBMs; a single RBM may have more."""


class Answer(NamedTuple):
    """What a method found.

    Attributes:
      values: by key of the JSON line, arrays of the RBM's batch shape [...].
      warnings: why not to believe it; empty when nothing is known against it.
      pictures: by kind, what `plots.KINDS` takes, of the RBM that has the smallest ESS.
      member: which RBM of the batch that is, for the title; empty without a batch.
    """

    values: dict[str, Any]
    warnings: list[str] = []
    pictures: dict[str, dict[str, Any]] = {}
    member: str = ""


def exact_log_z(rbm: RBM, seed: tf.Tensor, bar: tqdm) -> Answer:
    """log Z by enumeration."""
    del seed
    bar.reset(total=1)
    values = {"log_z": exact.log_z(rbm)}
    bar.update()
    return Answer(values)


def exact_sample(rbm: RBM, seed: tf.Tensor, bar: tqdm, num_samples: int) -> tuple:
    """Independent samples, by enumeration of one side."""
    bar.reset(total=1)
    z1, z2 = exact.sample(rbm, num_samples, seed)
    bar.update()
    return z1, z2, Answer({})


LOG_Z: dict[str, Callable[..., Answer]] = {"exact": exact_log_z}
"""By name; the flags of each are the keys of `options.LOG_Z`."""

SAMPLE: dict[str, Callable[..., tuple]] = {"exact": exact_sample}
"""By name, likewise; each returns z1 [..., S, n1], z2 [..., S, n2] and an `Answer`."""
