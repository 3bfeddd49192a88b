"""Discrete variational autoencoders with Boltzmann priors and undirected posteriors (DVAE##).

The public face: `DVAE` and the parts that it is made of, `load`, and `relaxed_sample`. To import it
makes its classes known to Keras, for `keras.models.load_model`. In the command lines' processes,
and where the environment has DVAE_TF_LAZY, they are loaded when they are first asked for, so that
`--help` is answered, and TensorFlow quietened, before it starts.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from sampler import __version__

if TYPE_CHECKING:
    from dvae_tf.conditions import Condition, Given, Labels, LabelUnits, TopHalf
    from dvae_tf.dvae import DVAE
    from dvae_tf.likelihoods import Bernoulli, Categorical, Likelihood, Normal, binarise
    from dvae_tf.loading import load
    from dvae_tf.posteriors.auxiliary import AuxiliaryPosterior
    from dvae_tf.posteriors.boltzmann import BoltzmannPosterior
    from dvae_tf.posteriors.directed import DirectedPosterior
    from dvae_tf.posteriors.harmonium import HarmoniumPosterior
    from dvae_tf.posteriors.posterior import Posterior
    from dvae_tf.posteriors.rbm_groups import RBMGroupsPosterior
    from dvae_tf.posteriors.undirected import RBMPosterior
    from dvae_tf.priors.graph import GraphPrior
    from dvae_tf.priors.harmonium import HarmoniumPrior
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
    "HarmoniumPosterior": "posteriors.harmonium",
    "HarmoniumPrior": "priors.harmonium",
    "LabelUnits": "conditions",
    "Labels": "conditions",
    "Likelihood": "likelihoods",
    "Normal": "likelihoods",
    "Posterior": "posteriors.posterior",
    "Prior": "priors.prior",
    "RBMGroupsPosterior": "posteriors.rbm_groups",
    "RBMPosterior": "posteriors.undirected",
    "RBMPrior": "priors.rbm",
    "TopHalf": "conditions",
    "binarise": "likelihoods",
    "load": "loading",
    "relaxed_sample": "relaxed",
}
"""Classes and functions, and where they stand."""

__all__ = ["__version__", *_NAMES]


_COMMANDS = ("-m", "run_dvae.py", "run-dvae", "eval_nll.py", "eval-nll")
"""What the first argument of a command line's process is called while it imports this."""


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"dvae_tf.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'dvae_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


_lazy = "DVAE_TF_LAZY" in os.environ
if not _lazy and os.path.basename((sys.argv or [""])[0]) not in _COMMANDS:
    for _module in sorted(set(_NAMES.values())):
        importlib.import_module(f"dvae_tf.{_module}")
