"""Population annealing from scratch and along a training, and what to do with its energies."""
