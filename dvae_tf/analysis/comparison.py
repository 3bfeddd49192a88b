"""Posteriors compared with the prior: the curves of the paper's Fig. 3."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dvae_tf.analysis import convergence
from dvae_tf.analysis.convergence import TARGET, Curve, Truth, temperatures_for
from dvae_tf.analysis.options import ComparisonSettings as Settings
from sampler import seeds
from sampler.annealing import bridge
from sampler.machines.machine import AnyMachine


class Case(NamedTuple):
    """RBMs [B] annealed from one kind of base.

    Attributes:
      rbm: "posterior" or "prior".
      base: "biases", "means" or "uniform".
      truth: of each RBM, [B].
      curve: fields [P, B].
    """

    rbm: str
    base: str
    truth: Truth
    curve: Curve

    def needed(self, field: str = "std") -> np.ndarray:
        """The numbers of temperatures at which the curve's field reaches `TARGET`, [B]."""
        columns = getattr(self.curve, field).T
        counts = self.curve.num_temperatures
        return np.array([temperatures_for(counts, column, TARGET) for column in columns])


def compare(
    posteriors: AnyMachine, prior: AnyMachine, settings: Settings, seed: tf.Tensor
) -> list[Case]:
    """Anneals posteriors [B] from their biases (as the paper does) and means, and the prior."""
    means = convergence.path_from_gibbs_means(posteriors, seeds.fold_in(seed, 0))
    uniform = bridge.from_uniform(prior.copies(1))
    counts = [2**k for k in range(1, settings.max_temperatures.bit_length())]
    of_posteriors, of_prior = (
        convergence.truth(route, length, settings.truth_chains, seeds.fold_in(seed, i), name)
        for i, name, route, length in (
            (1, "posteriors", means, settings.posterior_truth_temperatures),
            (2, "prior", uniform, settings.truth_temperatures),
        )
    )
    plan = (
        ("posterior", "biases", bridge.from_fields(posteriors), of_posteriors),
        ("posterior", "means", means, of_posteriors),
        ("prior", "uniform", uniform, of_prior),
    )
    sizes = settings.num_chains, settings.num_repeats
    cases = []
    for i, (rbm, base, route, truth) in enumerate(plan, 3):
        how = *sizes, seeds.fold_in(seed, i), f"{rbm} from {base}"
        cases.append(Case(rbm, base, truth, convergence.curve(route, truth.log_z, counts, *how)))
    return cases
