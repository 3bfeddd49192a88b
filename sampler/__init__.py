"""Boltzmann machines: sampling, partition functions, and how far to trust them.

Knows nothing of autoencoders, and is usable on its own; see the README beside this file.

All public names can be had from here: `import sampler; sampler.IsingRBM`, `from sampler import RBM,
ais, exact`. A module is loaded when it is first asked for, so that `import sampler` alone costs
nothing, and the command line can answer `--help`, and quieten TensorFlow, before TensorFlow starts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampler.io.formats import load, save
    from sampler.io.layouts import from_rbms, from_sklearn
    from sampler.machines.couplings import LowRank
    from sampler.machines.dimod import from_bqm
    from sampler.machines.general import Machine
    from sampler.machines.graph import GraphMachine, from_graph
    from sampler.machines.ising import IsingRBM, LowRankIsingRBM
    from sampler.machines.rbm import RBM, LowRankRBM

__version__ = "0.2.0"

_MODULES = {
    "ais": "annealing.ais",
    "bridge": "annealing.bridge",
    "diagnostics": "diagnostics",
    "elimination": "exact.elimination",
    "exact": "exact",
    "families": "families",
    "followers": "populations.followers",
    "gibbs": "gibbs",
    "gibbs_kernel": "gibbs_kernel",
    "ising": "machines.ising",
    "machines": "machines",
    "mean_field": "mean_field",
    "parallel_tempering": "tempering.parallel_tempering",
    "pcd": "populations.pcd",
    "plots": "plots",
    "population_annealing": "populations.population_annealing",
    "resampling": "weights.resampling",
    "reweighting": "populations.reweighting",
    "schedules": "annealing.schedules",
    "seeds": "seeds",
    "temperature": "temperature",
}
"""Modules that a user imports, and where they stand; the others serve these."""

_NAMES = {
    "GraphMachine": "machines.graph",
    "IsingRBM": "machines.ising",
    "LowRank": "machines.couplings",
    "LowRankIsingRBM": "machines.ising",
    "LowRankRBM": "machines.rbm",
    "Machine": "machines.general",
    "RBM": "machines.rbm",
    "from_bqm": "machines.dimod",
    "from_graph": "machines.graph",
    "from_rbms": "io.layouts",
    "from_sklearn": "io.layouts",
    "load": "io.formats",
    "log_z": "evidence.auto",
    "save": "io.formats",
}
"""Classes and functions, and where they stand."""

__all__ = ["__version__", *_NAMES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"sampler.{_NAMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"sampler.{_MODULES[name]}")
    raise AttributeError(f"module 'sampler' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
