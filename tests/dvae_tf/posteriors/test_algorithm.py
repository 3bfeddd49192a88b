"""Algorithm 1 on posteriors of any machine: its gradient against enumeration and quadrature.

The bound is E_q[c'z] - KL(q || p) for a prior p of the same blocks. With s(z) what a parameter
multiplies in log q, the gradient is the covariance of s and c'z - E_theta(z) + E_phi(z).
"""

from __future__ import annotations

import itertools

import numpy as np
import oracles
import pytest
import tensorflow as tf

from dvae_tf import relaxations
from dvae_tf.posteriors.backpropagation import relaxed_sweeps
from dvae_tf.posteriors.boltzmann import BoltzmannPosterior
from sampler import seeds
from sampler.families import Bernoulli, Categorical, Gaussian
from sampler.machines.general import Machine

COUNT = 10_000
SWEEPS = (1, 2, 4, 8)
KINDS = {
    "three blocks": ((Bernoulli(),) * 3, (3, 3, 3), ((0, 1), (0, 2), (1, 2))),
    "Gaussian-Bernoulli": ((Gaussian(2.0), Bernoulli()), (2, 4), ((0, 1),)),
}
LARGEST_BIAS = {
    "three blocks": {1: 0.25, 2: 0.1, 4: 0.08, 8: 0.08},
    "Gaussian-Bernoulli": {1: 0.31, 2: 0.13, 4: 0.08, 8: 0.08},
}
"""By t, as a fraction of the gradient's length: what was measured, and two standard errors."""

every_kind = pytest.mark.parametrize("kind", KINDS)


def parameters(kind: str, seed: int, scale: float = 0.6) -> list[np.ndarray]:
    """Fields of each block, then couplings of each pair; float64."""
    generator, (_, sizes, pairs) = np.random.default_rng(seed), KINDS[kind]
    shapes = [(n,) for n in sizes] + [(sizes[k], sizes[l]) for k, l in pairs]
    return [scale * generator.standard_normal(shape) for shape in shapes]


def machine(kind: str, values: list) -> Machine:
    families, sizes, pairs = KINDS[kind]
    tensors = [tf.cast(v, tf.float32) for v in values]
    count = len(sizes)
    return Machine(families, tensors[:count], dict(zip(pairs, tensors[count:], strict=True)))


def posterior(kind: str, relaxed: int, relaxation: str = "pwl", sharpness: float = 4.0):
    families, sizes, _ = KINDS[kind]
    made = BoltzmannPosterior(30, relaxed)
    made.set_blocks(families, sizes)
    made.relaxation = relaxations.make(relaxation, sharpness)
    return made


def nodes(kind: str) -> tuple[list[np.ndarray], np.ndarray]:
    """All states of each block, [S, n_k], and the logarithm of what each counts for, [S]."""
    families, sizes, _ = KINDS[kind]
    axes, logs = [], []
    for family, size in zip(families, sizes, strict=True):
        if family.discrete:
            axes.append(oracles.states(size))
            logs.append(np.zeros(2**size))
            continue
        # Gauss-Hermite nodes of N(0, 1 / precision), the base measure; the factor widens it
        x, w = np.polynomial.hermite_e.hermegauss(60)
        grid = np.array(list(itertools.product(x, repeat=size)))
        weights = np.log(np.array(list(itertools.product(w, repeat=size)))).sum(1)
        axes.append(grid / np.sqrt(family.precision))
        logs.append(weights)
    index = np.array(list(itertools.product(*(range(len(a)) for a in axes))))
    states = [axis[index[:, k]] for k, axis in enumerate(axes)]
    return states, sum(log[index[:, k]] for k, log in enumerate(logs))


def statistics(kind: str, states: list[np.ndarray]) -> np.ndarray:
    """What each parameter multiplies in the log-probability, [S, parameters]."""
    pairs = [states[k][:, :, None] * states[l][:, None, :] for k, l in KINDS[kind][2]]
    return np.concatenate([*states, *(p.reshape(len(p), -1) for p in pairs)], 1)


def flat(values: list) -> np.ndarray:
    return np.concatenate([np.asarray(v, np.float64).ravel() for v in values])


def reward(kind: str) -> np.ndarray:
    return np.random.default_rng(5).normal(size=sum(KINDS[kind][1]))


def exact_gradient(kind: str, phi: list[np.ndarray], theta: list[np.ndarray]) -> np.ndarray:
    states, log_measure = nodes(kind)
    s = statistics(kind, states)
    log_q = s @ flat(phi) + log_measure
    q = np.exp(log_q - log_q.max())
    q /= q.sum()
    value = np.concatenate(states, 1) @ reward(kind) + s @ (flat(theta) - flat(phi))
    return (q * (value - q @ value)) @ s


def sampled_gradient(kind: str, phi: list, theta: list, relaxed: int) -> np.ndarray:
    """Each replica's, [COUNT, parameters]."""
    made = posterior(kind, relaxed)
    prior, c = machine(kind, theta), tf.constant(reward(kind), tf.float32)

    @tf.function(autograph=False)
    def gradient(*values: tf.Tensor) -> list[tf.Tensor]:
        chains = made.initial_chains([COUNT, 1], seeds.make_seed(1))
        with tf.GradientTape() as tape:
            tape.watch(values)
            q = machine(kind, list(values))
            sample = made.sample(q, chains, seeds.make_seed(2))
            fixed = tf.nest.map_structure(tf.stop_gradient, q)
            log_p = -prior.energy(prior.split(sample.zeta))
            value = tf.linalg.matvec(sample.zeta, c) + log_p - made.log_q(fixed, sample)
            total = tf.reduce_sum(value)
        return tape.gradient(total, values)

    tiled = [tf.constant(np.repeat(v[None], COUNT, 0), tf.float32) for v in phi]
    return np.concatenate([g.numpy().reshape(COUNT, -1) for g in gradient(*tiled)], 1)


@every_kind
def test_bias_of_the_gradient(kind):
    phi, theta = parameters(kind, 0), parameters(kind, 1)
    truth = exact_gradient(kind, phi, theta)
    length = np.linalg.norm(truth)
    for relaxed in SWEEPS:
        mean, stderr = oracles.mean_and_stderr(sampled_gradient(kind, phi, theta, relaxed))
        bias, error = np.linalg.norm(mean - truth) / length, np.linalg.norm(stderr) / length
        print(f"{kind}, t = {relaxed}: bias {bias:.3f} +- {error:.3f} of the gradient")
        assert error < 0.03
        assert bias < LARGEST_BIAS[kind][relaxed]


@every_kind
def test_plain_form_is_differentiated_right(kind):
    # autodiff through two sweeps against central differences at the same random numbers
    generator = np.random.default_rng(3)
    phi = [v[None] for v in parameters(kind, 0)]
    direction = [generator.standard_normal(v.shape) for v in phi]
    families, sizes, _ = KINDS[kind]
    hard = (
        None,
        *(tf.constant(generator.integers(0, 2, (1, 5, n)), tf.float32) for n in sizes[1:]),
    )
    draw = relaxations.make("concrete", 1.0).draw

    def loss(values: list) -> tf.Tensor:
        sweep_seeds = [seeds.make_seed(i) for i in range(2)]
        zeta = tf.concat(relaxed_sweeps(machine(kind, values), hard, sweep_seeds, draw), -1)
        return tf.reduce_sum(zeta**2 * tf.constant(reward(kind), tf.float32))

    tensors = [tf.constant(v, tf.float32) for v in phi]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = loss(tensors)
    gradient = tape.gradient(value, tensors)
    along = flat([g.numpy() for g in gradient]) @ flat(direction)
    step = 3e-3
    ends = [
        float(loss([v + sign * step * d for v, d in zip(phi, direction, strict=True)]))
        for sign in (1, -1)
    ]
    # float32: the loss is good to about 1e-6, which the step divides
    assert along == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-2, abs=5e-3)
    assert abs(along) > 0.1


@every_kind
def test_log_q_holds_the_gradient_of_its_normaliser(kind):
    # at samples of q itself E_q[d log q / d phi] = 0; log q's value lacks only a constant
    phi = parameters(kind, 0)
    made = posterior(kind, 1, sharpness=1e6)
    tiled = [tf.constant(np.repeat(v[None], COUNT, 0), tf.float32) for v in phi]
    with tf.GradientTape() as tape:
        tape.watch(tiled)
        q = machine(kind, tiled)
        chains = made.initial_chains([COUNT, 1], seeds.make_seed(1))
        sample = made.sample(q, chains, seeds.make_seed(2))
        log_q = made.log_q(q, sample._replace(zeta=tf.stop_gradient(sample.zeta)))
    np.testing.assert_allclose(log_q, -q.energy(q.split(sample.zeta)), rtol=1e-6)
    gradients = [g.numpy().reshape(COUNT, -1) for g in tape.gradient(log_q, tiled)]
    mean, stderr = oracles.mean_and_stderr(np.concatenate(gradients, 1))
    assert abs(mean / stderr).max() < 5
    of_energy = statistics(kind, [x.numpy()[:, 0] for x in q.split(sample.zeta)]).mean(0)
    assert abs(of_energy / stderr).max() > 50


def test_categorical_units_take_concrete_alone():
    families = Categorical(3), Bernoulli()
    q = Machine(families, (tf.zeros([2, 6]), tf.zeros([2, 2])), {(0, 1): tf.ones([2, 6, 2])})
    made = BoltzmannPosterior(2, 2)
    made.set_blocks(families, (6, 2))
    made.relaxation = relaxations.make("concrete", 10.0)
    zeta, _ = made.sample(q, made.initial_chains([2, 4], seeds.make_seed(0)), seeds.make_seed(1))
    ones = tf.reduce_sum(tf.reshape(zeta[..., :6], [2, 4, 2, 3]), -1)
    np.testing.assert_allclose(ones, 1, rtol=1e-5)
    for name in ("pwl", "power"):
        with pytest.raises(ValueError, match="found one of bits alone .*; accepted: concrete"):
            relaxations.make(name, 4.0).draw(families[0], tf.zeros([1, 6]), seeds.make_seed(0))
