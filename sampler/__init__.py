"""Boltzmann machines: sampling, partition functions, and how far to trust them.

Knows nothing of autoencoders, and is usable on its own; see the README beside this file.

`RBM` and every module can be imported from here: `from sampler import RBM, ais, exact, seeds`. A
module is loaded when it is first asked for, so that `import sampler` alone costs nothing, and the
command line can answer `--help`, and quieten TensorFlow, before TensorFlow starts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampler.machines.dimod import from_bqm
    from sampler.machines.graph import GraphMachine, from_graph
    from sampler.machines.rbm import RBM

_MODULES = {
    "ais": "annealing.ais",
    "bridge": "annealing.bridge",
    "diagnostics": "diagnostics",
    "elimination": "exact.elimination",
    "exact": "exact",
    "gibbs": "gibbs",
    "gibbs_kernel": "gibbs_kernel",
    "low_rank": "machines.low_rank",
    "mean_field": "mean_field",
    "parallel_tempering": "tempering.parallel_tempering",
    "pcd": "populations.pcd",
    "plots": "plots",
    "population_annealing": "populations.population_annealing",
    "resampling": "weights.resampling",
    "reweighting": "populations.reweighting",
    "schedules": "annealing.schedules",
    "seeds": "seeds",
}
"""What a user imports, and where it stands; the others serve these."""

_NAMES = {
    "GraphMachine": "machines.graph",
    "RBM": "machines.rbm",
    "from_bqm": "machines.dimod",
    "from_graph": "machines.graph",
}
"""What stands in a module but is imported from here."""

__all__ = ["GraphMachine", "RBM", "from_bqm", "from_graph", *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"sampler.{_NAMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"sampler.{_MODULES[name]}")
    raise AttributeError(f"module 'sampler' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
