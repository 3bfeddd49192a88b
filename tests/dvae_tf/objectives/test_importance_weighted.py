"""Algorithm 1 against the enumerated bound of a 4+4 RBM prior and a 4+4 RBM posterior.

The bound is E_q[c'z] - KL(q || p) here, the first term standing for log p(x | z). An image of the
batch is an independent replica of one and the same posterior, so that a batch's mean has a standard
error.
"""

from __future__ import annotations

import numpy as np
import oracles
import pytest
import tensorflow as tf
from stand_in import StandIn

from dvae_tf import relaxations
from dvae_tf.posteriors import undirected
from dvae_tf.priors.rbm import RBMPrior
from sampler import seeds
from sampler.machines import ising
from sampler.machines.rbm import RBM
from sampler.populations.population import Population

UNITS = 4
HARD = 1e6
"""A sharpness at which all but about 1e-6 of the relaxed units are 0 or 1."""

REWARD = np.array([0.5, -1.0, 0.8, 0.2, -0.6, 0.9, -0.3, 0.4], np.float32)
"""c: log p(x | zeta) is c'zeta up to a constant."""


class Replicas(StandIn):
    """What the objective asks of a model, with one posterior for the whole batch.

    Args:
      phi, theta: arrays b1, b2, w.
      sharpness: of the relaxation.
      num_replicas: of the batch.
    """

    def __init__(self, phi, theta, sharpness: float, num_replicas: int, relaxation: str = "pwl"):
        copies = (np.repeat(t[None], num_replicas, 0) for t in phi)
        binary = RBM(*(tf.constant(t, tf.float32) for t in copies))
        self.parameters = [tf.Variable(t) for t in ising.from_binary(binary)]
        self.relaxation = relaxations.make(relaxation, sharpness)
        self.posterior = undirected.RBMPosterior(sweeps=40)
        self.posterior.relaxation, self.prior = self.relaxation, RBMPrior()
        self.posterior.attach((UNITS, UNITS), 0, 0)
        self.prior.attach((UNITS, UNITS))
        self.prior.assign(RBM(*(tf.constant(t, tf.float32) for t in theta)))

    def phi(self, x: tf.Tensor, training: bool = False) -> ising.IsingRBM:
        del x, training
        return ising.IsingRBM(*(tf.convert_to_tensor(v) for v in self.parameters))

    def decode(self, z: tf.Tensor, given=None, training: bool = False) -> tf.Tensor:
        """Logits so large and negative that log p(x = 1) = logit, which is linear in z."""
        del given, training
        return tf.reduce_sum(z * REWARD, -1, keepdims=True) - 50.0


def random_rbm(seed: int, coupling: float, bias: float = 0.7) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    scales = {(UNITS,): bias, (UNITS, UNITS): coupling}
    shapes = [(UNITS,), (UNITS,), (UNITS, UNITS)]
    return [(scales[s] * generator.standard_normal(s)).astype(np.float32) for s in shapes]


def enumerated_population(theta: list[np.ndarray]) -> Population:
    """All 256 states with their probabilities as weights: expectations over it are exact."""
    states = oracles.states(UNITS).astype(np.float32)
    z1, z2 = np.repeat(states, len(states), 0), np.tile(states, (len(states), 1))
    log_weights = 3.0 - oracles.energies(*theta).ravel()
    tensors = (tf.constant(z) for z in (z1, z2))
    return Population(
        tuple(tensors), tf.constant(log_weights, tf.float64), tf.zeros([], tf.float64)
    )


def run(
    model: Replicas,
    population: Population,
    kl_weight: float = 1.0,
    num_samples: int = 1,
    bound: str = "importance_weighted",
):
    """The objective's terms, its gradient in theta (flat), and in phi (per replica), as binary."""
    count = model.parameters[0].shape[0]
    x, chains = tf.ones([count, 1]), tf.zeros([count, num_samples, UNITS], tf.uint8)
    with tf.GradientTape() as tape:
        objective, terms = model.task.objective(
            model, x, chains, population, tf.constant(kl_weight), seeds.make_seed(7), bound=bound
        )
    theta, phi = tape.gradient(
        objective, [[v.value for v in model.prior.weights], model.parameters]
    )
    per_replica = [count * tf.convert_to_tensor(g).numpy().astype(np.float64) for g in phi]
    per_replica = binary_gradient(*per_replica)
    return (
        terms,
        flat(binary_gradient(*(tf.convert_to_tensor(g).numpy() for g in theta))),
        per_replica,
    )


def binary_gradient(f1: np.ndarray, f2: np.ndarray, j: np.ndarray) -> list[np.ndarray]:
    """The gradient in (b1, b2, W) from that in Ising fields and couplings.

    As W = 4J, b1 = 2(f1 - J 1), b2 = 2(f2 - J'1): df = 2 db, dJ = 4 dW - 2 db1 1' - 2 1 db2'.
    """
    return [f1 / 2, f2 / 2, (j + f1[..., :, None] + f2[..., None, :]) / 4]


def flat(gradients) -> np.ndarray:
    return np.concatenate([np.asarray(g, np.float64).ravel() for g in gradients])


def moments_stderr(phi: list[np.ndarray], count: int) -> np.ndarray:
    """Standard errors of the moments of `count` samples of the RBM, from its probabilities."""
    states, p = oracles.states(UNITS), oracles.probabilities(*phi).ravel()
    pairs = oracles.statistics(np.repeat(states, len(states), 0), np.tile(states, (len(states), 1)))
    return np.sqrt((p @ pairs**2 - (p @ pairs) ** 2) / count)


def bound(phi: list[np.ndarray], theta: list[np.ndarray]) -> float:
    """E_q[c'z] - KL(q || p), enumerated."""
    means = np.concatenate([oracles.mean1(*phi), oracles.mean2(*phi)])
    return REWARD @ means - oracles.kl(oracles.probabilities(*phi), oracles.probabilities(*theta))


def bound_gradient(phi: list[np.ndarray], theta: list[np.ndarray]) -> list[np.ndarray]:
    """d bound / d phi by central differences in float64 (error about 1e-9)."""
    phi = [t.astype(np.float64) for t in phi]
    gradients = [np.zeros_like(t) for t in phi]
    for t, gradient in zip(phi, gradients, strict=True):
        for i in np.ndindex(t.shape):
            values = []
            for step in (1e-5, -2e-5):
                t[i] += step
                values.append(bound(phi, theta))
            t[i] += 1e-5
            gradient[i] = (values[0] - values[1]) / 2e-5
    return gradients


COUNT = 20_000


@pytest.fixture(scope="module", params=["coupled and hard", "mean field and relaxed"])
def theta_case(request):
    """phi, theta, and the gradient in theta that Algorithm 1 gives."""
    hard = request.param == "coupled and hard"
    # In the hard limit samples are those of q. With W_phi = 0 the two sides are independent and
    # E[zeta] = q, so that the energy's expectation is exact however soft the relaxation is.
    phi = random_rbm(0, 1.5 if hard else 0.0)
    theta = random_rbm(1, 1.0)
    model = Replicas(phi, theta, HARD if hard else 4.0, COUNT)
    return phi, theta, run(model, enumerated_population(theta))[1]


def test_gradient_of_theta_equals_the_enumerated_one(theta_case):
    # d/d theta of E_q[-E_theta] - log Z_theta: the moments under q minus those under p.
    phi, theta, gradient = theta_case
    expected = oracles.moments(*phi) - oracles.moments(*theta)
    # the population is exact, so only q's samples have an error; a relaxed unit's is smaller
    assert abs((gradient - expected) / moments_stderr(phi, COUNT)).max() < 5


def test_the_paper_s_sign_of_log_z_is_a_misprint(theta_case):
    phi, theta, gradient = theta_case
    misprint = oracles.moments(*phi) + oracles.moments(*theta)
    z_scores = abs((gradient - misprint) / moments_stderr(phi, COUNT))
    assert np.median(z_scores) > 50


def test_gradient_of_theta_with_a_sampled_population():
    # As in training: the prior's expectation from samples, here of another RBM, with weights.
    phi, theta, proposal = random_rbm(0, 1.5), random_rbm(1, 1.0), random_rbm(1, 0.5)
    z = oracles.samples(*proposal, COUNT, np.random.default_rng(0))
    rows = tuple(oracles.index(side) for side in z)
    ratio = oracles.probabilities(*theta)[rows] / oracles.probabilities(*proposal)[rows]
    tensors = (tf.constant(side, tf.float32) for side in z)
    log_weights, zero = tf.constant(np.log(ratio), tf.float64), tf.zeros([], tf.float64)
    _, gradient, _ = run(
        Replicas(phi, theta, HARD, COUNT), Population(tuple(tensors), log_weights, zero)
    )
    expected = oracles.moments(*phi) - oracles.moments(*theta)
    # the weighted mean's error by the delta method, besides that of q's samples
    deviations = oracles.statistics(*z) - oracles.moments(*theta)
    prior_variance = np.sum((ratio[:, None] * deviations) ** 2, 0) / np.sum(ratio) ** 2
    stderr = np.sqrt(moments_stderr(phi, COUNT) ** 2 + prior_variance)
    assert abs((gradient - expected) / stderr).max() < 5
    unweighted = oracles.moments(*phi) - oracles.statistics(*z).mean(0)
    assert abs((gradient - unweighted) / stderr).max() > 10


def test_kl_weight_scales_the_prior_s_gradient():
    theta = random_rbm(1, 1.0)
    model = Replicas(random_rbm(0, 1.5), theta, 4.0, 100)
    population = enumerated_population(theta)
    full, part, none = (run(model, population, weight)[1] for weight in (1.0, 0.3, 0.0))
    np.testing.assert_allclose(part, 0.3 * full, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(none, 0)


def test_terms_are_means_over_the_posterior():
    phi, theta = random_rbm(0, 1.5), random_rbm(1, 1.0)
    terms = run(Replicas(phi, theta, HARD, COUNT), enumerated_population(theta))[0]
    q = oracles.probabilities(*phi)
    # the posterior's energy is that of spins, which differs by a constant
    off = (phi[0].sum() + phi[1].sum()) / 2 + phi[2].sum() / 4
    for measured, rbm, constant in (
        (-terms.log_prior, theta, 0.0),
        (-terms.log_posterior, phi, off),
    ):
        energies = oracles.energies(*rbm) + constant
        mean = np.sum(q * energies)
        stderr = np.sqrt((np.sum(q * energies**2) - mean**2) / COUNT)
        assert abs(float(measured) - mean) < 5 * stderr
    chains = terms.chains.numpy()
    assert chains.shape == (COUNT, 1, UNITS) and set(np.unique(chains)) == {0, 1}
    mean2 = oracles.mean2(*phi)
    z_scores = (chains[:, 0].mean(0) - mean2) / np.sqrt(mean2 * (1 - mean2) / COUNT)
    assert abs(z_scores).max() < 5


# With W_phi = 0 and E[zeta] = q, a bilinear function's expectation is exact as a function of the
# biases, and so is its gradient: Algorithm 1's and the bound's gradients in b1 and b2 agree. In W
# they do if the function is linear (the prior has no couplings).
@pytest.mark.parametrize(("prior_coupling", "exact"), [(1.0, 2), (0.0, 3)])
def test_gradient_of_phi_equals_the_enumerated_one_for_a_mean_field(prior_coupling, exact):
    phi, theta = random_rbm(2, 0.0), random_rbm(1, prior_coupling)
    model = Replicas(phi, theta, 4.0, 2 * COUNT)
    gradients = run(model, enumerated_population(theta))[2]
    expected = bound_gradient(phi, theta)
    for sampled, truth in list(zip(gradients, expected, strict=True))[:exact]:
        stderr = sampled.std(0) / np.sqrt(len(sampled))
        assert abs((sampled.mean(0) - truth) / stderr).max() < 5
        # the check has power: the gradient itself is many standard errors from zero
        assert np.median(abs(truth / stderr)) > 10


def test_posterior_s_entropy_term_sends_no_gradient_to_its_own_parameters():
    # E_phi enters with phi stopped: where the posterior is the prior and log p(x|z) is constant,
    # E_phi - E_theta is zero for every zeta, and so is each replica's gradient.
    phi = random_rbm(0, 1.5)
    model = Replicas(phi, phi, 4.0, 100)
    model.decode = lambda z, given, training: tf.zeros([100, 1, 1])
    for gradient in run(model, enumerated_population(phi))[2]:
        np.testing.assert_allclose(gradient, 0, atol=1e-4)


def test_variational_bound_s_gradient_is_that_of_one_sample_with_less_noise():
    phi, theta = random_rbm(2, 0.0), random_rbm(1, 0.0)
    population, expected = enumerated_population(theta), bound_gradient(phi, theta)
    noise = []
    for num_samples in (1, 4):
        model = Replicas(phi, theta, 4.0, COUNT)
        gradients = run(model, population, 1.0, num_samples, "variational")[2]
        noise.append([g.std(0) for g in gradients])
        for sampled, truth in zip(gradients, expected, strict=True):
            stderr = sampled.std(0) / np.sqrt(COUNT)
            assert abs((sampled.mean(0) - truth) / stderr).max() < 5
    for one, four in zip(*noise, strict=True):
        np.testing.assert_allclose(four, one / 2, rtol=0.05)


def test_bounds_of_one_sample_are_one_bound():
    phi, theta = random_rbm(0, 1.5), random_rbm(1, 1.0)
    results = []
    for bound in ("importance_weighted", "variational"):
        model = Replicas(phi, theta, 4.0, 100)
        results.append(run(model, enumerated_population(theta), 0.7, 1, bound))
    (_, theta_1, phi_1), (_, theta_2, phi_2) = results
    np.testing.assert_allclose(theta_1, theta_2, rtol=1e-5, atol=1e-6)
    for one, other in zip(phi_1, phi_2, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
