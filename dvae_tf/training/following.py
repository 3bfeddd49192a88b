"""log Z of the prior along a training, by populations that have no part in it."""

import functools

import tensorflow as tf

from dvae_tf.priors.prior import Prior
from sampler import seeds
from sampler.populations import followers
from sampler.populations.followers import Follower


class PriorFollower(tf.Module):
    """A `sampler` follower of a prior, kept in variables so that checkpoints have it.

    Args:
      prior: the model's.
      seed: of the run.
    """

    def __init__(self, prior: Prior, seed: int):
        super().__init__()
        self._prior = prior
        self._seed = seeds.fold_in(seeds.make_seed(seed), 3)
        follower = followers.start(prior.machine(), seed=seeds.fold_in(self._seed, 0))
        self.values = [tf.Variable(t) for t in tf.nest.flatten(follower)]
        self._packed = functools.partial(tf.nest.pack_sequence_as, follower)

    def read(self) -> Follower:
        """The follower, where it last was."""
        return self._packed([v.read_value() for v in self.values])

    def follow(self, step: int) -> Follower:
        """Carries it to the prior's present parameters, those after `step` steps, and renews it.

        A training makes modes that the populations would never come to by sweeps.
        """
        seed = seeds.fold_in(self._seed, 1, step)
        carried = followers.follow(self.read(), self._prior.machine(), seeds.fold_in(seed, 0))
        follower = followers.renew(carried, seeds.fold_in(seed, 1))
        for variable, value in zip(self.values, tf.nest.flatten(follower), strict=True):
            variable.assign(value)
        return follower
