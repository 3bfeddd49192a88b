"""log Z from above: samples of the target, each run back to the base that sees its part best."""

import numpy as np
import tensorflow as tf

from sampler import modes as exploring
from sampler import seeds
from sampler.annealing import chains, schedules
from sampler.evidence import strata
from sampler.evidence.assignment import apportioned
from sampler.evidence.search import CHAINS, ROWS, Round, Search

_SWEEPS = 100
_IMPORTANT = 1e-3


def log_z(
    search: Search, found: Round, num_temperatures: int, seed: tf.Tensor
) -> tuple[float, float]:
    """log Z from above, with its error: samples, swept on, each run back to its part's base.

    For states of a region R alone, Z_R = Z_0 P(a forward run ends in R) / E[1 / w].
    """
    pool = search.pooled(found, seeds.fold_in(seed, 0), ROWS * CHAINS)
    pool = exploring.swept(search.machine, pool, tf.constant(_SWEEPS), seeds.fold_in(seed, 1))
    search.learn(pool)
    region = found.parts.base[strata.labels(search.machine, search.modes, pool)]
    rows = _apportioned(region)
    noise = np.random.default_rng(seeds.fold_in(seed, 2).numpy().view(np.uint32))
    picks = np.stack([_spread(np.flatnonzero(region == b), noise) for b in rows])
    bridge = search.bridge(rows)
    state = tuple(tf.gather(x, picks) for x in pool)
    kept = state[:-1] or (state[0][..., :0],)
    start = chains.Chains(kept, tf.zeros([ROWS, CHAINS], tf.float64))
    betas = schedules.linear(num_temperatures)[::-1]
    run = chains.along(bridge, start, betas, seeds.fold_in(seed, 3), lambda _: None)
    log_base, inverse = bridge.log_z_base().numpy(), run.samples.log_weights.numpy()
    values, errors = [], []
    for b in np.unique(rows):
        weights = inverse[rows == b].ravel()
        total, squares = np.logaddexp.reduce(weights), np.logaddexp.reduce(2 * weights)
        # where no chain came, less than one in so many would
        least = 1 / found.table.num_chains[b]
        reached = max(found.table.reached[b, found.parts.base == b].sum(), least)
        values.append(log_base[rows == b][0] + np.log(reached * len(weights)) - total)
        # chains that began as copies of one state count as one
        distinct = min(len(weights), int(np.sum(region == b)))
        errors.append(max(np.exp(squares - 2 * total) * len(weights) - 1, 0) / distinct)
    log_z = np.logaddexp.reduce(values)
    shares = np.exp(np.array(values) - log_z)
    return float(log_z), float(np.sqrt(np.sum(shares**2 * errors)))


def _apportioned(region: np.ndarray) -> np.ndarray:
    """ROWS numbers of bases, each base that states lie at as often as there are such states."""
    bases, counts = np.unique(region, return_counts=True)
    keep = counts > _IMPORTANT * len(region)
    bases, counts = bases[keep], counts[keep]
    return np.sort(np.repeat(bases, apportioned(counts, ROWS)))


def _spread(members: np.ndarray, noise: np.random.Generator) -> np.ndarray:
    """CHAINS of the members, each as often as any other, give or take one."""
    return noise.permutation(np.resize(noise.permutation(members), CHAINS))
