"""The gradient of two groups of 3 units by every relaxation, against the enumerated bound's.

The bound is E_q[c'z] - KL(q || p) for a prior with couplings. Relaxed units are not binary, so the
estimators are biased; the tests print by how much (pytest -s) and hold them to what it is.
"""

from __future__ import annotations

import numpy as np
import oracles
import pytest
import tensorflow as tf
from stand_in import StandIn

from dvae_tf import config, relaxations
from dvae_tf.posteriors.directed import DirectedPosterior
from dvae_tf.priors.rbm import RBMPrior
from dvae_tf.registry import RELAXATIONS
from sampler import seeds
from sampler.machines.rbm import RBM
from sampler.populations import population as populations

SIDE = 3
STATES = oracles.states(2 * SIDE)
REPLICAS = 40_000
REWARD = np.array([0.5, -1.0, 0.8, 0.2, -0.6, 0.9])
FIELDS = np.array([0.2, -0.3, 0.1, 0.3, -0.1, 0.2])
_generator = np.random.default_rng(0)
DEPENDENCE = 0.5 * _generator.standard_normal((SIDE, SIDE))
THETA = [
    0.5 * _generator.standard_normal(SIDE),
    0.5 * _generator.standard_normal(SIDE),
    0.7 * _generator.standard_normal((SIDE, SIDE)),
]

LARGEST_BIAS = {
    "pwl": 0.06,
    "pwl_stop_slope": 0.06,
    "concrete": 0.06,
    "power": 0.13,
    "exponential": 0.18,
    "gaussian": 0.24,
    "uniform_exponential": 0.15,
}
"""As a fraction of the gradient's length: what was measured, and two standard errors.

The densities' bounds are those of continuous units, which is what their bias is made of.
"""


class Replicas(StandIn):
    """What the objective asks of a model: the fields of both groups are each replica's context."""

    def __init__(self, name: str):
        self.relaxation = relaxations.make(name, config.PAPER["sharpness"][family(name)])
        self.posterior = DirectedPosterior(layers=2)
        self.posterior.relaxation = self.relaxation
        self.posterior.attach((SIDE, SIDE), 2 * SIDE, seed=0)
        first, second = self.posterior.networks
        identity = np.eye(2 * SIDE)
        first.layers[-1].kernel.assign(identity[:, :SIDE])
        second.layers[-1].kernel.assign(np.concatenate([identity[:, SIDE:], DEPENDENCE]))
        self.context = tf.constant(np.tile(FIELDS, (REPLICAS, 1)), tf.float32)
        self.prior = RBMPrior()
        self.prior.attach((SIDE, SIDE))
        self.prior.assign(RBM(*(tf.constant(t, tf.float32) for t in THETA)))

    def phi(self, inputs, training: bool):
        del inputs, training
        return self.posterior(self.context)

    def decode(self, z, given, training: bool):
        """Logits so large and negative that log p(x = 1) = logit, which is linear in z."""
        del given, training
        return tf.reduce_sum(z * tf.constant(REWARD, tf.float32), -1, keepdims=True) - 40.0


def family(name: str) -> str:
    return name.removesuffix("_stop_slope")


def sampled(name: str, iw_gradient: str) -> np.ndarray:
    """Each replica's gradient in its context, [REPLICAS, 6]."""
    model = Replicas(name)
    population = populations.of_fields(model.prior.machine(), 2, seeds.make_seed(0))

    @tf.function(jit_compile=True, autograph=False)
    def gradient() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(model.context)
            objective, _ = model.task.objective(
                model,
                tf.ones([REPLICAS, 1]),
                tf.zeros([REPLICAS, 1, 0]),
                population,
                tf.constant(1.0),
                seeds.make_seed(1),
                iw_gradient,
            )
        return tape.gradient(objective, model.context)

    return REPLICAS * gradient().numpy().astype(np.float64)


def enumerated(step: float = 1e-5) -> np.ndarray:
    """The bound's gradient in the fields, [6], by finite differences of its enumeration."""

    def bound(fields: np.ndarray) -> float:
        logits1 = np.tile(2 * fields[:SIDE], (len(STATES), 1))
        logits2 = 2 * (fields[SIDE:] + STATES[:, :SIDE] @ DEPENDENCE)
        logits = np.concatenate([logits1, logits2], -1)
        log_q = (STATES * logits - np.logaddexp(0, logits)).sum(-1)
        energies = oracles.energies(*THETA).ravel()
        return float(np.exp(log_q) @ (STATES @ REWARD - energies - log_q))

    steps = step * np.eye(2 * SIDE)
    return np.array([(bound(FIELDS + s) - bound(FIELDS - s)) / (2 * step) for s in steps])


CASES = [(name, "dreg") for name in RELAXATIONS]
CASES += [("pwl", "iwae"), ("concrete", "iwae")]


@pytest.mark.parametrize(("name", "iw_gradient"), CASES)
def test_bias_of_the_gradient(name, iw_gradient):
    gradients, truth = sampled(name, iw_gradient), enumerated()
    mean, stderr = oracles.mean_and_stderr(gradients)
    length = np.linalg.norm(truth)
    bias, error = np.linalg.norm(mean - truth) / length, np.linalg.norm(stderr) / length
    spread = np.linalg.norm(gradients.std(0)) / length
    print(f"{name} {iw_gradient}: bias {bias:.3f} +- {error:.3f}, sd {spread:.2f} of the gradient")
    assert error < 0.03
    assert bias < LARGEST_BIAS[name]
