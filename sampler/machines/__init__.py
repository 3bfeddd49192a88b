"""Boltzmann machines as values: blocks of units, their families, fields and couplings."""

from sampler.machines.couplings import LowRank
from sampler.machines.general import Machine
from sampler.machines.ising import IsingRBM, LowRankIsingRBM
from sampler.machines.machine import AnyMachine
from sampler.machines.rbm import RBM, LowRankRBM

__all__ = ["RBM", "AnyMachine", "IsingRBM", "LowRank", "LowRankIsingRBM", "LowRankRBM", "Machine"]
