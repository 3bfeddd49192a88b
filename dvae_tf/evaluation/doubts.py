"""Whether an evaluation may be believed: what its samples may have missed.

The estimate of p(x) is exact in expectation whatever the posterior's samples are, so that the NLL
is not too low on average. The bound, and the likelihood in structured prediction, are averages over
the posterior with weights that add up to one: where the annealing from the mean field never reaches
a mode, they are of the rest alone, and too good without any visible spread. A longer annealing from
the uniform distribution starts in every mode.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dvae_tf.conditions import held
from dvae_tf.posteriors.boltzmann import posterior_rbm
from dvae_tf.posteriors.posterior import Draws
from sampler import seeds
from sampler.annealing import bridge, chains, schedules
from sampler.machines.machine import AnyMachine
from sampler.weights import resampling

LEAST_ESS = 30
"""Median effective number of importance samples under which an NLL is not to be believed."""

IMAGES, SAMPLES, TEMPERATURES = 64, 200, 100
"""Of the second evaluation, which takes a fraction of the first one's time."""

LEAST_SHIFT = 0.1
"""Nats; a smaller change is not told of."""


def of_samples(ess: np.ndarray, num_samples: int) -> list[str]:
    """A warning where the importance samples, their effective numbers [N], are too few."""
    median = float(np.median(ess))
    if median >= LEAST_ESS:
        return []
    return [
        f"the median effective sample size is {median:.1f} of {num_samples}, so that the NLL is "
        f"too high: more importance samples (from {LEAST_ESS} on it is trusted)"
    ]


def of_annealing(
    model: Any, data: Any, num_samples: int, betas: np.ndarray, seed: tf.Tensor
) -> list[str]:
    """A warning for each printed number that a second evaluation of a few images changes.

    None where the model shows no posterior machine, as nothing is annealed then, nor where the
    second annealing has found less of the posteriors than the first.

    Args:
      data: images [N, *shape], or a pair of these and what they are conditional on.
      num_samples: importance samples of the evaluation; here no more than `SAMPLES`.
      betas: of its annealing, [T].
    """
    # a few are taken several times
    found = len(tf.nest.flatten(data)[0])
    chosen = np.arange(max(8, min(IMAGES, found))) % found
    inputs, targets, given = model.split(
        tf.nest.map_structure(lambda a: tf.constant(a[chosen], tf.float32), data)
    )
    machine = posterior_rbm(model.encoded(inputs))
    if machine is None:
        return []
    count = min(num_samples, SAMPLES)
    longer = tf.constant(schedules.linear(max(TEMPERATURES, 4 * len(betas))))

    @tf.function(autograph=False)
    def compute(seed: tf.Tensor) -> list[tuple[tf.Tensor, ...]]:
        short = model.draw(inputs, count, tf.constant(betas), seeds.fold_in(seed, 0))
        long = _from_uniform(machine, count, longer, seeds.fold_in(seed, 1))
        found = []
        long = long._replace(z=held(model.condition, long.z, given))
        for draws in (short, long):
            log_px = model.log_px(targets, model.decode(draws.z, given))
            likelihood = model.task.likelihood(model, log_px, draws)
            # of the machine of bits: a machine of spins has other energies, by a constant
            latents = machine.split(draws.z[..., : sum(machine.sizes)])
            constant = draws.log_prob + machine.energy(latents)
            log_z = resampling.log_mean_exp(draws.log_weights)
            log_z -= tf.cast(tf.reduce_mean(constant, -1), tf.float64)
            found.append((log_z, likelihood.log_marginal, likelihood.elbo))
        return found

    # twice, so that the two tell what chance does to them
    twice = [compute(seeds.fold_in(seed, i)) for i in range(2)]
    short, long = np.array([[[t.numpy() for t in one] for one in both] for both in twice]).swapaxes(
        0, 1
    )
    shift = short - long  # [2, 3 numbers, N]
    mean = shift.mean((0, -1))
    stderr = np.sqrt(np.sum((shift[0] - shift[1]) ** 2, -1)) / (2 * shift.shape[-1])
    if mean[0] > 3 * stderr[0]:
        return []
    return [
        f"more temperatures, from the uniform distribution, change the {name} by {mean[i]:+.2f} "
        f"nats ({len(chosen)} images): the annealing from the mean field misses modes"
        for i, name in enumerate(("NLL", "-ELBO"), 1)
        if abs(mean[i]) > max(LEAST_SHIFT, 3 * stderr[i])
    ]


def _from_uniform(
    machine: AnyMachine, num_samples: int, betas: tf.Tensor, seed: tf.Tensor
) -> Draws:
    route = bridge.from_uniform(machine)
    begun = chains.initial(route, num_samples, seeds.fold_in(seed, 0))
    ended = chains.anneal(route, begun, betas, seeds.fold_in(seed, 1))
    state = route.complete(ended.state, tf.constant(1.0), seeds.fold_in(seed, 2))
    return Draws(tf.concat(state, -1), ended.log_weights, -machine.energy(state))
