"""Are log Z, its errors and the moments what they claim? 200 small RBMs against enumeration.

  python benchmarks/sampler_calibration.py --seed=0

Sizes 1+1 to 14+12, couplings' scale 0.1 to 3, zero, strong and balancing biases, frustrated
(couplings of both signs) and ferromagnetic; 20 shapes of 10 RBMs each. The truth is NumPy's, in
float64. A table on standard output; its last line is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import app, flags

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

METHODS = ["exact", "ais", "reverse", "bracket", "pa"]

flags.DEFINE_integer("seed", 0, "of the RBMs and of the runs", lower_bound=0)
flags.DEFINE_list("methods", METHODS, f"some of {', '.join(METHODS)}")
flags.DEFINE_integer("num_shapes", 20, "the first so many shapes", 1, 20)
flags.DEFINE_integer("num_chains", 1000, "chains of each run of AIS", lower_bound=2)
flags.DEFINE_integer("num_temperatures", 1001, "of AIS's linear schedule", lower_bound=2)
flags.DEFINE_enum("base", "uniform", ["uniform", "biases"], "start of the path")
flags.DEFINE_integer("population", 500, "chains of each of 20 runs of population annealing")
flags.register_validator(
    "methods", lambda names: set(names) <= set(METHODS), f"accepted: {', '.join(METHODS)}"
)
FLAGS = flags.FLAGS

SHAPES = [(1, 1), (1, 4), (5, 1), (2, 2), (3, 2), (2, 6), (3, 3), (4, 4), (5, 3), (6, 5)] + [
    (7, 7), (8, 4), (5, 9), (9, 8), (10, 10), (12, 6), (8, 12), (11, 12), (13, 10), (14, 12)
]  # fmt: skip
EACH = 10


def rbms(seed: int, shapes: list = SHAPES) -> Iterator[tuple[np.ndarray, ...]]:
    """Groups of `EACH` RBMs of one shape: b1 [10, n1], b2 [10, n2], w [10, n1, n2], float32.

    Within a group scales go from 0.1 to 3; the couplings' signs and the kind of biases alternate.
    """
    rng = np.random.default_rng(seed)
    for n1, n2 in shapes:
        scale = np.exp(rng.permutation(np.linspace(np.log(0.1), np.log(3), EACH)))[:, None]
        w = scale[:, None] * rng.normal(size=(EACH, n1, n2))
        ferromagnetic = np.arange(EACH) % 2 == 0
        w[ferromagnetic] = abs(w[ferromagnetic])
        kind = np.arange(EACH) // 2 % 3  # zero biases, strong ones, such as balance the couplings
        b1, b2 = (3 * rng.normal(size=(EACH, n)) for n in (n1, n2))
        b1[kind == 0], b2[kind == 0] = 0, 0
        b1[kind == 2], b2[kind == 2] = -w[kind == 2].sum(2) / 2, -w[kind == 2].sum(1) / 2
        yield tuple(x.astype(np.float32) for x in (b1, b2, w))


def truths(params: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """log Z [10] and moments [10, n1 + n2 + n1 n2] by the oracle."""
    import oracles

    members = [[x[i] for x in params] for i in range(EACH)]
    return (
        np.array([oracles.log_z(*m) for m in members]),
        np.array([oracles.moments(*m) for m in members]),
    )


def moment_errors(rbm, z1, weights: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The largest error of a moment in standard errors, [10], by weighted chains z1 [10, C, n1].

    The second side enters by its conditional means. The standard error is the larger one of the
    sample's and of the binomial law's at the true mean; three chains' worth are allowed to rare
    states, whose counts are not normal.
    """
    import oracles

    ess = 1 / np.sum(weights**2, -1)[:, None]
    conditional = 1 / (1 + np.exp(-rbm.logits2(z1).numpy().astype(np.float64)))
    values = oracles.statistics(z1.numpy(), conditional)
    error = np.einsum("bc,bcm->bm", weights, values) - truth
    sampled = np.einsum("bc,bcm->bm", weights**2, (values - truth[:, None]) ** 2)
    stderr = np.sqrt(np.maximum(sampled, truth * (1 - truth) / ess))
    return np.max(np.maximum(abs(error) - 3 / ess, 0) / np.maximum(stderr, 1e-12), -1)


def measure(params: tuple[np.ndarray, ...], number: int) -> dict[str, dict[str, np.ndarray]]:
    """By method, columns of 10 values: z, warned, covered, moments (the worst in its errors)."""
    import tensorflow as tf

    from sampler import exact, seeds
    from sampler.annealing import ais, schedules
    from sampler.annealing import bridge as bridges
    from sampler.machines.rbm import RBM
    from sampler.populations import population_annealing

    rbm = RBM(*(tf.constant(p) for p in params))
    path = {"uniform": bridges.from_uniform, "biases": bridges.from_biases}[FLAGS.base](rbm)
    log_z, moments = truths(params)
    betas, count = schedules.linear(FLAGS.num_temperatures), FLAGS.num_chains
    seed = seeds.fold_in(seeds.make_seed(FLAGS.seed), number)
    found: dict[str, dict[str, np.ndarray]] = {}

    def estimated(estimate, **columns: np.ndarray) -> dict[str, np.ndarray]:
        z = (np.asarray(estimate.log_z) - log_z) / np.asarray(estimate.stderr)
        return {"z": z, **columns}

    if "exact" in FLAGS.methods:
        m = exact.moments(rbm)
        rows = [np.reshape(m.mean1, [EACH, -1]), np.reshape(m.mean2, [EACH, -1])]
        rows = np.concatenate([*rows, np.reshape(m.pairs, [EACH, -1])], -1)
        error = abs(exact.log_z(rbm) - log_z) / np.maximum(abs(log_z), 1)
        found["exact"] = {"error": np.maximum(error, abs(rows - moments).max(-1))}
    if "ais" in FLAGS.methods:
        run = ais.run(path, betas, count, seeds.fold_in(seed, 0))
        worst = moment_errors(rbm, run.state.z1, weights_of(run.state.log_weights), moments)
        warned = ~run.estimate.believable().numpy()
        found["ais"] = estimated(run.estimate, warned=warned, moments=worst)
    if "reverse" in FLAGS.methods:
        z1, _ = exact.sample(rbm, count, seeds.fold_in(seed, 1))
        run = ais.reverse(path, z1, betas, seeds.fold_in(seed, 2))
        worst = moment_errors(rbm, z1, np.full([EACH, count], 1 / count), moments)
        warned = ~run.estimate.believable().numpy()
        found["reverse"] = estimated(run.estimate, warned=warned, moments=worst)
    if "bracket" in FLAGS.methods:
        bracket = ais.log_z_bracket(path, betas, count, seeds.fold_in(seed, 3))
        covered = (bracket.lower <= log_z) & (log_z <= bracket.upper)
        warned = ~(bracket.forward.believable() & bracket.backward.believable()).numpy()
        found["bracket"] = estimated(bracket.backward, warned=warned, covered=covered.numpy())
    if "pa" in FLAGS.methods:
        result = population_annealing.run(
            path, num_chains=FLAGS.population, seed=seeds.fold_in(seed, 4)
        )
        weights = weights_of(result.population.log_weights)
        worst = moment_errors(rbm, result.population.z1, weights, moments)
        warned = np.any([np.broadcast_to(d, [EACH]) for d in result.doubts().values()], 0)
        found["pa"] = estimated(result, warned=warned, moments=worst)
    return found


def weights_of(log_weights) -> np.ndarray:
    """Normalised over the last axis, float64."""
    weights = np.exp(log_weights - np.max(log_weights, -1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def summary(columns: dict[str, np.ndarray]) -> dict[str, float]:
    """A method's line of the table, rounded."""
    line = {"rbms": len(next(iter(columns.values())))}
    if "error" in columns:
        line["largest_error"] = columns["error"].max()
    if "z" in columns:
        quiet = columns["z"][~columns["warned"]]
        line["warnings"] = int(columns["warned"].sum())
        line["max_z"], line["sd_z"] = abs(quiet).max(), quiet.std(ddof=1)
    if "covered" in columns:
        line["coverage"] = columns["covered"].mean()
    if "moments" in columns:
        line["max_moment_z"] = columns["moments"].max()
        line["moments_within_5"] = np.mean(columns["moments"] <= 5)
    return {k: float(f"{v:.3g}") for k, v in line.items()}


def main(argv: list[str]) -> None:
    """Measures shape by shape, prints the table."""
    del argv
    from tqdm import tqdm

    started, found = time.perf_counter(), []
    groups = list(rbms(FLAGS.seed, SHAPES[: FLAGS.num_shapes]))
    for number, params in enumerate(tqdm(groups, desc="shapes")):
        found.append(measure(params, number))
    lines = {}
    for method in (m for m in METHODS if m in FLAGS.methods):
        rows = [group[method] for group in found]
        lines[method] = summary({k: np.concatenate([r[k] for r in rows]) for k in rows[0]})
        print(f"{method:8}", *(f"{k} {v:<8g}" for k, v in lines[method].items()))
    seconds = round(time.perf_counter() - started, 1)
    print(json.dumps({"seed": FLAGS.seed, "base": FLAGS.base, "seconds": seconds, **lines}))


if __name__ == "__main__":
    app.run(main)
