"""Approximate posteriors q(z | x), by name; see `posterior.Posterior`."""

from __future__ import annotations

from collections.abc import Callable

from dvae_tf.config import Config
from dvae_tf.posteriors.directed import DirectedPosterior
from dvae_tf.posteriors.posterior import Posterior
from dvae_tf.posteriors.undirected import UndirectedPosterior
from dvae_tf.relaxations import Relaxation


def _undirected(config: Config, context_size: int, relaxation: Relaxation, seed: int) -> Posterior:
    del context_size
    return UndirectedPosterior(
        *config.sides,
        config.coupling_scale,
        config.coupling_rank,
        config.posterior_sweeps,
        config.relaxed_sweeps,
        relaxation.sample,
        seed,
    )


def _directed(config: Config, context_size: int, relaxation: Relaxation, seed: int) -> Posterior:
    hidden = () if config.shared_context else config.hidden_units
    return DirectedPosterior(
        *config.sides, config.num_layers, context_size, hidden, relaxation, seed
    )


POSTERIORS: dict[str, Callable[[Config, int, Relaxation, int], Posterior]] = {
    "undirected": _undirected,
    "directed": _directed,
}
