"""What a run carries from step to step, all of it in the checkpoint."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf

from dvae_tf.model import Wiring
from dvae_tf.priors import prior
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
      num_samples: K.
      seed: of the run.
      replica: its number, of `num_replicas`.
      growing: whether `reserve` may be called.

    Attributes:
      step: steps done, int64.
      chains: persistent states of each training image, K each, [N, K, chain_width] of the
        posterior's dtype; no numbers for posteriors that need no chains.
      prior: what `read` gives, its tensors as variables; none without a prior.
    """

    def __init__(
        self,
        model: Wiring,
        num_images: int,
        num_samples: int = 1,
        seed: int = 0,
        replica: int = 0,
        num_replicas: int = 1,
        growing: bool = False,
    ):
        super().__init__()
        root = seeds.fold_in(replica_seed(seed, replica), 0)
        self._root = root
        self._new_chains = functools.partial(new_chains, model, num_samples, seed=root)
        self.step = tf.Variable(0, dtype=tf.int64, name="step")
        chains = self._new_chains(num_images)
        shape = [None if growing else num_images, *chains.shape[1:]]
        self.chains = tf.Variable(chains, name="chains", shape=shape)
        self.prior: list[tf.Variable] = []
        if model.has_prior:
            theta, num_chains = model.prior_machine(), model.prior.num_chains // num_replicas
            samples = population_annealing.initial(theta, num_chains, seeds.fold_in(root, 2))
            self.prior = [tf.Variable(t) for t in tf.nest.flatten((samples, theta))]
            self._packed = functools.partial(tf.nest.pack_sequence_as, (samples, theta))

    def reserve(self, num_images: int) -> None:
        """Makes room for the chains of `num_images`, if there is less."""
        found = int(tf.shape(self.chains)[0])
        if found < num_images:
            more = self._new_chains(max(num_images, 2 * found))[found:]
            self.chains.assign(tf.concat([self.chains, more], 0))

    def anneal(self, theta: AnyMachine) -> None:
        """Samples of the prior theta from scratch: those at hand are of another one."""
        num_chains = self.read()[0].log_weights.shape[-1]
        seed = seeds.fold_in(self._root, 3)
        annealed_fn = tf.function(
            lambda: prior.population(theta, num_chains, seed), jit_compile=True, autograph=False
        )
        self.write(annealed_fn(), theta)

    def read(self) -> tuple[Any, Any]:
        """The prior's population, and the prior at which it was last swept; None without one."""
        if not self.prior:
            return None, None
        return self._packed([v.read_value() for v in self.prior])

    def write(self, population: Population, theta: AnyMachine) -> None:
        """Stores a population and the prior of which it has samples."""
        values = tf.nest.flatten((population, theta))
        for variable, value in zip(self.prior, values, strict=True):
            variable.assign(value)


def new_chains(model: Wiring, num_samples: int, num_images: int, seed: tf.Tensor) -> tf.Tensor:
    """Chains to begin with, [N, K, chain_width]."""
    # one after the other: random numbers take four bytes where a bit takes one
    chains = [
        model.posterior.initial_chains([num_images], seeds.fold_in(seed, 1, k))
        for k in range(num_samples)
    ]
    return tf.stack(chains, 1)


def replica_seed(seed: int, replica: int) -> tf.Tensor:
    """The run's seed for a replica; that of the first is a lone one's."""
    root = seeds.make_seed(seed)
    return seeds.fold_in(root, -1, replica) if replica else root
