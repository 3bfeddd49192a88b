"""Evaluation of the discrete model: log p(x) per image, log Z of the prior, the NLL."""
