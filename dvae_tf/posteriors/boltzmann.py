"""Posteriors of which phi is a Boltzmann machine, sampled by Algorithm 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from dvae_tf.posteriors import backpropagation
from dvae_tf.posteriors.posterior import Draws, Posterior, Sample
from sampler import seeds
from sampler.annealing import bridge, chains
from sampler.families import Family, Spin
from sampler.io.errors import expect_whole
from sampler.machines.ising import AnyIsingRBM
from sampler.machines.machine import AnyMachine
from sampler.machines.rbm import RBM, LowRankRBM


class BoltzmannPosterior(Posterior):
    """q(z | x) = exp(-E_phi(z)) / Z_phi of any machine; a subclass brings the head, `call`.

    Latents are the blocks side by side, spins as bits z = (1 + s) / 2. Chains hold all blocks but
    the first, which a sweep redraws before it reads it: a byte a number, or, where units are
    continuous, four.

    Args:
      sweeps: s, hard sweeps of a chain for each sample.
      relaxed_sweeps: t, relaxed sweeps, through which the gradient flows.

    Raises:
      ValueError: fewer than one of either.
    """

    plugged_in = True

    def __init__(self, sweeps: int = 10, relaxed_sweeps: int = 1):
        super().__init__()
        expect_whole(sweeps, "sweeps", 1)
        expect_whole(relaxed_sweeps, "relaxed_sweeps", 1)
        self.num_sweeps, self.num_relaxed_sweeps = sweeps, relaxed_sweeps

    def get_config(self) -> dict[str, Any]:
        """The sweeps."""
        return {"sweeps": self.num_sweeps, "relaxed_sweeps": self.num_relaxed_sweeps}

    def set_blocks(self, families: tuple[Family, ...], sizes: tuple[int, ...]) -> None:
        """Says what phi's blocks are; for a subclass's `attach`."""
        self.families, self.block_sizes = families, sizes
        self.chain_width = sum(sizes[1:])
        discrete = all(family.discrete for family in families[1:])
        self.chain_dtype = tf.uint8 if discrete else tf.float32  # type: ignore[misc]

    def initial_chains(self, shape: list[int], seed: tf.Tensor) -> tf.Tensor:
        """States of units without fields and couplings."""
        parts = zip(self.families[1:], self.block_sizes[1:], strict=True)
        state = [
            family.sample(tf.zeros([*shape, size]), seeds.fold_in(seed, k))
            for k, (family, size) in enumerate(parts)
        ]
        return tf.cast(_joined(self.families[1:], state), self.chain_dtype)

    def sample(self, phi: AnyMachine, chains: tf.Tensor, seed: tf.Tensor) -> Sample:
        """Algorithm 1: advances persistent chains and draws differentiable samples from them.

        Args:
          phi: machines [B].
          chains: persistent states of the images, [B, K, chain_width].
          seed: int32, shape [2].
        """
        written_out = isinstance(phi, AnyIsingRBM)
        zeta, hard = backpropagation.persistent_sample(
            phi,
            (None, *self._blocks(phi, chains, 1)),
            self.num_sweeps,
            self.num_relaxed_sweeps,
            self.relaxation.draw,
            seed,
            backpropagation.ising_sweeps if written_out else backpropagation.relaxed_sweeps,
        )
        chains = tf.cast(_joined(self.families[1:], hard[1:]), self.chain_dtype)
        return Sample(_joined(self.families, zeta), chains)

    def log_q(self, phi: AnyMachine, sample: Sample) -> tf.Tensor:
        """log q(zeta | x), [B, K], but for the value of log Z_phi.

        The gradient of log Z is -E_q[gradient of E], here at the images' own chains, their first
        blocks at their means.
        """

        def log_z(phi: AnyMachine) -> tf.Tensor:
            rest = self._blocks(phi, sample.chains, 1)
            mean = phi.families[0].mean(phi.natural(0, (None, *rest)))
            return tf.reduce_mean(phi.interaction((tf.stop_gradient(mean), *rest)), -1)

        return self.log_unnormalised(phi, sample.zeta) - gradient_alone(log_z, phi)[:, None]

    def log_unnormalised(self, phi: AnyMachine, z: tf.Tensor) -> tf.Tensor:
        """log q(z | x) + log Z_phi = -E_phi(z), [B, K], for latents z [B, K, n]."""
        return -phi.energy(self._blocks(phi, z))

    def draw(
        self, phi: AnyMachine, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> Draws:
        """AIS from the mean field of each machine; weights include its normaliser."""
        route = bridge.from_mean_field(phi)
        begun = chains.initial(route, num_samples, seeds.fold_in(seed, 0))
        ended = chains.anneal(route, begun, betas, seeds.fold_in(seed, 1))
        state = route.complete(ended.state, tf.constant(1.0), seeds.fold_in(seed, 2))
        return Draws(_joined(self.families, state), ended.log_weights, -phi.energy(state))

    def scalars(self, phi: AnyMachine) -> dict[str, tf.Tensor]:
        """Size of the couplings."""
        return {"rms_coupling": phi.rms_coupling()}

    def _blocks(self, phi: AnyMachine, latents: tf.Tensor, first: int = 0) -> tuple:
        """The state of all blocks from `first` on, of latents side by side."""
        blocks = phi.split(tf.cast(latents, tf.float32), first)
        pairs = zip(self.families[first:], blocks, strict=True)
        return tuple(2 * x - 1 if isinstance(family, Spin) else x for family, x in pairs)


def posterior_rbm(shown: dict[str, tf.Tensor] | None) -> AnyMachine | None:
    """The RBMs of what `Posterior.encode` gives, if that is what it gives."""
    kinds = [kind for kind in (RBM, LowRankRBM) if {*(shown or {})} == {*kind._fields}]
    return kinds[0](**(shown or {})) if kinds else None


def gradient_alone(fn: Callable[[AnyMachine], tf.Tensor], phi: AnyMachine) -> tf.Tensor:
    """fn(phi) - sg(fn(phi)), [B]: zeros with the gradient of fn in phi.

    Nothing is computed where no gradient is asked for, as of a phi that is stopped.
    """

    @tf.custom_gradient
    def zeros(*parameters: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                values = fn(tf.nest.pack_sequence_as(phi, parameters))
            return tape.gradient(values, parameters, upstream)

        return tf.zeros(tf.shape(parameters[0])[:1]), gradient

    return zeros(*tf.nest.flatten(phi))


def _joined(families: tuple[Family, ...], state: tuple | list) -> tf.Tensor:
    """Blocks side by side, as latents: spins as bits."""
    pairs = zip(families, state, strict=True)
    return tf.concat([(x + 1) / 2 if isinstance(f, Spin) else x for f, x in pairs], -1)
