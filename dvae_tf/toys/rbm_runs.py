"""Fig. 4: RBMs trained to a mixture by Algorithm 1's gradient with t relaxed sweeps."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dvae_tf import relaxations
from dvae_tf.posteriors.backpropagation import ising_sweeps, persistent_sample
from dvae_tf.toys import mixture as mixtures
from dvae_tf.toys import training
from dvae_tf.toys.mixture import BernoulliMixture
from dvae_tf.toys.settings import RBMSettings as Settings
from sampler import seeds
from sampler.machines.ising import IsingRBM

_WORTH_COMPILING = 1000
"""Number of steps from which XLA, three times as fast, is worth its compilation."""


class Runs(NamedTuple):
    """Results of training.

    Attributes:
      kl: exact KL(q || p), nats, at the start and at each record, [R + 1, num_runs].
      shares: mass of each RBM on each component at the end, [num_runs, num_components].
    """

    kl: np.ndarray
    shares: np.ndarray


def draw_mixture(settings: Settings) -> BernoulliMixture:
    """The target distribution."""
    units = 2 * settings.num_units
    return mixtures.draw(settings.num_components, units, settings.variance, settings.seed)


def kl_gradient(
    phi: IsingRBM,
    chains: tf.Tensor,
    mixture: BernoulliMixture,
    num_relaxed_sweeps: int,
    settings: Settings,
    seed: tf.Tensor,
) -> tuple[IsingRBM, tf.Tensor]:
    """The estimate of d KL(q || p) / d phi by Algorithm 1, and the advanced chains.

    It is the gradient of -E_fixed(zeta) - log p(zeta) at zeta from t relaxed sweeps that start at
    the chains, where phi is fixed inside E, as E_q[d log q / d phi] = 0.

    Args:
      phi: RBMs [B].
      chains: spins of the second side, [B, C, n2].
      mixture: p, over z1 and z2.
      num_relaxed_sweeps, settings: t; s and the relaxation.
    """
    relaxation = relaxations.make(settings.relaxation, settings.sharpness)
    fixed = tf.nest.map_structure(tf.stop_gradient, phi)
    with tf.GradientTape() as tape:
        tape.watch(phi)
        sweeps = settings.num_sweeps, num_relaxed_sweeps
        spins, hard = persistent_sample(
            phi, (None, chains), *sweeps, relaxation.draw, seed, ising_sweeps
        )
        log_p = mixture.log_prob((1 + tf.concat(spins, -1)) / 2)
        loss = tf.reduce_sum(tf.reduce_mean(-fixed.energy(spins) - log_p, -1))
    return IsingRBM(*tape.gradient(loss, list(phi))), hard[1]


def train(num_relaxed_sweeps: int, settings: Settings) -> Runs:
    """Trains RBMs from the uniform distribution."""
    mixture = draw_mixture(settings)
    mixture32 = mixture.cast(tf.float32)
    runs, n = settings.num_runs, settings.num_units
    variables = [tf.Variable(tf.zeros(shape)) for shape in ([runs, n], [runs, n], [runs, n, n])]
    seed = seeds.make_seed(settings.seed)
    coins = seeds.uniform(seeds.fold_in(seed, 0), [runs, settings.num_chains, n])
    chains = tf.Variable(2 * tf.cast(coins < 0.5, tf.float32) - 1)

    @tf.function(autograph=False, jit_compile=settings.num_steps >= _WORTH_COMPILING)
    def estimate(*values: tf.Tensor) -> tuple[IsingRBM, tf.Tensor]:
        *phi, s2, step = values
        seeded = seeds.fold_in(seed, 1, step)
        return kl_gradient(IsingRBM(*phi), s2, mixture32, num_relaxed_sweeps, settings, seeded)

    def gradient_fn(step: tf.Tensor) -> IsingRBM:
        phi = [v.read_value() for v in variables]
        gradient, s2 = estimate(*phi, chains.read_value(), step)
        chains.assign(s2)
        return gradient

    compare = tf.function(lambda *phi: mixtures.compare(IsingRBM(*phi).binary(), mixture))
    records = training.minimise(
        variables, gradient_fn, settings, lambda: compare(*variables), f"t = {num_relaxed_sweeps}"
    )
    return Runs(np.stack([record.kl for record in records]), records[-1].shares.numpy())
