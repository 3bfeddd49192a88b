"""What each method says of machines whose truth is known: errors in their own standard errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import machine_oracle
import numpy as np
import tensorflow as tf

from sampler import exact, families, gibbs, mean_field, seeds
from sampler.annealing import ais, bridge, schedules
from sampler.machines.general import Machine
from sampler.machines.machine import AnyMachine
from sampler.populations import population_annealing
from sampler.tempering import parallel_tempering

Columns = dict[str, np.ndarray]

CHAINS, TEMPERATURES = 200, 101
"""Of AIS."""

_gibbs = tf.function(gibbs.run, autograph=False)


class Case(NamedTuple):
    """A batch of machines of one structure, and their exact answers."""

    machine: AnyMachine
    truth: list[machine_oracle.Exact]

    @property
    def log_z(self) -> np.ndarray:
        """[M]."""
        return np.array([each.log_z for each in self.truth])

    def samples(self, count: int, seed: int) -> tuple[tf.Tensor, ...]:
        """Exact ones of all blocks, [M, count, n_k]."""
        rng = np.random.default_rng(seed)
        rows = np.stack([each.sample(count, rng) for each in self.truth])
        return self.machine.split(tf.constant(rows, tf.float32))


def family(kind: Any) -> families.Family:
    """The sampler's family of the oracle's kind."""
    if isinstance(kind, str):
        return {"bernoulli": families.Bernoulli(), "spin": families.Spin()}[kind]
    return families.Gaussian(kind[1]) if kind[0] == "gaussian" else families.Categorical(kind[1])


def case(seed: int, num_blocks: int, count: int) -> Case:
    """`count` random machines of a random structure."""
    rng = np.random.default_rng(seed)
    kinds, units = machine_oracle.structure(rng, num_blocks)
    fields, couplings = machine_oracle.random_machines(rng, kinds, units, count)
    machine = Machine([family(kind) for kind in kinds], fields, couplings)
    return Case(machine, machine_oracle.solve_each(kinds, fields, couplings))


def measure_exact(case: Case, seed: int) -> Columns:
    """The largest error of log Z (of 1 + |log Z|) and of the moments (of 1 + |moment|)."""
    del seed
    error = abs(exact.log_z(case.machine) - case.log_z) / (1 + abs(case.log_z))
    found, starts = exact.moments(case.machine), np.cumsum([0, *case.machine.sizes])
    second = np.stack([each.second for each in case.truth])
    pairs = [(np.concatenate(found.means, -1), np.stack([each.means for each in case.truth]))]
    for (k, l), value in found.pairs.items():
        block = second[:, starts[k] : starts[k + 1], starts[l] : starts[l + 1]]
        pairs.append((value.numpy(), block))
    for value, truth in pairs:
        gaps = abs(value - truth) / (1 + abs(truth))
        error = np.maximum(error, gaps.reshape(len(gaps), -1).max(-1))
    return {"error": error}


def measure_gibbs(case: Case, seed: int, num_chains: int = 500) -> Columns:
    """Moments after 5 sweeps of exact samples, and, of the weak machines, 100 from the fields."""
    weak = case.machine.map(lambda t: t[: len(t) // 3])
    stationary = _gibbs(case.machine, case.samples(num_chains, seed), 5, seeds.make_seed(seed))
    mixed = _gibbs(weak, gibbs.initial(weak, num_chains, seed), 100, seeds.make_seed(seed + 1))
    z, worst = [], []
    for state, truth in ((stationary, case.truth), (mixed, case.truth)):
        rows = tf.concat(state, -1).numpy().astype(np.float64)
        scores = [_moment_scores(*pair, None) for pair in zip(rows, truth, strict=False)]
        z.extend(score[0] for score in scores)
        worst.extend(score[1] for score in scores)
    return {"z": np.concatenate(z), "moments": np.array(worst)}


def measure_mean_field(case: Case, seed: int) -> Columns:
    """log Z less the bound, and the equations' residual, from three random states."""
    start = gibbs.initial(case.machine, 3, seed)
    means = mean_field.fixed_point(case.machine, start)
    gap = case.log_z[:, None] + mean_field.free_energy(case.machine, means)
    residual = mean_field.residual(case.machine, means)
    return {"gap": np.min(gap, -1), "error": np.max(residual, -1)}


def measure_ais(case: Case, seed: int) -> Columns:
    """Forward from no fields."""
    found = ais.run(bridge.from_uniform(case.machine), schedules.linear(TEMPERATURES), CHAINS, seed)
    return _scores(case, found, ~found.believable().numpy()) | _moments(case, found)


def measure_reverse(case: Case, seed: int) -> Columns:
    """Backward from exact samples."""
    states = case.samples(CHAINS, seed)
    start = bridge.from_uniform(case.machine)
    found = ais.reverse(start, states, schedules.linear(TEMPERATURES), seed)
    return _scores(case, found, ~found.believable().numpy())


def measure_bracket(case: Case, seed: int) -> Columns:
    """The backward estimate's scores, and whether log Z lies between the ends."""
    start = bridge.from_fields(case.machine)
    found = ais.log_z_bracket(start, schedules.linear(TEMPERATURES), CHAINS, seed, 100)
    warned = ~(found.forward.believable() & found.backward.believable()).numpy()
    covered = (found.lower <= case.log_z) & (case.log_z <= found.upper)
    return _scores(case, found.backward, warned) | {"covered": covered.numpy()}


def measure_pa(case: Case, seed: int) -> Columns:
    """Student's t of 19 degrees: an sd of 1.06."""
    start = bridge.from_uniform(case.machine)
    found = population_annealing.run(start, schedules.linear(21), 300, 20, seed)
    warned = np.any([np.broadcast_to(d, case.log_z.shape) for d in found.doubts().values()], 0)
    return _scores(case, found, warned) | _moments(case, found)


def measure_pt(case: Case, seed: int) -> Columns:
    """Tempering from no fields; cut ladders are warned of."""
    betas = np.linspace(0, 1, 8) ** 1.5
    found = parallel_tempering.run(
        bridge.from_uniform(case.machine), betas, 30, 96, seed, 48, thinning=8
    )
    cut = np.min(found.swap_rates, -1) < parallel_tempering.CUT
    return _scores(case, found, cut | (found.round_trips == 0).numpy())


METHODS: dict[str, Callable[[Case, int], Columns]] = {
    "exact": measure_exact,
    "gibbs": measure_gibbs,
    "mean field": measure_mean_field,
    "ais": measure_ais,
    "reverse": measure_reverse,
    "bracket": measure_bracket,
    "pa": measure_pa,
    "pt": measure_pt,
}


def _scores(case: Case, found: Any, warned: np.ndarray) -> Columns:
    assert np.all(np.asarray(found.stderr) > 0)
    return {
        "z": (np.asarray(found.log_z) - case.log_z) / np.asarray(found.stderr),
        "warned": warned,
    }


def _moments(case: Case, found: Any) -> Columns:
    """The largest error of a moment of weighted samples, in its errors, of each machine."""
    rows = np.concatenate(found.samples.state, -1).astype(np.float64)
    triples = zip(rows, case.truth, found.samples.weights().numpy(), strict=True)
    return {"moments": np.array([_moment_scores(*triple)[1] for triple in triples])}


def _moment_scores(
    rows: np.ndarray, truth: machine_oracle.Exact, weights: np.ndarray | None
) -> tuple[np.ndarray, float]:
    """Errors of E[x] and E[x x'] in standard errors, and the largest after an allowance.

    Scores are those of moments of a variance that C chains can tell. The allowance is for rare
    states: three chains' worth.
    """
    if weights is None:
        weights = np.full(len(rows), 1 / len(rows))
    ess = 1 / np.sum(weights**2)
    upper = np.triu_indices(rows.shape[1], 1)
    values = np.concatenate([rows, rows[:, upper[0]] * rows[:, upper[1]]], 1)
    expected = np.concatenate([truth.means, truth.second[upper]])
    drawn = truth.sample(4000, np.random.default_rng(0))
    spread = np.concatenate([drawn, drawn[:, upper[0]] * drawn[:, upper[1]]], 1).var(0)
    error = weights @ values - expected
    stderr = np.sqrt(np.maximum(weights**2 @ (values - expected) ** 2, spread / ess))
    told = spread > 0.05
    worst = np.maximum(abs(error) - 3 / ess, 0) / np.maximum(stderr, 1e-12)
    return (error / np.sqrt(np.maximum(spread, 1e-12) / ess))[told], float(worst.max())
