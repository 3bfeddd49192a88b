r"""log p(x) by annealing from the prior, which needs no posterior (Wu et al. 2017).

Chains go from p(z) to p(z | x) through p(z) p(x | z)^beta. At each temperature they are weighed
and one block of units is moved: of a random part of its bits, new ones are proposed from the
prior's own conditional with the likelihood's gradient in it (locally informed, as Zanella 2020 and
Grathwohl et al. 2021), and accepted by Metropolis and Hastings. Where the likelihood is linear in
the block all are accepted; a proposal costs one pass of the decoder and its gradient, however many
bits it moves.

Forward, with resampling, E[p^(x)] = p(x); backward, from an exact sample of p(z | x),
E[1 / p^(x)] = 1 / p(x). On average the logarithms are bounds from both sides. A z that x was drawn
from is such a sample, so that on data of the model itself both are had (Grosse et al. 2015, 2016).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from dvae_tf.priors import prior
from sampler import gibbs, seeds
from sampler.families import Bernoulli
from sampler.machines.machine import AnyMachine
from sampler.populations.population import RESAMPLE_BELOW, resample
from sampler.weights import resampling

SWEEPS = 20
"""Of samples of the prior, with random numbers of each image's own."""


class Chains(NamedTuple):
    """Chains of each image: z [B, C, n], log p(x | z) [B, C], and its gradient in z."""

    z: tf.Tensor
    log_px: tf.Tensor
    slope: tf.Tensor


def schedule(num_temperatures: int, power: float = 3.0) -> np.ndarray:
    """Inverse temperatures (t / (T - 1))^power: the first ones weigh most."""
    return (np.linspace(0, 1, num_temperatures) ** power).astype(np.float32)


class FromPrior:
    """Estimates log p(x) of images, or log p(x | c), compiled once for all chunks of a size.

    Args:
      model: an `evaluation.likelihood.Model` whose prior is of bits.
      num_chains: C, of each image.
      num_temperatures: T.

    Raises:
      ValueError: a prior with other units.
    """

    def __init__(self, model: Any, num_chains: int, num_temperatures: int):
        families = model.prior_machine().families
        if set(families) != {Bernoulli()}:
            raise ValueError(f"prior: found units {families}; accepted from the prior: bits")
        self.model, self.num_chains = model, num_chains
        self.betas = schedule(num_temperatures)
        compiled = {"jit_compile": True, "autograph": False}
        self._forward = tf.function(self._forward_of, **compiled)
        self._backward = tf.function(self._backward_of, **compiled)
        self._prior = tf.function(prior.sample, **compiled)

    def prior_samples(self, count: int, seed: tf.Tensor) -> tf.Tensor:
        """Samples [count, n] of the prior, by population annealing."""
        return self._prior(self.model.prior_machine(), tf.constant(count), seed)

    def forward(self, targets: Any, given: Any, z: tf.Tensor, seed: tf.Tensor) -> np.ndarray:
        """log p^(x) of images [B, *shape], float64 [B]: too small on average.

        Args:
          z: samples of the prior, [N, n], of which each image takes some.
        """
        return self._forward(targets, given, z, seed).numpy()

    def backward(self, targets: Any, given: Any, z: tf.Tensor, seed: tf.Tensor) -> np.ndarray:
        """log p^(x) of images, [B], from exact posterior samples z [B, n]: too large on average."""
        return self._backward(targets, given, z, seed).numpy()

    def _forward_of(self, targets: Any, given: Any, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        theta, count, size = self.model.prior_machine(), tf.shape(z)[0], targets.shape[0]
        order = tf.argsort(seeds.uniform(seeds.fold_in(seed, 0), [size, z.shape[0] or count]))
        places = tf.gather(order, tf.range(self.num_chains) % count, axis=1)
        start = tf.reshape(tf.gather(z, places), [size * self.num_chains, z.shape[-1]])
        swept = gibbs.run(theta, theta.split(start), SWEEPS, seeds.fold_in(seed, 1))
        z = tf.reshape(tf.concat(swept, -1), [size, self.num_chains, z.shape[-1]])
        return self.anneal(theta, targets, given, z, seeds.fold_in(seed, 2))

    def anneal(
        self, theta: AnyMachine, targets: Any, given: Any, z: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """log p^(x), [B], of chains that begin at samples z [B, C, n] of the prior theta."""
        betas = tf.constant(self.betas)

        def body(i: tf.Tensor, chains: Chains, log_w: tf.Tensor, total: tf.Tensor) -> tuple:
            step = seeds.fold_in(seed, i)
            log_w += tf.cast((betas[i] - betas[i - 1]) * chains.log_px, tf.float64)
            kept = resample(tuple(chains), log_w, seeds.fold_in(step, 0), RESAMPLE_BELOW)
            chains = self._move(theta, targets, given, Chains(*kept.states), betas[i], i, step)
            return i + 1, chains, kept.log_weights, total + kept.log_mean

        log_w = tf.zeros(z.shape[:2], tf.float64)
        start = tf.constant(1), self._weighed(targets, given, z), log_w, log_w[:, 0]
        *_, log_w, total = tf.while_loop(lambda i, *_: i < len(self.betas), body, start)
        return total + resampling.log_mean_exp(log_w)

    def _backward_of(self, targets: Any, given: Any, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        theta, betas = self.model.prior_machine(), tf.constant(self.betas)
        z = tf.repeat(z[:, None], self.num_chains, 1)

        def body(i: tf.Tensor, chains: Chains, log_w: tf.Tensor) -> tuple:
            step = seeds.fold_in(seed, i)
            chains = self._move(theta, targets, given, chains, betas[i], i, step)
            log_w += tf.cast((betas[i] - betas[i - 1]) * chains.log_px, tf.float64)
            return i - 1, chains, log_w

        last = tf.constant(len(self.betas) - 1)
        start = last, self._weighed(targets, given, z), tf.zeros(z.shape[:2], tf.float64)
        *_, log_w = tf.while_loop(lambda i, *_: i > 0, body, start)
        return -resampling.log_mean_exp(-log_w)

    def _weighed(self, targets: Any, given: Any, z: tf.Tensor) -> Chains:
        with tf.GradientTape() as tape:
            tape.watch(z)
            log_px = self.model.log_px(targets, self.model.decode(z, given))
        return Chains(z, log_px, tape.gradient(log_px, z))

    def _move(
        self,
        theta: AnyMachine,
        targets: Any,
        given: Any,
        chains: Chains,
        beta: tf.Tensor,
        number: tf.Tensor,
        seed: tf.Tensor,
    ) -> Chains:
        """A step that leaves p(z) p(x | z)^beta as it is, and is its own reversal.

        Which block it moves is a matter of the step's number; which of its bits, of chance alone.
        """
        moves = [
            lambda k=k: self._propose(theta, chains, beta, k, seed)
            for k in range(len(theta.families))
        ]
        eta, place, z, mask = tf.switch_case(number % len(moves), moves)
        found = self._weighed(targets, given, z)
        there, back = (eta + beta * place * c.slope for c in (chains, found))
        log_ratio = tf.reduce_sum(
            mask * ((z - chains.z) * eta + _log_prob(back, chains.z) - _log_prob(there, z)), -1
        )
        log_ratio += beta * (found.log_px - chains.log_px)
        draws = seeds.uniform(seeds.fold_in(seed, 3), log_ratio.shape.as_list())
        accepted = tf.math.log(draws) < log_ratio
        return Chains(
            *(
                tf.where(accepted[..., None] if new.shape.rank == 3 else accepted, new, old)
                for new, old in zip(found, chains, strict=True)
            )
        )

    def _propose(
        self, theta: AnyMachine, chains: Chains, beta: tf.Tensor, k: int, seed: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """The prior's logits of block k, where it is, a proposal, which bits it has: [B, C, n].

        The share of the bits is log-uniform between one of them and all.
        """
        z = theta.split(chains.z)
        eta = theta.natural(k, z)
        size = theta.sizes[k]
        blank = [tf.zeros_like(x) for x in z]
        eta = tf.concat([*blank[:k], eta, *blank[k + 1 :]], -1)
        place = tf.concat([*blank[:k], tf.ones_like(z[k]), *blank[k + 1 :]], -1)
        shape = chains.z.shape.as_list()
        share = seeds.uniform(seeds.fold_in(seed, 1), [*shape[:2], 1])
        chosen = seeds.uniform(seeds.fold_in(seed, 2, 0), shape) < tf.exp(-math.log(size) * share)
        mask = place * tf.cast(chosen, tf.float32)
        drawn = Bernoulli().sample(eta + beta * chains.slope, seeds.fold_in(seed, 2, 1))
        return eta, place, tf.where(mask > 0, drawn, chains.z), mask


def _log_prob(logits: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """log of the probability of bits z, elementwise."""
    return z * logits - tf.nn.softplus(logits)
