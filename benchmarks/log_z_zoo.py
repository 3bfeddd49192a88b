"""log Z of machines with known answers: how often a method is right, warns, or is silently wrong.

  python benchmarks/log_z_zoo.py --per_kind=26 --images=binarized_mnist.npz \
      --peers_python=PEERS/bin/python --output=zoo.json

Every machine is made from a seed, and its log Z is found by enumeration or elimination. `auto` is
`sampler.log_z`; `annealed` the same without its exact methods, as the machines stand for larger
ones; `uniform` is AIS from the uniform base alone; `rbms` that package's AIS, for RBMs of bits,
with as many chains and temperatures. An answer is right within 5 of its errors + .02 nats (`rbms`
tells no error: within .5). The last line is JSON.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

flags.DEFINE_integer("per_kind", 4, "machines of each kind", lower_bound=1)
flags.DEFINE_integer("annealed_per_kind", 4, "of these, for all methods but auto", lower_bound=0)
flags.DEFINE_string("images", None, "binarized_mnist.npz, for RBMs trained on it")
flags.DEFINE_string("peers_python", None, "an interpreter that has `rbms`")
flags.DEFINE_multi_enum(
    "method", ["auto", "annealed"], ["auto", "annealed", "uniform", "rbms"], "what is tried"
)
flags.DEFINE_multi_string("kind", [], "kinds to try; all unless told")
flags.DEFINE_string("output", None, "file of all answers, JSON")
FLAGS = flags.FLAGS

Example = tuple[Any, float]
"""A machine and its log Z."""


def digits(rng: np.random.Generator) -> Any:
    """An RBM that scikit-learn trained on its digits, weakly or far too long."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import BernoulliRBM

    import sampler

    images = (load_digits().data > 7).astype(np.float64)
    rbm = BernoulliRBM(
        int(rng.integers(6, 17)),
        learning_rate=float(rng.choice([0.01, 0.05, 0.1])),
        batch_size=20,
        n_iter=int(rng.choice([2, 10, 60])),
        random_state=int(rng.integers(2**31)),
    ).fit(images)
    return sampler.from_sklearn(rbm)


def mnist(rng: np.random.Generator) -> Any:
    """An RBM that scikit-learn trained on MNIST, weakly or far too long."""
    from sklearn.neural_network import BernoulliRBM

    import sampler

    with np.load(FLAGS.images) as file:
        images = file["train"][:: int(rng.integers(20, 50))].astype(np.float64)
    rbm = BernoulliRBM(
        int(rng.choice([8, 10, 12, 14, 16, 18, 20], p=[0.2, 0.2, 0.2, 0.15, 0.1, 0.1, 0.05])),
        learning_rate=float(rng.choice([0.01, 0.05, 0.1])),
        batch_size=20,
        n_iter=int(rng.choice([1, 5, 20])),
        random_state=int(rng.integers(2**31)),
    ).fit(images)
    return sampler.from_sklearn(rbm)


def rbms(number: int) -> Any:
    """An RBM that `rbms` trained on scikit-learn's digits."""
    import sampler

    return sampler.load(str(_trained() / f"{number:03}.npz"))


@functools.cache
def _trained() -> Path:
    """The folder of what `rbms` trained, all in one process."""
    from sklearn.datasets import load_digits

    folder = Path(tempfile.mkdtemp())
    np.savez(folder / "images.npz", images=load_digits().data > 7)
    paths = [str(folder), str(folder / "images.npz")]
    subprocess.run([FLAGS.peers_python, PEER, "train", *paths, str(FLAGS.per_kind)], check=True)
    return folder


def transition(rng: np.random.Generator) -> Any:
    """Background units inhibit a few hidden ones that foreground units and their bias excite."""
    import sampler

    hidden, back, front = (int(rng.integers(*ends)) for ends in ((6, 14), (60, 300), (20, 80)))
    n1 = back + front
    w = np.where(np.arange(n1) < back, -rng.uniform(0.5, 2), rng.uniform(0.5, 2))[:, None]
    w = w + rng.normal(scale=0.1, size=(n1, hidden))
    b1 = rng.normal(scale=0.5, size=n1)
    b2 = np.full(hidden, rng.uniform(0, 8))
    flips = rng.random(n1) < rng.choice([0.0, 0.5])
    # exchanging a unit's states moves the transition about and leaves log Z but for a shift
    b2 = b2 + w[flips].sum(0)
    b1, w = np.where(flips, -b1, b1), np.where(flips[:, None], -w, w)
    return sampler.RBM(b1, b2, w)


def hopfield(rng: np.random.Generator) -> Any:
    """An RBM of spins whose hidden units hold a few random patterns."""
    import sampler

    n, patterns = int(rng.integers(30, 200)), int(rng.integers(2, 8))
    xi = rng.choice([-1.0, 1.0], size=(n, patterns))
    j = xi * np.sqrt(rng.uniform(0.5, 3) / n)
    return sampler.IsingRBM(rng.normal(scale=0.02, size=n), np.zeros(patterns), j)


def ferromagnet(rng: np.random.Generator) -> Any:
    """All spins of a side with one number of the other, in a small field: two modes."""
    import sampler

    n1, n2 = int(rng.integers(20, 120)), int(rng.integers(8, 16))
    j = np.full((n1, n2), rng.uniform(0.5, 2.5) / np.sqrt(n1 * n2))
    return sampler.IsingRBM(np.full(n1, rng.normal(scale=0.02)), np.zeros(n2), j)


def planted(rng: np.random.Generator) -> Any:
    """A few random patterns of bits as modes of different weights, one possibly hidden."""
    import sampler

    n, hidden = int(rng.integers(40, 150)), int(rng.integers(2, 7))
    patterns = rng.random((n, hidden)) < 0.5
    w = np.where(patterns, rng.uniform(1, 4), -rng.uniform(1, 4))
    return sampler.RBM(rng.normal(scale=0.3, size=n), rng.normal(scale=5, size=hidden), w)


def glass(rng: np.random.Generator) -> Any:
    """A square lattice of +-J couplings."""
    import sampler

    side, beta = int(rng.integers(4, 11)), float(rng.choice([0.3, 0.7, 1.0, 2.0]))
    at = np.arange(side * side).reshape(side, side)
    edges = np.concatenate(
        [
            np.stack([at[:, :-1].ravel(), at[:, 1:].ravel()], 1),
            np.stack([at[:-1].ravel(), at[1:].ravel()], 1),
        ]
    )
    values = beta * rng.choice([-1.0, 1.0], size=len(edges))
    return sampler.from_graph(np.zeros(side * side), (edges, values), "SPIN")


def annealer(rng: np.random.Generator) -> Any:
    """A +-J glass on a small Chimera, Pegasus or Zephyr graph, some of its units missing."""
    import dwave.graphs

    import sampler

    graph = [
        lambda: dwave.graphs.chimera_graph(int(rng.integers(2, 5))),
        lambda: dwave.graphs.pegasus_graph(2),
        lambda: dwave.graphs.zephyr_graph(1, int(rng.integers(2, 5))),
    ][int(rng.integers(3))]()
    nodes = sorted(graph.nodes)
    graph.remove_nodes_from([u for u in nodes if rng.random() < 0.1])
    nodes, beta = sorted(graph.nodes), float(rng.choice([0.3, 1.0, 2.0]))
    couplings = {edge: beta * rng.choice([-1.0, 1.0]) for edge in sorted(graph.edges)}
    fields = {u: beta * rng.normal(scale=0.2) for u in nodes}
    return sampler.from_graph(fields, couplings, "SPIN")


def gaussian(rng: np.random.Generator) -> Any:
    """A Gaussian-Bernoulli RBM."""
    import sampler
    from sampler.families import Bernoulli, Gaussian

    n1, n2 = int(rng.integers(10, 100)), int(rng.integers(4, 14))
    w = rng.normal(scale=rng.uniform(0.1, 1.5) / np.sqrt(n1) * 3, size=(n1, n2))
    fields = [rng.normal(scale=0.3, size=n1), rng.normal(size=n2)]
    return sampler.Machine([Gaussian(), Bernoulli()], fields, {(0, 1): w})


def random(rng: np.random.Generator) -> Any:
    """Random couplings and biases, weak to frozen."""
    import sampler

    n1, n2, scale = int(rng.integers(10, 200)), int(rng.integers(6, 16)), rng.uniform(0.1, 3)
    w = rng.normal(scale=scale, size=(n1, n2))
    return sampler.RBM(rng.normal(scale=scale, size=n1), rng.normal(scale=scale, size=n2), w)


def hidden(rng: np.random.Generator) -> Any:
    """Many shallow states, and a narrow deep one that few runs find, of about their weight."""
    import sampler

    n, units = int(rng.integers(60, 200)), int(rng.integers(8, 15))
    pattern = rng.random(n) < 0.5
    w = rng.normal(scale=0.05, size=(n, units))
    gain, b1 = rng.uniform(1, 3), rng.normal(scale=0.2, size=n)
    w[:, 0] = np.where(pattern, gain, -gain)
    # of the states with the first hidden unit on, as much as of those with it off, give or take
    off, on = (np.logaddexp(0, b1 + x * w[:, 0]).sum() for x in (0, 1))
    b2 = np.concatenate([[off - on + rng.normal(scale=2)], rng.normal(size=units - 1)])
    return sampler.RBM(b1, b2, w)


PEER = str(Path(__file__).resolve().parent / "rbms_peer.py")

KINDS: dict[str, Callable[[Any], Any]] = {
    f.__name__: f
    for f in (
        digits,
        mnist,
        rbms,
        transition,
        hopfield,
        ferromagnet,
        planted,
        hidden,
        glass,
        annealer,
        gaussian,
        random,
    )
}


def examples(kind: str, count: int) -> Iterator[Example]:
    """Machines of a kind with their exact log Z."""
    from sampler import exact
    from sampler.exact import elimination
    from sampler.machines.graph import GraphMachine

    for number in range(count):
        rng = np.random.default_rng([number, *kind.encode()])
        machine = KINDS[kind](number if kind == "rbms" else rng).cast()
        by = elimination if isinstance(machine, GraphMachine) else exact
        yield machine, float(by.log_z(machine))


def by_rbms(machine: Any) -> tuple[float, float, list[str]]:
    """What `rbms` says; it gives no error and no warning."""
    import sampler

    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        sampler.save(machine, file.name)
        line = subprocess.check_output([FLAGS.peers_python, PEER, "ais", file.name])
    return float(json.loads(line)[0]), 0.1, []


def answer(method: str, machine: Any, seed: int) -> tuple[float, float, list[str]]:
    """log Z, its error and the warnings of a method."""
    import sampler
    from sampler import ais, bridge, seeds
    from sampler.evidence import annealed

    if method == "rbms":
        return by_rbms(machine)
    if method == "auto":
        found = sampler.log_z(machine, seed)
    elif method == "annealed":
        found = annealed.log_z(machine, seeds.make_seed(seed), 0.1, 0.02, 40.0, {}, lambda _: None)
    else:
        found = ais.run(bridge.from_uniform(machine), seed=seed)
    return float(found.log_z), float(found.stderr), found.warnings()


def methods_for(machine: Any, number: int) -> list[str]:
    """The methods that this machine is given to."""
    from sampler import RBM

    methods = FLAGS.method if number < FLAGS.annealed_per_kind else ["auto"]
    of_bits = isinstance(machine, RBM) and FLAGS.peers_python
    return [method for method in methods if method != "rbms" or of_bits]


def main(argv: list[str]) -> None:
    """Tries the methods on all machines and prints a table."""
    del argv
    rows, kinds = [], FLAGS.kind or list(KINDS)
    for kind, given in (("mnist", FLAGS.images), ("rbms", FLAGS.peers_python)):
        if kind in kinds and not given:
            kinds.remove(kind)
            print(f"no machines of the kind {kind}: --images and --peers_python say where from")
    for kind in kinds:
        for number, (machine, truth) in enumerate(examples(kind, FLAGS.per_kind)):
            for method in methods_for(machine, number):
                started = time.perf_counter()
                log_z, stderr, warnings = answer(method, machine, number)
                seconds = time.perf_counter() - started
                right = abs(log_z - truth) <= 5 * stderr + 0.02
                rows.append(
                    {
                        "kind": kind,
                        "number": number,
                        "method": method,
                        "sizes": list(machine.sizes),
                        "truth": truth,
                        "error": log_z - truth,
                        "stderr": stderr,
                        "right": right,
                        "warnings": warnings,
                        "seconds": seconds,
                    }
                )
                mark = "right" if right else "warned" if warnings else "SILENTLY WRONG"
                print(
                    f"{kind:12} {number:3} {machine.sizes!s:12.12} {method:9} {mark:14} "
                    f"{log_z - truth:+.4f} +- {stderr:.4f} {seconds:5.1f} s {warnings[:1]}",
                    flush=True,
                )
    if FLAGS.output:
        Path(FLAGS.output).write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    print("| method | machines | right | warned | silently wrong | median s | largest s |")
    print("|---|---|---|---|---|---|---|")
    summary = {}
    for method in FLAGS.method:
        own = [row for row in rows if row["method"] == method]
        if not own:
            continue
        right = sum(row["right"] for row in own)
        warned = sum(bool(row["warnings"]) for row in own)
        silent = sum(not row["right"] and not row["warnings"] for row in own)
        times = [row["seconds"] for row in own]
        summary[method] = {"machines": len(own), "right": right, "warned": warned, "silent": silent}
        print(
            f"| {method} | {len(own)} | {right} | {warned} | {silent} | {np.median(times):.1f} | "
            f"{max(times):.1f} |"
        )
    print(json.dumps(summary))


if __name__ == "__main__":
    app.run(main)
