"""Discrete variational autoencoders with RBM priors and RBM posteriors (DVAE##)."""
