"""A directed model of undirected factors: groups of units, each an RBM given those before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.likelihoods import registered
from dvae_tf.networks import BatchNorm, dense, trunk
from dvae_tf.posteriors import backpropagation
from dvae_tf.posteriors.boltzmann import gradient_alone
from dvae_tf.posteriors.directed import DirectedPosterior, Hierarchy
from dvae_tf.posteriors.posterior import Draws, Sample
from dvae_tf.posteriors.undirected import INITIAL_COUPLING_GAMMA
from sampler import seeds
from sampler.annealing import bridge
from sampler.annealing import chains as annealing
from sampler.io.errors import expect_number, expect_whole
from sampler.machines.ising import IsingRBM
from sampler.machines.machine import AnyMachine


@registered
class RBMHead(keras.layers.Layer):
    """Features -> fields and couplings of RBMs of n1 + n2 spins, side by side."""

    def __init__(self, n1: int, n2: int, coupling_scale: float, seed: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.fields = dense(n1 + n2, use_bias=True, name=f"{self.name}_fields", seed=seed)
        self.couplings = dense(n1 * n2, use_bias=False, name=f"{self.name}_couplings", seed=seed)
        initial = keras.initializers.Constant(INITIAL_COUPLING_GAMMA)
        scale = coupling_scale / math.sqrt(math.sqrt(n1 * n2))
        self.batch_norm = BatchNorm(scale, gamma_initializer=initial, name="batch_norm")

    def build(self, shape: tuple) -> None:
        """Of all parts."""
        self.fields.build(shape)
        self.couplings.build(shape)
        self.batch_norm.build((shape[0], self.couplings.units))

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """[B, n1 + n2 + n1 n2]."""
        couplings = self.batch_norm(self.couplings(inputs), training=training)
        return tf.concat([self.fields(inputs), couplings], -1)


@keras.saving.register_keras_serializable(package="dvae_tf")
class RBMGroupsPosterior(DirectedPosterior):
    r"""q(z | x) = prod_i q_i(z_i | x, z_<i), each q_i an RBM whose parameters a network gives.

    Groups are sampled one after another, each by Algorithm 1 with chains of its own, the next
    network seeing the relaxed units of those before. In

      log q(z | x) = sum_i [-E_i(z_i; z_<i) - log Z_i(z_<i)]

    log Z_i moves with the samples before, so that unlike the first one's its gradient does not
    vanish on average; it is that of -E_i at the group's own chain, one for each sample, the first
    side at its means. Evaluation anneals every factor: of the first the weights are kept, and for
    each sample the others' take the place of Z_i, which leaves E[p^(x)] = p(x) as it is.

    Args:
      layers: L, the groups.
      hidden_units: see `DirectedPosterior`.
      sweeps, relaxed_sweeps, coupling_scale: see `RBMPosterior`.

    Raises:
      ValueError: as `DirectedPosterior`; groups of less than two units; no sweeps.
    """

    plugged_in = True

    def __init__(
        self,
        layers: int = 2,
        hidden_units: Sequence[int] = (),
        sweeps: int = 10,
        relaxed_sweeps: int = 1,
        coupling_scale: float = 1.5,
    ):
        super().__init__(layers, hidden_units)
        expect_whole(sweeps, "sweeps", 1)
        expect_whole(relaxed_sweeps, "relaxed_sweeps", 1)
        expect_number(coupling_scale, "coupling_scale")
        self.num_sweeps, self.num_relaxed_sweeps = sweeps, relaxed_sweeps
        self.coupling_scale = coupling_scale

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = {"sweeps": self.num_sweeps, "relaxed_sweeps": self.num_relaxed_sweeps}
        return {**super().get_config(), **own, "coupling_scale": self.coupling_scale}

    @classmethod
    def of_run(cls, config: Config) -> RBMGroupsPosterior:
        """With the flags' groups, sweeps and scale."""
        hidden = () if config.shared_context else config.hidden_units
        sweeps = config.posterior_sweeps, config.relaxed_sweeps
        return cls(config.num_layers, hidden, *sweeps, config.coupling_scale)

    @classmethod
    def memory(cls, config: Config) -> tuple[int, int]:
        """The couplings of all groups, of each sample; a byte a unit of their second sides."""
        units = config.num_latents // config.num_layers
        return config.num_samples * config.num_layers * units**2 // 4, config.num_latents // 2

    def attach(self, num_latents: tuple[int, ...], num_features: int, seed: int) -> None:
        """See `Posterior.attach`."""
        units = sum(num_latents) // self.num_layers
        self.n1, self.n2 = units // 2, units - units // 2
        if not self.n1:
            raise ValueError(
                f"num_latents: found {num_latents}; accepted by RBMGroupsPosterior with "
                f"layers={self.num_layers}: two or more in each"
            )
        super().attach(num_latents, num_features, seed)
        self.chain_width = self.num_layers * self.n2
        # machines of the samples, bridges to them, and what a sweep makes
        self.floats_per_state = 4 * self.n1 * self.n2

    def network(self, name: str, seed: int) -> keras.Sequential:
        """The hidden layers, if any, and the head."""
        network = trunk(self.hidden_units, name, seed)
        network.add(RBMHead(self.n1, self.n2, self.coupling_scale, seed, name=name))
        return network

    def initial_chains(self, shape: list[int], seed: tf.Tensor) -> tf.Tensor:
        """Fair bits."""
        draws = seeds.uniform(seed, [*shape, self.chain_width])
        return tf.cast(draws < 0.5, self.chain_dtype)

    def sample(self, phi: Hierarchy, chains: tf.Tensor, seed: tf.Tensor) -> Sample:
        """Algorithm 1, group by group."""
        groups: list[tf.Tensor] = []
        kept = []
        for i, own in enumerate(tf.split(chains, self.num_layers, -1)):
            phi_i = self._rbm(self.learned(i, phi, groups))
            state = None, self._spins(own, i)
            zeta, hard = backpropagation.persistent_sample(
                phi_i,
                state,
                self.num_sweeps,
                self.num_relaxed_sweeps,
                self.relaxation.draw,
                seeds.fold_in(seed, i),
                backpropagation.ising_sweeps,
            )
            shape = tf.concat([tf.shape(chains)[:2], [self.units]], 0)
            bits = tf.reshape((1 + tf.concat(zeta, -1)) / 2, shape)
            groups.append(tf.ensure_shape(bits, [*chains.shape[:2], self.units]))
            kept.append(tf.reshape(tf.cast(hard[1] > 0, chains.dtype), tf.shape(own)))
        return Sample(tf.concat(groups, -1), tf.concat(kept, -1))

    def log_q(self, phi: Hierarchy, sample: Sample) -> tf.Tensor:
        """log q(zeta | x), [B, K], but for the values of log Z_i."""
        groups = tf.split(sample.zeta, self.num_layers, -1)
        chains = tf.split(sample.chains, self.num_layers, -1)
        terms = []
        for i, group in enumerate(groups):
            phi_i = self._rbm(self.outputs(i, phi, groups[:i], training=True)[0])
            s2 = self._spins(chains[i], i)

            def log_z(phi_i: AnyMachine, s2: tf.Tensor = s2) -> tf.Tensor:
                s1 = tf.stop_gradient(phi_i.families[0].mean(phi_i.natural(0, (None, s2))))
                return tf.reduce_mean(phi_i.interaction((s1, s2)), -1)

            term = -phi_i.energy(phi_i.split(self._spins(group, i)))
            term -= gradient_alone(log_z, phi_i)[:, None]
            terms.append(tf.reshape(term, tf.shape(group)[:2]))
        return tf.add_n(terms)

    def draw(
        self, phi: Hierarchy, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> Draws:
        """AIS of each factor from its mean field: of the first with weights, then one by one."""
        groups: list[tf.Tensor] = []
        log_weights: tf.Tensor | None = None
        log_prob, count = 0.0, num_samples
        for i in range(self.num_layers):
            phi_i = self._rbm(self.outputs(i, phi, groups, training=False)[0])
            route, own = bridge.from_mean_field(phi_i), seeds.fold_in(seed, i)
            begun = annealing.initial(route, count, seeds.fold_in(own, 0))
            ended = annealing.anneal(route, begun, betas, seeds.fold_in(own, 1))
            state = route.complete(ended.state, tf.constant(1.0), seeds.fold_in(own, 2))
            shape = tf.concat([tf.shape(phi.context)[:1], [num_samples]], 0)
            weights = tf.reshape(ended.log_weights, shape)
            log_prob -= tf.reshape(phi_i.energy(state), shape)
            if log_weights is None:
                log_weights, count = weights, 1
            else:
                log_prob -= tf.cast(weights, tf.float32)
            bits = (1 + tf.concat(state, -1)) / 2
            bits = tf.reshape(bits, tf.concat([shape, [self.units]], 0))
            static = num_samples if isinstance(num_samples, int) else None
            groups.append(tf.ensure_shape(bits, [phi.context.shape[0], static, self.units]))
        return Draws(tf.concat(groups, -1), log_weights, log_prob)

    def _rbm(self, values: tf.Tensor) -> IsingRBM:
        """RBMs with batch dimension [B] of the first group's outputs, [B K] of another's."""
        values = tf.reshape(values, [-1, values.shape[-1]])
        f1, f2, j = tf.split(values, [self.n1, self.n2, self.n1 * self.n2], -1)
        return IsingRBM(f1, f2, tf.reshape(j, [-1, self.n1, self.n2]))

    def _spins(self, bits: tf.Tensor, i: int) -> tf.Tensor:
        """Bits [B, K, n] as spins of the group's machines: [B, K, n], or [B K, 1, n]."""
        spins = 2 * tf.cast(bits, tf.float32) - 1
        if i == 0:
            return spins
        static = None if None in bits.shape[:2] else bits.shape[0] * bits.shape[1]
        flat = tf.reshape(spins, [-1, 1, spins.shape[-1]])
        return tf.ensure_shape(flat, [static, 1, spins.shape[-1]])
