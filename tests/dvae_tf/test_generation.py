"""Samples against the enumerated prior and posterior, their latents read off by the decoder."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
import tensorflow as tf
from stand_in import StandIn

from dvae_tf import generation
from dvae_tf.posteriors.undirected import RBMPosterior
from sampler import seeds
from sampler.machines.ising import from_binary
from sampler.machines.rbm import RBM

UNITS = 4


class Transparent(StandIn):
    """A model whose pixels are its latents, and whose posteriors are given."""

    def __init__(self, prior, posteriors=()):
        self._prior = RBM(*(tf.cast(t, tf.float32) for t in prior))
        self._posteriors = [
            tf.constant(np.stack(t), tf.float32) for t in zip(*posteriors, strict=True)
        ]

    def draw(self, inputs: tf.Tensor, num_samples: int, betas: tf.Tensor, seed: tf.Tensor):
        del inputs
        posterior = RBMPosterior()
        posterior.attach((UNITS, UNITS), 0, 0)
        return posterior.draw(from_binary(RBM(*self._posteriors)), num_samples, betas, seed)

    def decode(self, z: tf.Tensor, given=None) -> tf.Tensor:
        del given
        return 1000 * (z - 0.5)

    def prior_machine(self) -> RBM:
        return self._prior


def random_rbm(seed: int, coupling: float) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    w = coupling * generator.standard_normal((UNITS, UNITS))
    return [generator.standard_normal(UNITS), generator.standard_normal(UNITS), w]


def two_modes() -> list[np.ndarray]:
    """All units 0, or all 1, with 8 couplings of energy between: Gibbs sweeps do not cross."""
    w = np.full((UNITS, UNITS), 8.0)
    bias = np.full(UNITS, -UNITS * 4.0) - 0.05
    return [bias, bias, w]


@pytest.fixture(scope="module")
def sample():
    """z [num_samples, 8] for a seed and a prior of any parameters, through one graph."""

    @tf.function(autograph=False)
    def graph(b1, b2, w, num_samples, seed):
        return generation.sample_images(Transparent((b1, b2, w)), num_samples, seed)

    def run(prior, num_samples: int, seed: int) -> np.ndarray:
        tensors = (tf.constant(t, tf.float32) for t in prior)
        return graph(*tensors, tf.constant(num_samples), seeds.make_seed(seed)).numpy()

    return run


def test_samples_are_the_prior_s(sample):
    prior, runs = random_rbm(0, 1.0), 8
    means = []
    for seed in range(runs):
        z = sample(prior, 1000, seed)
        assert z.shape == (1000, 2 * UNITS) and set(np.unique(z)) == {0, 1}
        means.append(oracles.statistics(z[:, :UNITS], z[:, UNITS:]).mean(0))
    exact = oracles.moments(*prior)
    # members share ancestors, which makes errors larger than independent draws', by a factor that
    # the runs show; the average over all moments is a good estimate of it
    independent = np.sqrt(exact * (1 - exact) / 1000)
    factor = np.sqrt(np.mean((np.std(means, 0, ddof=1) / independent) ** 2))
    assert factor < 2
    errors = (np.mean(means, 0) - exact) / (factor * independent / np.sqrt(runs))
    assert abs(errors).max() < 5


def test_each_mode_has_its_weight(sample):
    # no path of annealing from independent units that favours one of the modes would find the other
    shares = [sample(two_modes(), 1000, seed).mean() for seed in range(8)]
    exact = oracles.mean1(*two_modes())[0]
    assert 0.3 < exact < 0.45
    stderr = np.std(shares, ddof=1) / np.sqrt(len(shares))
    # 8 runs: a t distribution of 7 degrees of freedom, where 9 is what 5 is for a normal one
    assert stderr < 0.02
    assert abs(np.mean(shares) - exact) < 9 * stderr


def test_more_samples_than_members_are_not_copies(sample):
    prior = random_rbm(0, 0.1)
    z = sample(prior, 2500, 0)
    assert z.shape == (2500, 2 * UNITS)
    # samples a population's size apart share their parent, and have been swept apart since:
    # independent ones agree with probability sum p^2
    agree = np.mean(np.all(z[:1000] == z[1000:2000], 1))
    chance = np.sum(oracles.probabilities(*prior) ** 2)
    assert abs(agree - chance) < 5 * np.sqrt(chance * (1 - chance) / 1000)


@pytest.mark.parametrize("image", [0, 1])
def test_reconstructions_are_of_the_posterior_s_samples(image):
    posteriors = [random_rbm(1, 1.0), random_rbm(2, 1.0)]
    model = Transparent(random_rbm(0, 1.0), posteriors * 2000)
    z = generation.reconstruct(model, tf.zeros([4000, 1]), seeds.make_seed(0)).numpy()[image::2]
    moments = oracles.moments(*posteriors[image])
    drawn = oracles.statistics(z[:, :UNITS], z[:, UNITS:]).mean(0)
    assert abs((drawn - moments) / np.sqrt(moments * (1 - moments) / len(z))).max() < 5
