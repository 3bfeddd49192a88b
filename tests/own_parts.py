"""A posterior and a prior that the project does not have, a class each, as a user writes them."""

from __future__ import annotations

from typing import NamedTuple

import keras
import tensorflow as tf

from dvae_tf.posteriors.posterior import Draws, Posterior, Sample
from dvae_tf.priors.prior import Prior
from sampler import seeds
from sampler.families import Bernoulli
from sampler.machines.general import Machine


class Probit(NamedTuple):
    """phi: z = 1 where mean + noise > 0, for standard normal noise; mean is [B, n]."""

    mean: tf.Tensor


@keras.saving.register_keras_serializable("own_parts")
class ProbitPosterior(Posterior):
    """Independent bits whose chains are real numbers: noise that moves a little each time."""

    chain_dtype = tf.float32

    def attach(self, num_latents, num_features, seed):
        del num_features, seed
        self.chain_width = sum(num_latents)
        self.mean = keras.layers.Dense(self.chain_width, name="mean")

    def call(self, context, training=False):
        del training
        return Probit(self.mean(context))

    def initial_chains(self, shape, seed):
        return seeds.normal(seed, [*shape, self.chain_width])

    def sample(self, phi, chains, seed):
        noise = 0.6 * chains + 0.8 * seeds.normal(seed, chains.shape.as_list())
        return Sample(tf.sigmoid(4 * (phi.mean[:, None] + noise)), noise)

    def log_q(self, phi, sample):
        on, off = (tf.math.log(_cdf(sign * phi.mean))[:, None] for sign in (1, -1))
        return tf.reduce_sum(sample.zeta * on + (1 - sample.zeta) * off, -1)

    def draw(self, phi, num_samples, betas, seed):
        del betas
        shape = tf.concat([tf.shape(phi.mean)[:1], [num_samples], tf.shape(phi.mean)[1:]], 0)
        noise = seeds.normal(seed, shape)
        z = tf.cast(phi.mean[:, None] + noise > 0, tf.float32)
        z = tf.ensure_shape(z, [phi.mean.shape[0], None, phi.mean.shape[1]])
        log_prob = self.log_q(phi, Sample(z, noise))
        return Draws(z, tf.zeros_like(log_prob, tf.float64), log_prob)


def _cdf(x):
    return tf.clip_by_value(0.5 * tf.math.erfc(-x / 2**0.5), 1e-6, 1 - 1e-6)


PAIRS = ((0, 1), (0, 2), (1, 2))


@keras.saving.register_keras_serializable("own_parts")
class BlocksPrior(Prior):
    """Three blocks of bits, each coupled to the other two."""

    penalties = {"w01": 1.0, "w02": 1.0, "w12": 1.0}

    def attach(self, num_latents):
        size = sum(num_latents) // 3
        self.fields = [self.add_weight(name=f"f{k}", shape=(size,)) for k in range(3)]
        self.couplings = [self.add_weight(name=f"w{k}{l}", shape=(size, size)) for k, l in PAIRS]

    def machine(self):
        fields = [tf.convert_to_tensor(f.value) for f in self.fields]
        couplings = [tf.convert_to_tensor(w.value) for w in self.couplings]
        return Machine((Bernoulli(),) * 3, fields, dict(zip(PAIRS, couplings, strict=True)))

    @staticmethod
    def encode(machine):
        fields = {f"f{k}": f for k, f in enumerate(machine.fields)}
        return fields | {f"w{k}{l}": w for (k, l), w in machine.couplings.items()}

    @staticmethod
    def decode(tensors):
        couplings = {(k, l): tensors[f"w{k}{l}"] for k, l in PAIRS}
        return Machine((Bernoulli(),) * 3, [tensors[f"f{k}"] for k in range(3)], couplings)
