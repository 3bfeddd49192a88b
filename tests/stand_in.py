"""What objectives and evaluation ask of a model beside its networks, for the tests' own models."""

from __future__ import annotations

from dvae_tf.conditions import Parts
from dvae_tf.likelihoods import Bernoulli
from dvae_tf.registry import TASKS


class StandIn:
    """Images of bits, all of which the encoder sees and the decoder predicts."""

    task = TASKS.load("vae")
    likelihood = Bernoulli()
    condition = None

    def split(self, data):
        return Parts(data, data)

    def log_px(self, targets, outputs):
        return self.likelihood.total(targets, outputs)
