"""The RBM of spins is the RBM of binary units in other parameters; its written gradient holds."""

import numpy as np
import oracles
import tensorflow as tf

from sampler.machines import ising
from sampler.machines.ising import IsingRBM
from sampler.machines.rbm import RBM

BATCH, CHAINS, N1, N2 = 3, 7, 4, 5


def random_values(seed=0):
    generator = np.random.default_rng(seed)
    shapes = ((BATCH, N1), (BATCH, N2), (BATCH, N1, N2))
    return [generator.normal(size=s).astype(np.float32) for s in shapes]


def random_states(seed=1):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 2, (BATCH, CHAINS, n)).astype(np.float32) for n in (N1, N2)]


def test_probabilities_are_those_of_the_spins():
    f1, f2, j = random_values()
    binary = [np.asarray(t) for t in IsingRBM(f1, f2, j).binary()]
    s1, s2 = (2 * oracles.states(n) - 1 for n in (N1, N2))
    for k in range(BATCH):
        exponents = (s1 @ f1[k])[:, None] + s2 @ f2[k] + s1 @ j[k] @ s2.T
        weights = np.exp(exponents)
        truth = oracles.probabilities(*(t[k] for t in binary))
        np.testing.assert_allclose(weights / weights.sum(), truth, rtol=1e-4)


def test_conditionals_and_energies_are_the_binary_ones():
    spins = IsingRBM(*map(tf.constant, random_values()))
    z1, z2 = map(tf.constant, random_states())
    binary = spins.binary()
    np.testing.assert_allclose(spins.logits1(z2), binary.logits1(z2), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(spins.logits2(z1), binary.logits2(z1), rtol=1e-4, atol=1e-4)
    difference = spins.energy(z1, z2) - binary.energy(z1, z2)
    constant = np.repeat(difference[:, :1], CHAINS, 1)
    np.testing.assert_allclose(difference, constant, atol=1e-4)
    np.testing.assert_allclose(spins.rms_coupling(), binary.rms_coupling(), rtol=1e-6)


def test_from_binary_is_the_inverse():
    values = random_values()
    back = ising.from_binary(RBM(*map(tf.constant, values))).binary()
    for value, original in zip(back, values, strict=True):
        np.testing.assert_allclose(value, original, rtol=1e-5, atol=1e-5)


def test_pull_back_is_the_gradient_of_weighted_logits():
    spins = IsingRBM(*map(tf.constant, random_values()))
    z1, z2 = map(tf.constant, random_states())
    generator = np.random.default_rng(2)
    g1, g2 = (tf.constant(generator.normal(size=z.shape), tf.float32) for z in (z1, z2))
    with tf.GradientTape() as tape:
        tape.watch(spins)
        total = tf.reduce_sum(g1 * spins.logits1(z2)) + tf.reduce_sum(g2 * spins.logits2(z1))
    truth = tape.gradient(total, spins)
    for value, autodiff in zip(spins.pull_back(z2, g1, z1, g2), truth, strict=True):
        np.testing.assert_allclose(value, autodiff, rtol=1e-4, atol=1e-4)
