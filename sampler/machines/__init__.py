"""Boltzmann machines as values: blocks of units, their fields and couplings."""
