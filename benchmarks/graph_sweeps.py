"""Times a Gibbs sweep of many chains on a Zephyr graph, beside thrml and dwave-pytorch-plugin.

  python benchmarks/graph_sweeps.py --peers_python=PEERS/bin/python

PEERS is a virtual environment with `thrml`, `dwave-pytorch-plugin` and `einops`; without it only
ours is timed. All have the same graph, couplings, colours and number of cores. Each library lives
in a process of its own and takes its turn, a call of `--sweeps` sweeps, in every round; ratios are
taken within a round, and their medians printed. The mean energies per unit, which all should share
at the end, come from the definition. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LIBRARIES = ("sampler", "thrml", "dwave-pytorch-plugin")
Call = Callable[[int], Any]


def main() -> None:
    """Makes the graph, starts the libraries, lets them take turns, prints the table."""
    options = _options()
    if options.library:
        _serve(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        options.graph = str(Path(folder, "graph.npz"))
        np.savez(options.graph, **_zephyr(options))
        libraries = LIBRARIES if options.peers_python else LIBRARIES[:1]
        workers = {library: _start(library, options) for library in libraries}
        rounds = [
            {library: _ask(worker) for library, worker in workers.items()}
            for _ in range(options.rounds)
        ]
        energies = {library: worker.communicate("stop\n")[0] for library, worker in workers.items()}
    _report(rounds, {library: float(found) for library, found in energies.items()})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers_python", help="the interpreter that has the peers")
    parser.add_argument("--size", type=int, default=6, help="m of the Zephyr graph")
    parser.add_argument("--chains", type=int, default=1000)
    parser.add_argument("--sweeps", type=int, default=10, help="sweeps in a call")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--coupling", type=float, default=0.1, help="couplings are +- this")
    parser.add_argument("--library", choices=LIBRARIES, help=argparse.SUPPRESS)
    parser.add_argument("--graph", help=argparse.SUPPRESS)
    return parser.parse_args()


def _zephyr(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Edges, couplings, fields and colours, the same for all libraries."""
    import dwave.graphs

    from sampler.machines.topology import dsatur

    graph = dwave.graphs.zephyr_graph(options.size)
    edges = np.array(sorted(map(sorted, graph.edges)))
    rng = np.random.default_rng(0)
    colours = dsatur([set(graph.neighbors(unit)) for unit in range(len(graph))])
    return {
        "edges": edges,
        "values": options.coupling * rng.choice([-1.0, 1.0], len(edges)).astype(np.float32),
        "fields": 0.1 * rng.normal(size=len(graph)).astype(np.float32),
        "colours": np.array(colours),
    }


def _start(library: str, options: argparse.Namespace) -> subprocess.Popen[str]:
    python = sys.executable if library == "sampler" else options.peers_python
    given = [
        f"--{name}={getattr(options, name)}" for name in ("chains", "sweeps", "threads", "graph")
    ]
    command = [python, __file__, f"--library={library}", *given]
    # idle threads of OpenMP would spin into the others' turns
    environment = {**os.environ, "GOMP_SPINCOUNT": "500"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    worker = subprocess.Popen(command, text=True, env=environment, **pipes)  # type: ignore[call-overload]
    assert worker.stdout.readline() == "ready\n", f"{library} did not start"
    return worker


def _ask(worker: subprocess.Popen[str]) -> float:
    """Milliseconds a sweep of one call."""
    assert worker.stdin and worker.stdout
    worker.stdin.write("call\n")
    worker.stdin.flush()
    found = float(worker.stdout.readline())
    time.sleep(0.1)  # idle threads of the libraries stop spinning
    return found


def _report(rounds: list[dict[str, float]], energies: dict[str, float]) -> None:
    result = {}
    for library in rounds[0]:
        ratio = statistics.median(found["sampler"] / found[library] for found in rounds)
        median = statistics.median(found[library] for found in rounds)
        print(
            f"{library:22} {median:9.2f} ms a sweep   sampler/this {ratio:6.3f}   "
            f"energy per unit {energies[library]:8.4f}"
        )
        result[library] = {"ms_per_sweep_median": round(median, 3), "ratio": round(ratio, 4)}
    print(json.dumps(result))


def _serve(options: argparse.Namespace) -> None:
    """Times a call for each line read; on "stop" prints the last states' mean energy per unit."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    graph = dict(np.load(options.graph))
    makers = dict(zip(LIBRARIES, (_sampler, _thrml, _dwave), strict=True))
    call = makers[options.library](graph, options)
    for number in range(3):
        x = call(number)
    print("ready", flush=True)
    for number, line in enumerate(sys.stdin, 3):
        if line == "stop\n":
            break
        started = time.perf_counter()
        x = call(number)
        print(1e3 * (time.perf_counter() - started) / options.sweeps, flush=True)
    x = np.asarray(x() if callable(x) else x, np.float64)
    pairs = (x[:, graph["edges"][:, 0]] * x[:, graph["edges"][:, 1]]) @ graph["values"]
    print(-np.mean(x @ graph["fields"] + pairs) / x.shape[1])


def _sampler(graph: dict[str, np.ndarray], options: argparse.Namespace) -> Call:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import tensorflow as tf

    from sampler import from_graph, gibbs, seeds

    machine = from_graph(graph["fields"], (graph["edges"], graph["values"]), "SPIN")
    state = gibbs.initial(machine, options.chains, 0)

    @tf.function(jit_compile=True, autograph=False)
    def run(state: Any, number: tf.Tensor) -> Any:
        return gibbs.run(machine, state, options.sweeps, seeds.fold_in(seeds.make_seed(1), number))

    def call(number: int) -> Any:
        nonlocal state
        state = run(state, tf.constant(number))
        state[-1][0, 0].numpy()
        return lambda: machine.to_units(state).numpy()

    return call


def _thrml(graph: dict[str, np.ndarray], options: argparse.Namespace) -> Call:
    import jax
    import jax.numpy as jnp
    import thrml
    from thrml.models import IsingEBM, IsingSamplingProgram

    nodes = [thrml.SpinNode() for _ in graph["fields"]]
    edges = [(nodes[u], nodes[v]) for u, v in graph["edges"]]
    values = (jnp.array(graph[name]) for name in ("fields", "values"))
    ebm = IsingEBM(nodes, edges, *values, jnp.array(1.0))
    members = [np.flatnonzero(graph["colours"] == c) for c in range(graph["colours"].max() + 1)]
    blocks = [thrml.Block([nodes[unit] for unit in block]) for block in members]
    program = IsingSamplingProgram(ebm, blocks, [])
    schedule = thrml.SamplingSchedule(options.sweeps, 1, 1)

    @jax.jit
    def run(key: Any, state: Any) -> Any:
        def one(key: Any, state: Any) -> Any:
            return thrml.sample_states(key, program, schedule, state, [], blocks)

        found = jax.vmap(one)(jax.random.split(key, options.chains), state)
        return [x[:, 0] for x in found]

    rng = np.random.default_rng(1)
    state = [jnp.array(rng.random((options.chains, len(block))) < 0.5) for block in members]

    def call(number: int) -> Any:
        nonlocal state
        state = jax.block_until_ready(run(jax.random.key(number), state))
        order = np.argsort(np.concatenate(members))
        return lambda: 2.0 * np.concatenate(state, -1)[:, order] - 1

    return call


def _dwave(graph: dict[str, np.ndarray], options: argparse.Namespace) -> Call:
    import torch
    from dwave.plugins.torch.models import GraphRestrictedBoltzmannMachine
    from dwave.plugins.torch.samplers import BlockSampler

    torch.set_num_threads(options.threads)
    nodes = list(range(len(graph["fields"])))
    edges = [tuple(edge) for edge in graph["edges"].tolist()]
    # its energy is h x + J x x, ours less that
    h = dict(zip(nodes, (-graph["fields"]).tolist(), strict=True))
    couplings = dict(zip(edges, (-graph["values"]).tolist(), strict=True))
    machine = GraphRestrictedBoltzmannMachine(nodes, edges, linear=h, quadratic=couplings)
    colours = graph["colours"].tolist()
    sampler = BlockSampler(
        machine, lambda unit: colours[unit], options.chains, [1.0] * options.sweeps, seed=0
    )
    return lambda number: sampler.sample().numpy


if __name__ == "__main__":
    main()
