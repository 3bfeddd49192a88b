"""Hard cases with known answers: do the samplers find the weights of planted modes?

  python benchmarks/planted_modes.py                     # two modes: tables in Markdown
  python benchmarks/planted_modes.py --output=modes.json # the same numbers as JSON

Part 1: one ferromagnet of n + n units, all off or all on, with a barrier between that sweeps do not
cross. Its energy depends on the two counts of units that are on, so log Z and the modes' weights
are sums of (n + 1)^2 terms. Part 2: a prior of several such blocks, 2^blocks modes, whose fields
turn around slowly, as parameters do in training.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dvae_tf import cli  # noqa: E402

cli.prepare()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from scipy import special  # noqa: E402

from sampler import gibbs, seeds  # noqa: E402
from sampler.annealing import ais, schedules  # noqa: E402
from sampler.annealing import bridge as bridges  # noqa: E402
from sampler.machines.rbm import RBM  # noqa: E402
from sampler.populations import pcd  # noqa: E402
from sampler.populations import population_annealing as pa  # noqa: E402
from sampler.tempering import parallel_tempering  # noqa: E402

flags.DEFINE_multi_enum(
    "parts", ["two_modes", "changing"], ["two_modes", "changing"], "part 1, part 2, or both"
)
flags.DEFINE_integer("num_units", 100, "units of each side")
flags.DEFINE_float("strength", 1.5, "coupling of the ferromagnet, in units of the critical one")
flags.DEFINE_float("on_weight", 0.75, "weight of the mode of units that are on, about")
flags.DEFINE_integer("num_chains", 1000, "chains of a run, of population annealing and of AIS")
flags.DEFINE_integer("blocks", 4, "blocks of the changing prior: 2^blocks modes")
flags.DEFINE_float("block_strength", 2.0, "coupling of a block, in units of the critical one")
flags.DEFINE_integer("num_steps", 300, "steps in which the prior's fields turn around")
flags.DEFINE_integer("num_sweeps", 2, "sweeps at each of these")
flags.DEFINE_integer("num_runs", 20, "independent populations of the changing prior")
flags.DEFINE_integer("seed", 0, "of all random numbers")
flags.DEFINE_string("output", None, "file for the numbers, as JSON")
FLAGS = flags.FLAGS


class Ferromagnet(NamedTuple):
    """n + n units with equal couplings, and biases that put the barrier at half of them on.

    Attributes:
      n: units of each side.
      coupling: W of each pair.
      field: what is added to each bias; log-odds of the modes are about 2 n m `field`, m near 1.
    """

    n: int
    coupling: float
    field: float

    def rbm(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """b1, b2, w."""
        bias = np.full(self.n, self.field - self.coupling * self.n / 2)
        return bias, bias, np.full((self.n, self.n), self.coupling)

    def log_counts(self) -> np.ndarray:
        """log of the unnormalised probability of each total of units that are on, [2n + 1]."""
        k = np.arange(self.n + 1)
        states = (
            special.gammaln(self.n + 1) - special.gammaln(k + 1) - special.gammaln(self.n - k + 1)
        )
        bias = self.field - self.coupling * self.n / 2
        table = states[:, None] + states + bias * (k[:, None] + k) + self.coupling * k[:, None] * k
        log_counts = np.full(2 * self.n + 1, -np.inf)
        np.logaddexp.at(log_counts, k[:, None] + k, table)
        return log_counts

    def exact(self) -> tuple[float, float, float]:
        """log Z, the weight of the mode that is on (ties count half), the barrier in nats."""
        log_counts = self.log_counts()
        log_z = special.logsumexp(log_counts)
        p = np.exp(log_counts - log_z)
        modes = log_counts[: self.n].max(), log_counts[self.n + 1 :].max()
        barrier = min(modes) - log_counts[self.n // 2 : self.n + self.n // 2].min()
        return float(log_z), float(p[self.n + 1 :].sum() + p[self.n] / 2), float(barrier)


def critical(n: int) -> float:
    """The coupling at which an n + n ferromagnet begins to have two modes: J n / 4 = 1."""
    return 4 / n


def ferromagnet(n: int, strength: float, on_weight: float) -> Ferromagnet:
    """One whose mode that is on has the weight `on_weight` (the field by bisection)."""
    low, high = -1.0, 1.0
    for _ in range(60):
        field = (low + high) / 2
        magnet = Ferromagnet(n, strength * critical(n), field)
        low, high = (field, high) if magnet.exact()[1] < on_weight else (low, field)
    return magnet


def rbm_of(arrays: tuple[np.ndarray, ...]) -> RBM:
    """As float32 tensors."""
    return RBM(*(tf.constant(a, tf.float32) for a in arrays))


def is_on(z1: tf.Tensor, z2: tf.Tensor) -> np.ndarray:
    """1 for states with more than half of the units on, 1/2 with half."""
    total = tf.reduce_sum(z1, -1) + tf.reduce_sum(z2, -1)
    return (0.5 * (1 + tf.sign(total - z1.shape[-1]))).numpy().astype(np.float64)


# Part 1: two modes


class Found(NamedTuple):
    """A method's answer: the weight of the mode that is on, log Z, and each one's error."""

    weight: float
    weight_stderr: float
    log_z: float = float("nan")
    log_z_stderr: float = float("nan")
    warnings: tuple[str, ...] = ()


def by_population_annealing(
    bridge: bridges.Bridge, seed: tf.Tensor, num_temperatures: int
) -> Found:
    """20 runs; errors from their spread."""
    betas = schedules.linear(num_temperatures)
    result = pa.run(bridge, betas, FLAGS.num_chains, 20, seed)
    mean, stderr = result.mean(is_on(*result.samples.state))
    values = map(float, (mean, stderr, result.log_z, result.stderr))
    return Found(*values, tuple(result.warnings()))


def by_parallel_tempering(bridge: bridges.Bridge, seed: tf.Tensor, num_sweeps: int) -> Found:
    """100 ladders, tuned; errors from the ladders' spread."""
    betas = parallel_tempering.tune_schedule(bridge, seeds.fold_in(seed, 0))
    result = parallel_tempering.run(bridge, betas, 100, num_sweeps, seeds.fold_in(seed, 1))
    share = is_on(*result.draws).mean(0)
    stderr = share.std(ddof=1) / np.sqrt(len(share))
    values = map(float, (share.mean(), stderr, result.log_z, result.stderr))
    return Found(*values, tuple(result.warnings()))


def by_gibbs(bridge: bridges.Bridge, seed: tf.Tensor, num_sweeps: int) -> Found:
    """Plain sweeps of the target's chains, from uniform random states."""
    rbm, fields = bridge.machine, [tf.zeros_like(field) for field in bridge.machine.fields]
    start = gibbs.initial(rbm.with_fields(fields), FLAGS.num_chains, seeds.fold_in(seed, 0))
    sweep = tf.function(gibbs.run, jit_compile=True, autograph=False)
    share = is_on(*sweep(rbm, start, num_sweeps, seeds.fold_in(seed, 1)))
    return Found(float(share.mean()), float(share.std(ddof=1) / np.sqrt(len(share))))


def by_ais(bridge: bridges.Bridge, seed: tf.Tensor, num_temperatures: int) -> Found:
    """Weighted end states; errors by the delta method."""
    betas = schedules.linear(num_temperatures)
    estimate = ais.run(bridge, betas, FLAGS.num_chains, seed)
    on, weights = is_on(*estimate.samples.state), estimate.samples.weights().numpy()
    mean = np.sum(weights * on)
    stderr = np.sqrt(np.sum((weights * (on - mean)) ** 2))
    values = map(float, (mean, stderr, estimate.log_z, estimate.stderr))
    return Found(*values, tuple(estimate.warnings()))


METHODS: list[tuple[str, Callable[..., Found], tuple[int, ...], str]] = [
    ("population annealing", by_population_annealing, (21, 101, 301), "temperatures"),
    ("parallel tempering", by_parallel_tempering, (1000, 5000), "sweeps of 100 ladders"),
    ("Gibbs sweeps alone", by_gibbs, (100, 10_000), "sweeps"),
    ("AIS", by_ais, (11, 101, 1001, 10_001), "temperatures"),
]


def two_modes(base: str, start: Callable[[RBM], bridges.Bridge], magnet: Ferromagnet) -> list[dict]:
    """A row for each method and length."""
    log_z, weight, _ = magnet.exact()
    bridge, seed, rows = start(rbm_of(magnet.rbm())), seeds.make_seed(FLAGS.seed), []
    for name, method, lengths, unit in METHODS:
        for length in lengths:
            started = time.perf_counter()
            found = method(bridge, seed, length)
            row: dict[str, Any] = {"base": base, "method": name, "length": f"{length} {unit}"}
            row |= found._asdict() | {"seconds": time.perf_counter() - started}
            row["weight_error"] = found.weight - weight
            row["log_z_error"] = found.log_z - log_z
            rows.append(row)
            print_two_modes(row)
    return rows


def print_two_modes(row: dict) -> None:
    """A row of the table."""
    warnings = "; ".join(row["warnings"]) or "none"
    log_z = f"{row['log_z_error']:+.4f} ± {row['log_z_stderr']:.4f}"
    cells = [
        row["base"],
        row["method"],
        row["length"],
        f"{row['weight']:.4f} ± {row['weight_stderr']:.4f}",
        "" if np.isnan(row["log_z_error"]) else log_z,
        warnings,
        f"{row['seconds']:.1f}",
    ]
    print("| " + " | ".join(cells) + " |", flush=True)


def part_1() -> dict:
    """The table of two modes, from a base in the middle and from one that sees one mode only."""
    magnet = ferromagnet(FLAGS.num_units, FLAGS.strength, FLAGS.on_weight)
    log_z, weight, barrier = magnet.exact()
    print(
        f"## Two modes: {magnet.n}+{magnet.n} units, W = {magnet.coupling:.4g}, field "
        f"{magnet.field:.4g}\n\nExact: log Z = {log_z:.4f}, weight of the mode that is on "
        f"{weight:.4f}, barrier {barrier:.1f} nats.\n"
    )
    print("| base | method | length | weight | log Z - exact | warnings | seconds |")
    print("|---|---|---|---|---|---|---|")
    rows = two_modes("uniform", bridges.from_uniform, magnet)
    rows += two_modes("fields", bridges.from_fields, magnet)
    return {"log_z": log_z, "weight": weight, "barrier": barrier, "rows": rows}


# Part 2: a changing prior


def blocks_at(part: float) -> tuple[RBM, np.ndarray, float]:
    """The prior at `part` of its course: an RBM, the modes' weights [2^blocks], the barrier.

    In every other block the weight of "on" goes from 0.8 to 0.2, in the others the other way.
    """
    count, n = FLAGS.blocks, FLAGS.num_units // FLAGS.blocks
    first = _first_block(n, FLAGS.block_strength)
    signs = (-1.0) ** np.arange(count)
    magnets = [first._replace(field=first.field * (1 - 2 * part) * sign) for sign in signs]
    b = np.concatenate([m.rbm()[0] for m in magnets])
    w = np.kron(np.eye(count), magnets[0].rbm()[2])
    on = np.array([m.exact()[1] for m in magnets])
    bits = np.arange(2**count)[:, None] >> np.arange(count) & 1
    weights = np.prod(np.where(bits == 1, on, 1 - on), -1)
    return rbm_of((b, b, w)), weights, min(m.exact()[2] for m in magnets)


@functools.cache
def _first_block(n: int, strength: float) -> Ferromagnet:
    return ferromagnet(n, strength, 0.8)


def mode_weights(population: pa.Population) -> np.ndarray:
    """Each mode's weight in R populations, [R, 2^blocks]; R populations of one prior."""
    shape = (*population.log_weights.shape, FLAGS.blocks, -1)
    on = sum(tf.reduce_sum(tf.reshape(z, shape), -1) for z in population.state)
    bits = (on > FLAGS.num_units // FLAGS.blocks).numpy()
    mode = np.sum(bits << np.arange(FLAGS.blocks), -1)
    weights = tf.nn.softmax(population.log_weights).numpy()
    each = np.arange(2**FLAGS.blocks)
    return np.stack([np.sum(weights * (mode == m), -1) for m in each], -1)


def first_population(rbm: RBM, seed: tf.Tensor) -> pa.Population:
    """R annealed populations of the prior as it begins, which have the right weights."""
    runs = FLAGS.num_runs
    result = pa.run(bridges.from_uniform(rbm), schedules.linear(301), FLAGS.num_chains, runs, seed)
    shape = (runs, FLAGS.num_chains)
    state = tuple(tf.reshape(z, (*shape, -1)) for z in result.samples.state)
    log_weights = tf.reshape(result.samples.log_weights, shape)
    return pa.Population(state, log_weights, tf.zeros([runs], tf.float64))


def follow(update: Callable, name: str, seed: tf.Tensor) -> list[dict]:
    """Carries R populations along the course; a row every sixth of it."""
    step = tf.function(update, jit_compile=True, autograph=False)
    rbm, _, _ = blocks_at(0.0)
    population, rows = first_population(rbm, seeds.fold_in(seed, 0)), []
    old = rbm.copies(FLAGS.num_runs)
    for i in range(FLAGS.num_steps + 1):
        rbm, exact, _ = blocks_at(i / FLAGS.num_steps)
        new = rbm.copies(FLAGS.num_runs)
        if i:
            population, _ = step(old, new, population, seeds.fold_in(seed, i), FLAGS.num_sweeps)
        old = new
        if i % (FLAGS.num_steps // 6) == 0:
            rows.append(row_of_step(name, i, population, exact))
    return rows


def row_of_step(name: str, i: int, population: pa.Population, exact: np.ndarray) -> dict:
    """How far the modes' weights are from the exact ones."""
    found = mode_weights(population)
    total = population.log_z + tf.reduce_logsumexp(population.log_weights, -1)
    runs = tf.nn.softmax(total).numpy() * len(found)
    mean = np.mean(runs[:, None] * found, 0)
    stderr = np.std(runs[:, None] * (found - mean), 0, ddof=1) / np.sqrt(len(found))
    row = {
        "method": name,
        "step": i,
        "distance": float(np.mean(np.sum(abs(found - exact), -1)) / 2),
        "distance_of_mean": float(np.sum(abs(mean - exact)) / 2),
        "worst_z": float(np.max(abs(mean - exact) / stderr)),
        "weights": mean.tolist(),
        "exact": exact.tolist(),
    }
    cells = [name, str(i), *(f"{row[k]:.3f}" for k in ("distance", "distance_of_mean"))]
    print("| " + " | ".join([*cells, f"{row['worst_z']:.1f}"]) + " |", flush=True)
    return row


def part_2() -> list[dict]:
    """Persistent population annealing against persistent chains, sweeps being equal."""
    _, weights, barrier = blocks_at(0.0)
    exact = np.random.default_rng(0).multinomial(FLAGS.num_chains, weights, 1000) / FLAGS.num_chains
    floor = np.mean(np.sum(abs(exact - weights), -1)) / 2
    print(
        f"\n## A prior of {len(weights)} modes that changes in {FLAGS.num_steps} steps of "
        f"{FLAGS.num_sweeps} sweeps\n\n{FLAGS.num_runs} populations of {FLAGS.num_chains} chains; "
        f"weights from {weights.min():.4f} to {weights.max():.4f}, which change places; barrier "
        f"{barrier:.1f} nats. Distance: total variation between a population's weights of modes "
        f"and the exact ones, mean over populations; exact samples would have {floor:.3f}.\n"
    )
    print("| method | step | distance | distance of the mean | worst mode, standard errors |")
    print("|---|---|---|---|---|")
    seed = seeds.make_seed(FLAGS.seed)
    return follow(pa.update, "population annealing", seed) + follow(pcd.update, "PCD", seed)


def main(argv: list[str]) -> None:
    """The parts asked for; prints as it goes."""
    del argv
    parts = {"two_modes": part_1, "changing": part_2}
    result = {name: parts[name]() for name in FLAGS.parts}
    if FLAGS.output:
        Path(FLAGS.output).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    cli.run(main)
