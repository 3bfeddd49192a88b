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
    spins = (2 * generator.integers(0, 2, (BATCH, CHAINS, n)) - 1 for n in (N1, N2))
    return [s.astype(np.float32) for s in spins]


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
    s1, s2 = map(tf.constant, random_states())
    z1, z2, binary = (1 + s1) / 2, (1 + s2) / 2, spins.binary()
    for k in range(2):
        # a spin's field is half of the logit of its bit
        logits = binary.natural(k, (z1, z2))
        np.testing.assert_allclose(2 * spins.natural(k, (s1, s2)), logits, rtol=1e-4, atol=1e-4)
    difference = spins.energy((s1, s2)) - binary.energy((z1, z2))
    constant = np.repeat(difference[:, :1], CHAINS, 1)
    np.testing.assert_allclose(difference, constant, atol=1e-4)
    np.testing.assert_allclose(4 * spins.rms_coupling(), binary.rms_coupling(), rtol=1e-6)


def test_from_binary_is_the_inverse():
    values = random_values()
    back = ising.from_binary(RBM(*map(tf.constant, values))).binary()
    for value, original in zip(back, values, strict=True):
        np.testing.assert_allclose(value, original, rtol=1e-5, atol=1e-5)


def test_pull_back_is_the_gradient_of_weighted_natural_parameters():
    spins = IsingRBM(*map(tf.constant, random_values()))
    z1, z2 = map(tf.constant, random_states())
    generator = np.random.default_rng(2)
    g1, g2 = (tf.constant(generator.normal(size=z.shape), tf.float32) for z in (z1, z2))
    with tf.GradientTape() as tape:
        tape.watch(spins)
        total = tf.reduce_sum(g1 * spins.natural(0, (None, z2)))
        total += tf.reduce_sum(g2 * spins.natural(1, (z1, None)))
    truth = tape.gradient(total, spins)
    for value, autodiff in zip(spins.pull_back(z2, g1, z1, g2), truth, strict=True):
        np.testing.assert_allclose(value, autodiff, rtol=1e-4, atol=1e-4)
