"""Continuous relaxations of discrete units, by name.

To add one that is plugged into the discrete formulas, a function (logits, rho, sharpness) -> zeta
with rho uniform in (0, 1): a file with the function, and an entry in `registry.PLUGGED_IN`. To add
one that smooths z into a density r(zeta | z): an entry in `registry.SMOOTHINGS`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import tensorflow as tf

from dvae_tf.config import PAPER
from dvae_tf.priors import prior
from dvae_tf.registry import CATEGORICAL, PLUGGED_IN, SMOOTHINGS
from dvae_tf.relaxations import overlapping
from sampler import seeds
from sampler.families import Bernoulli, Categorical, Family, Spin
from sampler.machines.machine import AnyMachine

SHARPNESS = PAPER["sharpness"]
"""Of each, where none is given."""


class Relaxation(NamedTuple):
    """How discrete units become continuous, and what takes the place of their probabilities.

    Attributes:
      relax: (logits, seed) -> zeta in [0, 1], of the logits' shape: bits, reparameterised.
      log_prob: (logits, zeta) -> log q(zeta) of each bit, of the logits' shape.
      log_prior: (theta, zeta [..., C, n]) -> log p_theta(zeta) + log Z_theta or a bound, [..., C].
      categorical: (logits [..., q], rho alike) -> zeta of one-hot units; None if there is no such.
    """

    relax: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    log_prob: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    log_prior: Callable[[AnyMachine, tf.Tensor], tf.Tensor]
    categorical: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None

    def draw(self, family: Family, eta: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """A block's relaxed state; the `draw` of `sampler.gibbs.sweep`.

        Continuous units are their own: their samples are reparameterised already.

        Args:
          family: of the units.
          eta: natural parameters, of static shape.
          seed: int32, shape [2].

        Raises:
          ValueError: categorical units, of which this relaxation has no form.
        """
        if isinstance(family, Bernoulli):
            return self.relax(eta, seed)
        if isinstance(family, Spin):
            return 2 * self.relax(2 * eta, seed) - 1
        if not isinstance(family, Categorical):
            return family.sample(eta, seed)
        if self.categorical is None:
            raise ValueError(
                f"relaxation: found one of bits alone for units of {family}; accepted: "
                f"{', '.join(CATEGORICAL)}"
            )
        logits = tf.reshape(eta, [*eta.shape[:-1], -1, family.num_states])
        zeta = self.categorical(logits, seeds.uniform(seed, logits.shape.as_list()))
        return tf.reshape(zeta, eta.shape)


def make(name: str, sharpness: float) -> Relaxation:
    """The named relaxation with its sharpness."""
    if name in SMOOTHINGS:
        smoothing = SMOOTHINGS.load(name)(sharpness)
        functions = overlapping.sample, overlapping.log_prob, overlapping.log_prior
        return Relaxation(*(partial(function, smoothing) for function in functions))
    relax = PLUGGED_IN.load(name)

    def sample(logits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return relax(logits, seeds.uniform(seed, logits.shape.as_list()), sharpness)

    categorical = None
    if name in CATEGORICAL:
        categorical = partial(CATEGORICAL.load(name), sharpness=sharpness)
    return Relaxation(sample, discrete_log_prob, prior.log_prob, categorical)


def discrete_log_prob(logits: tf.Tensor, zeta: tf.Tensor) -> tf.Tensor:
    """zeta log q + (1 - zeta) log (1 - q): the discrete formula at zeta, as GumBolt has it."""
    return zeta * logits - tf.nn.softplus(logits)
