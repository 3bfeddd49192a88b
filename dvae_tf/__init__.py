"""Discrete variational autoencoders with Boltzmann priors and undirected posteriors (DVAE##).

The public face: `DVAE` and the parts that it is made of, `load`, and `relaxed_sample`. All names
are loaded when they are first asked for, so that a command line can answer `--help`, and quieten
TensorFlow, before TensorFlow starts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sampler import __version__

if TYPE_CHECKING:
    from dvae_tf.conditions import Condition, Given, Labels, TopHalf
    from dvae_tf.dvae import DVAE
    from dvae_tf.likelihoods import Bernoulli, Categorical, Likelihood, Normal, binarise
    from dvae_tf.loading import load
    from dvae_tf.posteriors.auxiliary import AuxiliaryPosterior
    from dvae_tf.posteriors.boltzmann import BoltzmannPosterior
    from dvae_tf.posteriors.directed import DirectedPosterior
    from dvae_tf.posteriors.posterior import Posterior
    from dvae_tf.posteriors.undirected import RBMPosterior
    from dvae_tf.priors.graph import GraphPrior
    from dvae_tf.priors.prior import Prior
    from dvae_tf.priors.rbm import RBMPrior
    from dvae_tf.relaxed import relaxed_sample

_NAMES = {
    "AuxiliaryPosterior": "posteriors.auxiliary",
    "Bernoulli": "likelihoods",
    "BoltzmannPosterior": "posteriors.boltzmann",
    "Categorical": "likelihoods",
    "Condition": "conditions",
    "DVAE": "dvae",
    "DirectedPosterior": "posteriors.directed",
    "Given": "conditions",
    "GraphPrior": "priors.graph",
    "Labels": "conditions",
    "Likelihood": "likelihoods",
    "Normal": "likelihoods",
    "Posterior": "posteriors.posterior",
    "Prior": "priors.prior",
    "RBMPosterior": "posteriors.undirected",
    "RBMPrior": "priors.rbm",
    "TopHalf": "conditions",
    "binarise": "likelihoods",
    "load": "loading",
    "relaxed_sample": "relaxed",
}
"""Classes and functions, and where they stand."""

__all__ = ["__version__", *_NAMES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"dvae_tf.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'dvae_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
