"""Approximate posteriors q(z | x), by name in `registry.POSTERIORS`; see `posterior.Posterior`."""
