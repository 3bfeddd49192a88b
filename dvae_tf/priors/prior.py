"""What objectives, training, evaluation and export ask of a prior p(z).

A prior is a layer of which the value is a Boltzmann machine over the latents, of any kind that
`sampler` has; all else follows from the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.registry import PRIOR_SAMPLERS
from sampler import gibbs, seeds
from sampler.annealing import ais, bridge, schedules
from sampler.io.errors import expect, expect_whole
from sampler.machines.machine import AnyMachine
from sampler.populations import population_annealing
from sampler.populations.population import Population
from sampler.weights import resampling

CHAINS = 1024
"""AIS chains of the evaluation, as in the paper."""

CLAMPED_FIELD = 50.0
"""Of bits that are all but clamped: no couplings get near it."""

POPULATION, TEMPERATURES, SWEEPS = 1000, 300, 20
"""Of the annealing that samples of a prior are drawn from, and sweeps after it."""


class Prior(keras.layers.Layer):
    """Trainable parameters of a machine over the latents, and how samples follow it in training.

    A new prior is a subclass: made with its own settings, which Keras saves, and then given its
    place in a model by `attach`.

    Args:
      chains: samples for the gradient of log Z.
      sweeps: Gibbs sweeps of these at each step.
      sampler: a name of `registry.PRIOR_SAMPLERS`.

    Attributes:
      penalties: by the variable's name, the factor of its part in the weight decay; 0 elsewhere.
      handed_in: somebody else's sampler, which takes the place of the named one; else None.

    Raises:
      ValueError: no chains or sweeps, or an unknown sampler.
    """

    penalties: ClassVar[dict[str, float]] = {}
    handed_in: Callable[..., Any] | None = None

    def __init__(self, chains: int = 1000, sweeps: int = 5, sampler: str = "pa"):
        super().__init__(name="prior")
        expect_whole(chains, "chains", 1)
        expect_whole(sweeps, "sweeps", 1)
        is_known = isinstance(sampler, str) and sampler in PRIOR_SAMPLERS
        expect(is_known, "sampler", repr(sampler), ", ".join(PRIOR_SAMPLERS))
        self.num_chains, self.num_sweeps, self.sampler = chains, sweeps, sampler

    def get_config(self) -> dict[str, Any]:
        """The arguments of an equal prior, as Keras saves it."""
        return {"chains": self.num_chains, "sweeps": self.num_sweeps, "sampler": self.sampler}

    def get_build_config(self) -> None:
        """None: Keras leaves it to the model to build its parts."""

    @classmethod
    def of_run(cls, config: Config) -> Prior:
        """The prior that the command line's flags describe."""
        return cls(config.prior_chains, config.prior_sweeps, config.prior_sampler)

    def attach(self, num_latents: tuple[int, ...]) -> None:
        """Makes the parameters, for latents in blocks.

        Raises:
          ValueError: latents that this prior can't have.
        """
        raise NotImplementedError

    def machine(self) -> AnyMachine:
        """theta as a value, without batch dimensions; its blocks side by side are the latents."""
        raise NotImplementedError

    @staticmethod
    def encode(machine: Any) -> dict[str, tf.Tensor]:
        """The parameters by name, for the export and TensorBoard."""
        raise NotImplementedError

    @staticmethod
    def decode(tensors: dict[str, tf.Tensor]) -> AnyMachine:
        """The machine of `encode`'s tensors."""
        raise NotImplementedError


def log_prob(theta: AnyMachine, z: tf.Tensor) -> tf.Tensor:
    """log p_theta(z) + log Z_theta = -E_theta(z), [..., C], for z [..., C, n]."""
    return -theta.energy(theta.split(z))


def log_z_surrogate(theta: AnyMachine, population: Population) -> tf.Tensor:
    """A scalar with the gradient of log Z_theta, estimated from samples of the prior.

    The gradient of log Z is -E_p[gradient of E] (DVAE++, section E). The value means nothing.

    Args:
      theta: the prior.
      population: C weighted samples of it.
    """
    samples = population.state, population.weights()
    return -theta.mean_energy(*tf.nest.map_structure(tf.stop_gradient, samples))


def log_z_bracket(
    theta: AnyMachine, num_temperatures: int, seed: tf.Tensor, progress_fn: Callable[[int], object]
) -> ais.Bracket:
    """log Z_theta by forward and backward AIS from the uniform distribution.

    `progress_fn` is told of temperatures just done, 2 (`num_temperatures` - 1) in all.
    """
    betas = schedules.linear(num_temperatures)
    route = bridge.from_uniform(theta)
    return ais.log_z_bracket(route, betas, CHAINS, seed, progress_fn=progress_fn)


def sample(theta: AnyMachine, num_samples: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Latents [num_samples, n] by population annealing from the uniform distribution.

    So each mode has its weight; they are members of the resampled population, after further sweeps.
    """
    betas: np.ndarray = schedules.linear(TEMPERATURES)
    route = bridge.from_uniform(theta)
    samples = population_annealing.anneal(route, betas, POPULATION, seeds.fold_in(seed, 0))
    order = tf.argsort(seeds.uniform(seeds.fold_in(seed, 1), [POPULATION]))
    # more samples than members: members again, but swept on with random numbers of their own
    chosen = tf.gather(order, tf.range(num_samples) % POPULATION)
    members = samples.equally_weighted(seeds.fold_in(seed, 2))
    state = tuple(tf.gather(x, chosen) for x in members)
    return tf.concat(gibbs.run(theta, state, SWEEPS, seeds.fold_in(seed, 3)), -1)


def sample_given(theta: AnyMachine, code: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Latents [N, n] of p(free | clamped), the last units clamped to rows of a one-hot code.

    For each of its q values a population is annealed, from independent units of which the clamped
    ones are right already; sweeps with these held follow.

    Args:
      theta: of bits.
      code: [N, q].
    """
    count, values = code.shape[-1], tf.eye(code.shape[-1])
    clamped = CLAMPED_FIELD * (2 * values - 1)
    fields = tf.tile(tf.concat(theta.fields, -1)[None, :-count], [count, 1])
    machines = theta.copies(count)
    machines = machines.with_fields(machines.split(tf.concat([fields, clamped], -1)))
    base = machines.split(tf.concat([tf.zeros_like(fields), clamped], -1))
    betas: np.ndarray = schedules.linear(TEMPERATURES)
    members = POPULATION // 5
    found = population_annealing.anneal(
        bridge.Bridge(machines, tuple(base)), betas, members, seeds.fold_in(seed, 0)
    )
    state = tf.concat(found.equally_weighted(seeds.fold_in(seed, 1)), -1)
    order = tf.argsort(seeds.uniform(seeds.fold_in(seed, 2), [members]))
    places = tf.gather(order, tf.range(tf.shape(code)[0]) % members)
    chosen = tf.gather_nd(state, tf.stack([tf.argmax(code, -1, tf.int32), places], -1))
    held = tf.concat([tf.zeros_like(chosen[:, :-count]), code], -1)
    mask = tf.concat([tf.zeros_like(chosen[:, :-count]), tf.ones_like(code)], -1) > 0
    clamp = gibbs.Clamp(theta.split(mask), theta.split(held))
    swept = gibbs.run(theta, theta.split(chosen), SWEEPS, seeds.fold_in(seed, 3), clamp)
    return tf.concat(swept, -1)


def population(theta: AnyMachine, num_chains: int, seed: tf.Tensor) -> Population:
    """Samples of the prior, of equal weights, annealed from the uniform distribution."""
    route = bridge.from_uniform(theta)
    betas: np.ndarray = schedules.linear(TEMPERATURES)
    found = population_annealing.anneal(route, betas, num_chains, seeds.fold_in(seed, 0))
    state = found.equally_weighted(seeds.fold_in(seed, 1))
    state = gibbs.run(theta, state, SWEEPS, seeds.fold_in(seed, 2))
    zeros = tf.zeros_like(found.log_weights)
    return Population(state, zeros, resampling.log_mean_exp(found.log_weights))
