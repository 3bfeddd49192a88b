"""log q(z | x) of a directed posterior in NumPy float64, from its networks' own weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import oracles


def log_prob(networks: Sequence, context: np.ndarray) -> np.ndarray:
    """log q of all 2^n states (in the order of `oracles.states`) of each context, [B, 2^n].

    Args:
      networks: of the groups, Keras' `Sequential` of dense, batch norm and tanh layers.
      context: [B, features].
    """
    units = sum(network.layers[-1].kernel.shape[1] for network in networks)
    states = oracles.states(units)
    groups = np.split(states, len(networks), -1)
    total = np.zeros((len(context), len(states)))
    for i, network in enumerate(networks):
        before = np.concatenate([states[:, :0], *groups[:i]], -1)
        for row, c in enumerate(np.asarray(context, np.float64)):
            inputs = np.concatenate([np.tile(c, (len(states), 1)), before], -1)
            logits = 2 * forward(network, inputs)
            total[row] += (groups[i] * logits - np.logaddexp(0, logits)).sum(-1)
    return total


def forward(network, inputs: np.ndarray) -> np.ndarray:
    """Dense layers, batch norm by the moving statistics, tanh."""
    for layer in network.layers:
        kind = type(layer).__name__
        weights = {w.name: w.numpy().astype(np.float64) for w in layer.weights}
        if kind == "Dense":
            inputs = inputs @ weights["kernel"] + weights.get("bias", 0)
        elif kind == "BatchNorm":
            scale = weights["gamma"] / np.sqrt(weights["moving_variance"] + 1e-2)
            inputs = (inputs - weights["moving_mean"]) * scale + weights["beta"]
        else:
            inputs = np.tanh(inputs)
    return inputs
