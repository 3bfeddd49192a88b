"""Approximate posteriors q(z | x), by name."""

from __future__ import annotations

from dvae_tf.posteriors.undirected import UndirectedPosterior

POSTERIORS = {"undirected": UndirectedPosterior}
