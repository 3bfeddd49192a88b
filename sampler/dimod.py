"""Samplers of dimod's interface for any binary quadratic model, with weights, log Z and warnings.

  from sampler.dimod import PopulationAnnealingSampler
  found = PopulationAnnealingSampler().sample(bqm, beta=2.0, seed=1)
  found.info["log_z"], found.info["log_z_stderr"], found.info["warnings"]

Samples are of p(x) ~ exp(-beta E(x)), and log Z is that of exp(-beta E), the model's offset in it.
Needs dimod: pip install 'dvae-tf[dimod]'.
"""

from typing import Any, ClassVar

import dimod
import numpy as np

from sampler import seeds
from sampler.annealing import bridge as bridges
from sampler.machines.dimod import from_bqm
from sampler.machines.graph import GraphMachine
from sampler.populations import population_annealing
from sampler.tempering import parallel_tempering


class _AnnealingSampler(dimod.Sampler):
    """What both samplers share: the way from a model to a machine, and from states to rows."""

    defaults: ClassVar[dict[str, Any]] = {}
    properties: ClassVar[dict[str, Any]] = {"description": "samples of exp(-beta E), log Z in info"}

    @property
    def parameters(self) -> dict[str, list[str]]:
        """The arguments of `sample`."""
        return {name: [] for name in ("beta", "seed", *self.defaults)}

    def sample(
        self, bqm: dimod.BinaryQuadraticModel, beta: float = 1.0, seed: int = 0, **parameters: Any
    ) -> dimod.SampleSet:
        """Weighted samples of a model.

        Args:
          bqm: any binary quadratic model.
          beta: inverse temperature.
          seed: of all random numbers.
          parameters: some of `defaults`, by name.

        Returns:
          Rows with their `weight`, of mean 1; `info` has `log_z`, `log_z_stderr`, `ess` and
          `warnings`.

        Raises:
          ValueError: an unknown parameter, or one out of range.
        """
        unknown = sorted(set(parameters) - set(self.defaults))
        if unknown:
            accepted = ", ".join(self.parameters)
            raise ValueError(f"sample: found {', '.join(unknown)}; accepted: {accepted}")
        if not len(bqm.variables):
            log_z = -beta * float(bqm.offset)
            info = {"log_z": log_z, "log_z_stderr": 0.0, "ess": float("inf"), "warnings": []}
            return dimod.SampleSet.from_samples_bqm([], bqm, info=info)
        machine = from_bqm(bqm, beta)
        found = self._run(machine, seed, **{**self.defaults, **parameters})
        weights = np.asarray(found.samples.weights()).ravel()
        rows = np.asarray(machine.to_units(found.samples.state), np.int8)
        info = {
            "log_z": float(found.log_z) - beta * float(bqm.offset),
            "log_z_stderr": float(found.stderr),
            "ess": float(found.ess),
            "warnings": found.warnings(),
        }
        return dimod.SampleSet.from_samples_bqm(
            (rows, list(machine.labels)), bqm, weight=weights * len(weights), info=info
        )

    def _run(self, machine: GraphMachine, seed: int, **parameters: Any) -> Any:
        raise NotImplementedError


class PopulationAnnealingSampler(_AnnealingSampler):
    """Population annealing from the uniform distribution; see `population_annealing.run`."""

    defaults: ClassVar[dict[str, Any]] = {"num_chains": 500, "num_runs": 10, "num_sweeps": 2}

    def _run(self, machine: GraphMachine, seed: int, **parameters: Any) -> Any:
        bridge = bridges.from_uniform(machine)
        return population_annealing.run(bridge, seed=seed, **parameters)


class ParallelTemperingSampler(_AnnealingSampler):
    """Parallel tempering up to the uniform distribution, its ladder tuned first.

    See `parallel_tempering.run`; all weights are 1.
    """

    defaults: ClassVar[dict[str, Any]] = {"num_chains": 50, "num_sweeps": 1000, "thinning": 10}

    def _run(self, machine: GraphMachine, seed: int, **parameters: Any) -> Any:
        bridge, root = bridges.from_uniform(machine), seeds.make_seed(seed)
        betas = parallel_tempering.tune_schedule(bridge, seeds.fold_in(root, 0))
        return parallel_tempering.run(bridge, betas, seed=seeds.fold_in(root, 1), **parameters)
