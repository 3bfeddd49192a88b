r"""The posterior with auxiliary units fitted to a Boltzmann machine that is enumerated.

q(z) = sum_h q(z, h) is fitted by Algorithm 1 to p(z) ~ exp(f's + sum_{i<j} s_i J_ij s_j),
whose couplings are as strong as those of a spin glass near its transition.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dvae_tf import relaxations
from dvae_tf.posteriors.auxiliary import AuxiliaryPosterior
from dvae_tf.toys import training
from dvae_tf.toys.settings import AuxiliarySettings as Settings
from sampler import seeds
from sampler.machines.ising import IsingRBM

COUPLING, FIELD, SHARPNESS = 1.2, 0.3, 4.0
START, PROBE = 0.1, 0.2
"""Deviations of a posterior's couplings and fields: at the start, and where the bias is taken."""


class Target:
    """p, on bits and on their relaxations.

    Attributes:
      log_p: of all states, normalised, [2^n].
      states: as bits, [2^n, n].
    """

    def __init__(self, settings: Settings):
        n, noise = settings.num_units, np.random.default_rng(settings.seed)
        pairs = np.triu(noise.normal(scale=COUPLING / np.sqrt(n), size=(n, n)), 1)
        self._pairs = tf.constant(pairs, tf.float32)
        self._fields = tf.constant(noise.normal(scale=FIELD, size=n), tf.float32)
        self.states = tf.constant(np.indices([2] * n).reshape(n, -1).T, tf.float32)
        log_p = self.log_unnormalised(self.states)
        self.log_p = log_p - tf.reduce_logsumexp(log_p)

    def log_unnormalised(self, z: tf.Tensor) -> tf.Tensor:
        """log p*(z), [...], of bits or relaxed ones [..., n]."""
        spins = 2 * z - 1
        pairs = tf.reduce_sum(tf.matmul(spins, self._pairs) * spins, -1)
        return pairs + tf.linalg.matvec(spins, self._fields)


def posterior(num_auxiliary: int, relaxed_sweeps: int, settings: Settings) -> AuxiliaryPosterior:
    """Of so many units h; for none there is one, which nothing couples to."""
    made = AuxiliaryPosterior(max(num_auxiliary, 1), settings.num_sweeps, relaxed_sweeps)
    made.relaxation = relaxations.make("pwl", SHARPNESS)
    made.attach((1, settings.num_units - 1), 1, seed=0)
    return made


def kl(phi: IsingRBM, q: AuxiliaryPosterior, p: Target) -> tf.Tensor:
    """KL(q || p) in nats, [R], by enumeration."""
    states = tf.tile(p.states[None], [phi.batch_shape[0], 1, 1])
    log_q = q.log_unnormalised(phi, states)
    log_q -= tf.reduce_logsumexp(log_q, -1, keepdims=True)
    return tf.reduce_sum(tf.exp(log_q) * (log_q - p.log_p), -1)


def loss(
    phi: IsingRBM, chains: tf.Tensor, q: AuxiliaryPosterior, p: Target, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """What has Algorithm 1's gradient of KL(q || p), [R], by chains [R, K, n], and these moved."""
    sample = q.sample(phi, chains, seed)
    # phi is held still where log q is evaluated: that part vanishes on average
    log_q = q.log_q(tf.nest.map_structure(tf.stop_gradient, phi), sample)
    return tf.reduce_mean(log_q - p.log_unnormalised(sample.zeta), -1), sample.chains


def initial(num_auxiliary: int, num_runs: int, settings: Settings) -> list[tf.Tensor]:
    """Fields of h and z, couplings, [R, ...]; no couplings without h."""
    shapes = (max(num_auxiliary, 1),), (settings.num_units,)
    seed, scale = seeds.make_seed(settings.seed + 1), START if num_auxiliary else 0.0
    return [
        scale * seeds.normal(seeds.fold_in(seed, i), [num_runs, *shape])
        for i, shape in enumerate([*shapes, (*shapes[0], *shapes[1])])
    ]


def train(num_auxiliary: int, settings: Settings) -> np.ndarray:
    """KL(q || p) at each record, [records, R]."""
    p, q = Target(settings), posterior(num_auxiliary, settings.relaxed_sweeps, settings)
    start = initial(num_auxiliary, settings.num_runs, settings)
    variables = [tf.Variable(t) for t in (start if num_auxiliary else start[1:2])]
    seed, shape = seeds.make_seed(settings.seed), [settings.num_runs, settings.num_chains]
    chains = tf.Variable(q.initial_chains(shape, seeds.fold_in(seed, -1)))

    def phi() -> IsingRBM:
        values = [v.read_value() for v in variables]
        return IsingRBM(*(values if num_auxiliary else (start[0], values[0], start[2])))

    @tf.function(jit_compile=True)
    def gradients(step: tf.Tensor, state: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        with tf.GradientTape() as tape:
            value, state = loss(phi(), state, q, p, seeds.fold_in(seed, step))
        return tape.gradient(value, variables), state

    def gradient_fn(step: tf.Tensor) -> list[tf.Tensor]:
        found, state = gradients(step, chains.read_value())
        chains.assign(state)
        return found

    title = f"{num_auxiliary} auxiliary units"
    return np.array(
        training.minimise(variables, gradient_fn, settings, lambda: kl(phi(), q, p).numpy(), title)
    )


def bias(num_auxiliary: int, relaxed_sweeps: int, settings: Settings) -> tuple[float, float, float]:
    """Of the gradient at a random q, from exact samples: as `training.relative_bias`."""
    p, q = Target(settings), posterior(num_auxiliary, relaxed_sweeps, settings)
    probe = [t * (PROBE / START) for t in initial(num_auxiliary, 1, settings)]
    with tf.GradientTape() as tape:
        tape.watch(probe)
        value = kl(IsingRBM(*probe), q, p)
    truth = _flat(tape.gradient(value, probe))[0]
    cumulative = tf.cumsum(tf.nn.softmax(q.log_unnormalised(IsingRBM(*probe), p.states[None])[0]))
    size = min(settings.bias_samples, 1000)
    copies = [tf.repeat(t, size, 0) for t in probe]

    @tf.function(jit_compile=True)
    def estimates(seed: tf.Tensor) -> tf.Tensor:
        rows = tf.searchsorted(cumulative, seeds.uniform(seeds.fold_in(seed, 0), [size]))
        states = tf.gather(p.states, tf.minimum(rows, len(p.states) - 1))
        chains = tf.cast(states, q.chain_dtype)[:, None]
        with tf.GradientTape() as tape:
            tape.watch(copies)
            value, _ = loss(IsingRBM(*copies), chains, q, p, seeds.fold_in(seed, 1))
        return _flat(tape.gradient(value, copies))

    root = seeds.make_seed(settings.seed + 2)
    return training.relative_bias(estimates, truth, settings.bias_samples, root)


def _flat(tensors: list[tf.Tensor]) -> tf.Tensor:
    return tf.concat([tf.reshape(t, [t.shape[0], -1]) for t in tensors], -1)
