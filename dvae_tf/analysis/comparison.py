"""Posteriors beside the prior: the curves of the paper's Fig. 3, with their truths."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dvae_tf.analysis import convergence
from dvae_tf.analysis.convergence import TARGET, Curve, Truth, temperatures_for
from sampler import seeds
from sampler.annealing import bridge
from sampler.annealing.bridge import Bridge
from sampler.machines.rbm import RBM, AnyRBM


class Settings(NamedTuple):
    """How much is run.

    Attributes:
      max_temperatures: curves have 2, 4, 8, ... temperatures up to it.
      num_chains: AIS chains of an estimate.
      num_repeats: independent estimates of each log Z, at least 2.
      truth_temperatures: of the prior's truth.
      posterior_truth_temperatures: of the posteriors'.
      truth_chains: of either.
    """

    max_temperatures: int
    num_chains: int
    num_repeats: int
    truth_temperatures: int
    posterior_truth_temperatures: int
    truth_chains: int

    @property
    def counts(self) -> list[int]:
        """The numbers of temperatures of the curves."""
        return [2**k for k in range(1, self.max_temperatures.bit_length())]


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
    posteriors: AnyRBM, prior: RBM, settings: Settings, seed: tf.Tensor, show_progress: bool = True
) -> list[Case]:
    """Posteriors from their biases (the paper's base) and from means, the prior from uniform.

    Args:
      posteriors: RBMs [B].
      prior: one RBM.
      settings: how much to run.
      seed: int32, shape [2].
      show_progress: bars on standard error.
    """
    means = convergence.path_from_gibbs_means(posteriors, seeds.fold_in(seed, 0))
    uniform = bridge.from_uniform(prior.copies(1))
    lengths = settings.posterior_truth_temperatures, settings.truth_temperatures
    of_posteriors, of_prior = (
        _truth(*some, settings.truth_chains, seeds.fold_in(seed, i + 1), show_progress)
        for i, some in enumerate(
            zip(("posteriors", "prior"), (means, uniform), lengths, strict=True)
        )
    )
    plan = (
        ("posterior", "biases", bridge.from_biases(posteriors), of_posteriors),
        ("posterior", "means", means, of_posteriors),
        ("prior", "uniform", uniform, of_prior),
    )
    cases = []
    for i, (rbm, base, route, truth) in enumerate(plan):
        with tqdm(
            total=sum(settings.counts), desc=f"{rbm} from {base}", disable=not show_progress
        ) as bar:
            curve = convergence.curve(
                route,
                truth.log_z,
                settings.counts,
                settings.num_chains,
                settings.num_repeats,
                seeds.fold_in(seed, i + 3),
                bar.update,
            )
        cases.append(Case(rbm, base, truth, curve))
    return cases


def _truth(
    name: str,
    route: Bridge,
    num_temperatures: int,
    num_chains: int,
    seed: tf.Tensor,
    show_progress: bool,
) -> Truth:
    # from another base than the uniform one, a run of its own brings the samples to start back from
    runs = 3 if np.any(route.base1) or np.any(route.base2) else 2
    total = runs * (num_temperatures - 1)
    with tqdm(total=total, desc=f"true log Z, {name}", disable=not show_progress) as bar:
        return convergence.truth(route, num_temperatures, num_chains, seed, bar.update)
