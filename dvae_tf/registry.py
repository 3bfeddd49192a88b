"""What a run can be made of, by name: a new part is one file, and one entry here.

An entry is 'module:attribute', so that names are known, as flags' choices, before TensorFlow is
imported; or the thing itself.
"""

from __future__ import annotations

import importlib
from collections import ChainMap
from typing import Any


class Registry(dict[str, Any]):
    """Names, and what they stand for."""

    def load(self, name: str) -> Any:
        """What the name stands for."""
        return load_entry(self[name])


def load_entry(entry: Any) -> Any:
    """What an entry says; its module is imported now."""
    if not isinstance(entry, str):
        return entry
    module, attribute = entry.split(":")
    return getattr(importlib.import_module(module), attribute)


TASKS = Registry(
    vae="dvae_tf.objectives.importance_weighted:VAE",
    structured_prediction="dvae_tf.objectives.structured_prediction:STRUCTURED_PREDICTION",
)
"""`tasks.Task` values."""

POSTERIORS = Registry(
    undirected="dvae_tf.posteriors.undirected:RBMPosterior",
    directed="dvae_tf.posteriors.directed:DirectedPosterior",
    auxiliary="dvae_tf.posteriors.auxiliary:AuxiliaryPosterior",
    harmonium="dvae_tf.posteriors.harmonium:HarmoniumPosterior",
    rbm_groups="dvae_tf.posteriors.rbm_groups:RBMGroupsPosterior",
)
"""Subclasses of `posteriors.posterior.Posterior`."""

_GRAPHS = dict.fromkeys(("chimera", "pegasus", "zephyr"), "dvae_tf.priors.graph:GraphPrior")

PRIORS = Registry(
    rbm="dvae_tf.priors.rbm:RBMPrior",
    harmonium="dvae_tf.priors.harmonium:HarmoniumPrior",
    **_GRAPHS,
)
"""Subclasses of `priors.prior.Prior`."""

ALL_PRIORS = ChainMap(PRIORS, Registry(graph="dvae_tf.priors.graph:GraphPrior"))
"""With those that take more than flags can say."""

PLUGGED_IN = Registry(
    pwl="dvae_tf.relaxations.piecewise_linear:piecewise_linear",
    concrete="dvae_tf.relaxations.concrete:concrete",
    pwl_stop_slope="dvae_tf.relaxations.piecewise_linear:piecewise_linear_stop_slope",
)
"""Relaxations plugged into the discrete formulas: (logits, rho, sharpness) -> zeta."""

CATEGORICAL = Registry(concrete="dvae_tf.relaxations.concrete:gumbel_softmax")
"""Of these, which have a form for categorical units: (logits [..., q], rho, sharpness) -> zeta."""

SMOOTHINGS = Registry(
    power="dvae_tf.relaxations.smoothings:power",
    exponential="dvae_tf.relaxations.smoothings:exponential",
    gaussian="dvae_tf.relaxations.smoothings:gaussian",
    uniform_exponential="dvae_tf.relaxations.smoothings:uniform_exponential",
)
"""Relaxations with a density of their own: sharpness -> `smoothings.Smoothing`."""

RELAXATIONS = ChainMap(SMOOTHINGS, PLUGGED_IN)
"""All relaxations' names."""

PRIOR_SAMPLERS = Registry(
    pa="sampler.populations.population:update", pcd="sampler.populations.pcd:update"
)
"""How the prior's samples follow it: population annealing, or plain chains."""
