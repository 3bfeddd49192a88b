"""Boltzmann machines as values: blocks of units, their families, fields and couplings."""

from sampler.machines.ising import IsingRBM
from sampler.machines.low_rank import LowRankIsingRBM, LowRankRBM
from sampler.machines.machine import AnyMachine, LowRank, Machine
from sampler.machines.rbm import RBM

__all__ = ["RBM", "AnyMachine", "IsingRBM", "LowRank", "LowRankIsingRBM", "LowRankRBM", "Machine"]
