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
    from sampler.rbm import RBM

MODULES = (
    "ais",
    "diagnostics",
    "exact",
    "gibbs",
    "gibbs_kernel",
    "low_rank",
    "mean_field",
    "parallel_tempering",
    "path",
    "pcd",
    "plots",
    "population_annealing",
    "rbm",
    "resampling",
    "reweighting",
    "schedules",
    "seeds",
)
"""What a user imports; the others serve these."""

__all__ = ["RBM", *MODULES]


def __getattr__(name: str) -> Any:
    if name == "RBM":
        return importlib.import_module("sampler.rbm").RBM
    if name in MODULES:
        return importlib.import_module(f"sampler.{name}")
    raise AttributeError(f"module 'sampler' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
