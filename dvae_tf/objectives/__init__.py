"""Training objectives, by name."""

from __future__ import annotations

from dvae_tf.objectives.elbo import elbo

OBJECTIVES = {"elbo": elbo}
