"""Priors p(z): Boltzmann machines, by name in `registry.PRIORS`; see `prior.Prior`."""
