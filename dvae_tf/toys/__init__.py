"""The paper's two toy problems: a Gaussian (Fig. 1) and a Boltzmann machine (Fig. 4)."""
