"""What a run carries from step to step, all of it in the checkpoint."""

from __future__ import annotations

import functools

import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.model import DVAE
from sampler import seeds
from sampler.machines.machine import AnyMachine
from sampler.populations import population_annealing
from sampler.populations.population import Population


class State(tf.Module):
    """Step, chains of the training images, and the prior's population with its parameters.

    With several replicas each has a state of its own: the chains of its shard of the images, and
    its part of the prior's samples.

    Args:
      num_images: N, of the replica.
      replica: its number, of `num_replicas`.

    Attributes:
      step: steps done, int64.
      chains: persistent states of each training image, K each, [N, K, chain_width] of the
        posterior's dtype; no numbers for posteriors that need no chains.
      prior: what `read` gives, its tensors as variables.
    """

    def __init__(
        self,
        config: Config,
        model: DVAE,
        num_images: int,
        replica: int = 0,
        num_replicas: int = 1,
    ):
        super().__init__()
        seed = seeds.fold_in(replica_seed(config.seed, replica), 0)
        theta, num_chains = model.prior.machine(), config.prior_chains // num_replicas
        samples = population_annealing.initial(theta, num_chains, seeds.fold_in(seed, 2))
        # one after the other: random numbers take four bytes where a bit takes one
        chains = [
            model.posterior.initial_chains([num_images], seeds.fold_in(seed, 1, k))
            for k in range(config.num_samples)
        ]
        self.step = tf.Variable(0, dtype=tf.int64, name="step")
        self.chains = tf.Variable(tf.stack(chains, 1), name="chains")
        self.prior = [tf.Variable(t) for t in tf.nest.flatten((samples, theta))]
        self._packed = functools.partial(tf.nest.pack_sequence_as, (samples, theta))

    def read(self) -> tuple[Population, AnyMachine]:
        """The prior's population, and the prior at which it was last swept, as values."""
        return self._packed([v.read_value() for v in self.prior])

    def write(self, population: Population, theta: AnyMachine) -> None:
        """Stores a population and the prior of which it has samples."""
        values = tf.nest.flatten((population, theta))
        for variable, value in zip(self.prior, values, strict=True):
            variable.assign(value)


def replica_seed(seed: int, replica: int) -> tf.Tensor:
    """The run's seed for a replica; that of the first is a lone one's."""
    root = seeds.make_seed(seed)
    return seeds.fold_in(root, -1, replica) if replica else root
