"""Boltzmann machines: values, Gibbs sweeps, population annealing, annealed importance sampling.

Knows nothing of autoencoders, and is usable on its own.
"""
