"""What a run carries from step to step, all of it in the checkpoint."""

from __future__ import annotations

import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.model import DVAE
from sampler import seeds
from sampler.machines.rbm import RBM
from sampler.populations import population_annealing
from sampler.populations.population_annealing import Population


class State(tf.Module):
    """Step, chains of the training images, and the prior's population with its parameters.

    With several replicas each has a state of its own: the chains of its shard of the images, and
    its part of the prior's samples.

    Args:
      num_images: N, of the replica.
      replica: its number, of `num_replicas`.

    Attributes:
      step: steps done, int64.
      chains: persistent states of each training image, K each, uint8, [N, K, chain_units]: a byte a
        unit; no units for posteriors that need no chains.
      population: `Population` of variables; samples of `theta`.
      theta: `RBM` of variables, the prior's parameters that the population was last swept at.
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
        theta = model.prior.rbm()
        shape = [num_images, model.posterior.chain_units]
        chains = [
            tf.cast(seeds.uniform(seeds.fold_in(seed, 1, k), shape) < 0.5, tf.uint8)
            for k in range(config.num_samples)
        ]
        num_chains = config.prior_chains // num_replicas
        population = population_annealing.start(theta, num_chains, seeds.fold_in(seed, 2))
        self.step = tf.Variable(0, dtype=tf.int64, name="step")
        self.chains = tf.Variable(tf.stack(chains, 1), name="chains")
        self.population = Population(*(tf.Variable(t) for t in population))
        self.theta = RBM(*(tf.Variable(t) for t in theta))

    def read(self) -> tuple[Population, RBM]:
        """The population and its parameters as values."""
        return (
            Population(*(v.read_value() for v in self.population)),
            RBM(*(v.read_value() for v in self.theta)),
        )

    def write(self, population: Population, theta: RBM) -> None:
        """Stores a population and the parameters that it samples."""
        for variable, value in zip(
            (*self.population, *self.theta), (*population, *theta), strict=True
        ):
            variable.assign(value)


def replica_seed(seed: int, replica: int) -> tf.Tensor:
    """The run's seed for a replica; that of the first is a lone one's."""
    root = seeds.make_seed(seed)
    return seeds.fold_in(root, -1, replica) if replica else root
