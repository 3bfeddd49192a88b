"""Bridges from a base to a machine, and annealed importance sampling along them."""
