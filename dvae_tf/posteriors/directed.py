"""The directed posterior: groups of units, each given x and the groups before it (Fig. 2b, 2c)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from dvae_tf.config import Config
from dvae_tf.networks import perceptron
from dvae_tf.posteriors.posterior import Draws, Posterior, Sample
from dvae_tf.relaxations import discrete_log_prob
from sampler import seeds
from sampler.families import Bernoulli
from sampler.io.errors import expect_sizes, expect_whole


class Hierarchy(NamedTuple):
    """phi of a directed posterior.

    Attributes:
      context: what all groups see of x, [B, features].
      weights: for each group, the trainable weights of its network.
    """

    context: tf.Tensor
    weights: tuple[tuple[tf.Tensor, ...], ...]


@keras.saving.register_keras_serializable(package="dvae_tf")
class DirectedPosterior(Posterior):
    """q(z | x) = prod_i q(z_i | c, z_<i), each q factorial, sampled group by group.

    With a shared context c(x) a group's network is linear (Fig. 2c); without, c is x itself and the
    network has hidden layers (Fig. 2b). Networks emit fields f of spins, logits 2f, as the
    undirected posterior's head does: one group is that posterior without couplings, step by step.

    Args:
      layers: L, the groups, equal parts of the latents.
      hidden_units: of each group's own network, which is then fed the encoder's features; none
        where the groups share these as their context.

    Raises:
      ValueError: fewer than one group; latents that don't divide into them.
    """

    def __init__(self, layers: int = 1, hidden_units: Sequence[int] = ()):
        super().__init__()
        expect_whole(layers, "layers", 1)
        expect_sizes(hidden_units, "hidden_units", "(100, 100)")
        self.num_layers, self.hidden_units = layers, tuple(hidden_units)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {"layers": self.num_layers, "hidden_units": list(self.hidden_units)}

    @classmethod
    def of_run(cls, config: Config) -> DirectedPosterior:
        """With the flags' groups, and their hidden layers where they share none."""
        return cls(config.num_layers, () if config.shared_context else config.hidden_units)

    def attach(self, num_latents: tuple[int, ...], num_features: int, seed: int) -> None:
        """See `Posterior.attach`."""
        total, num_layers = sum(num_latents), self.num_layers
        if total % num_layers:
            raise ValueError(
                f"num_latents: found {num_latents}; accepted by {type(self).__name__} with "
                f"layers={num_layers}: a multiple of {num_layers} in all"
            )
        self.units = total // num_layers
        self.networks = []
        for i in range(num_layers):
            network = self.network("fields" if i == 0 else f"fields_{i}", seed)
            network.build((None, num_features + i * self.units))
            self.networks.append(network)

    def network(self, name: str, seed: int) -> keras.Sequential:
        """What a group's parameters are had by, not yet built; the name is its last layer's."""
        return perceptron(self.hidden_units, self.units, name, seed)

    def call(self, context: tf.Tensor, training: bool = False) -> Hierarchy:
        """phi(x): the context [B, features] and the networks' present weights."""
        del training
        weights = (tuple(v.value for v in net.trainable_variables) for net in self.networks)
        return Hierarchy(context, tuple(tuple(map(tf.convert_to_tensor, w)) for w in weights))

    def sample(self, phi: Hierarchy, chains: tf.Tensor, seed: tf.Tensor) -> Sample:
        """Ancestral samples, each group relaxed given the relaxed ones; chains stay as they are."""

        def logits_fn(i: int, before: list[tf.Tensor]) -> tf.Tensor:
            return 2 * self.learned(i, phi, before)

        groups, _ = self._ancestral(logits_fn, self.relaxation.relax, chains.shape[1], seed)
        return Sample(tf.concat(groups, -1), chains)

    def log_q(self, phi: Hierarchy, sample: Sample) -> tf.Tensor:
        """log q(zeta | x), [B, K], by the relaxation's formula for a unit."""
        groups = tf.split(sample.zeta, len(self.networks), -1)
        terms = [
            self.relaxation.log_prob(2 * self.outputs(i, phi, groups[:i], training=True)[0], group)
            for i, group in enumerate(groups)
        ]
        return tf.add_n([tf.reduce_sum(term, -1) for term in terms])

    def draw(
        self, phi: Hierarchy, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> Draws:
        """Independent samples; their weights are one."""
        del betas

        def logits_fn(i: int, before: list[tf.Tensor]) -> tf.Tensor:
            return 2 * self.outputs(i, phi, before, training=False)[0]

        groups, logits = self._ancestral(logits_fn, Bernoulli().sample, num_samples, seed)
        z = tf.concat(groups, -1)
        log_prob = tf.reduce_sum(discrete_log_prob(tf.concat(logits, -1), z), -1)
        return Draws(z, tf.zeros_like(log_prob, tf.float64), log_prob)

    def _ancestral(
        self,
        logits_fn: Callable[[int, list[tf.Tensor]], tf.Tensor],
        sample_fn: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        num_samples: int | tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """The groups' samples and their logits, each [B, K, units]."""
        groups: list[tf.Tensor] = []
        all_logits = []
        for i in range(len(self.networks)):
            logits = logits_fn(i, groups)
            if i == 0:
                logits = _repeat(logits, num_samples)
            all_logits.append(logits)
            groups.append(sample_fn(logits, seeds.fold_in(seed, i)))
        return groups, all_logits

    def learned(self, i: int, phi: Hierarchy, before: list[tf.Tensor]) -> tf.Tensor:
        """As `outputs` in training, of which the batch norms keep the moving statistics."""
        values, statistics = self.outputs(i, phi, before, training=True)
        for variable, value in zip(
            self.networks[i].non_trainable_variables, statistics, strict=True
        ):
            variable.assign(value)
        return values

    def outputs(
        self, i: int, phi: Hierarchy, before: list[tf.Tensor], training: bool
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Group i's parameters given the groups before it, [B, K, outputs] (K = 1 for the first),
        and the moving statistics of its network's batch norms as they then are."""
        inputs = phi.context[:, None, :]
        if before:
            context = _repeat(inputs, tf.shape(before[0])[1])
            inputs = tf.concat([context, *before], -1)
        network = self.networks[i]
        flat = tf.reshape(inputs, [-1, phi.context.shape[-1] + i * self.units])
        values, statistics = network.stateless_call(
            phi.weights[i], network.non_trainable_variables, flat, training=training
        )
        shape = tf.concat([tf.shape(inputs)[:-1], [values.shape[-1]]], 0)
        values = tf.ensure_shape(tf.reshape(values, shape), [*inputs.shape[:-1], values.shape[-1]])
        return values, statistics


def _repeat(values: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """[B, 1, units] -> [B, count, units]."""
    shape = tf.concat([tf.shape(values)[:1], [count], tf.shape(values)[2:]], 0)
    repeated = tf.broadcast_to(values, shape)
    static = count if isinstance(count, int) else tf.get_static_value(count)
    repeated.set_shape([values.shape[0], static, values.shape[2]])
    return repeated
