"""Named arrays as machines, and machines as named arrays; and what other packages hold in memory.

Transpositions and signs stand here and nowhere else. `beta` multiplies fields and couplings.
"""

import json
import re
from typing import Any

import numpy as np

from sampler import families
from sampler.io.errors import expect
from sampler.machines.couplings import LowRank
from sampler.machines.general import Machine
from sampler.machines.graph import GraphMachine, from_graph
from sampler.machines.ising import IsingRBM, LowRankIsingRBM
from sampler.machines.machine import AnyMachine
from sampler.machines.rbm import RBM, LowRankRBM
from sampler.machines.topology import Graph

_PAIR = re.compile(r"coupling_(\d+)_(\d+)(_[uv])?")
_UNSCALED = re.compile(
    r"v|coupling_.*_v|edges|vartype|labels|families|precision_\d+|num_states_\d+"
)
"""What beta doesn't multiply: of two factors one, and what are no energies."""

_PLAIN: dict[str, Any] = {
    "rbm": RBM,
    "ising": IsingRBM,
    "low rank": LowRankRBM,
    "low rank ising": LowRankIsingRBM,
}


def build(kind: str, arrays: dict[str, Any], beta: float = 1.0) -> AnyMachine:
    """The machine of a kind of `formats.LAYOUTS` from its arrays, p ~ exp(-beta E).

    Raises:
      ValueError: the arrays don't fit one another or the kind.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # the caller checks that all are finite
        factor = np.float32(beta)
        found = {k: v if _UNSCALED.fullmatch(k) else factor * v for k, v in arrays.items()}
    if kind in _PLAIN:
        made = _PLAIN[kind]
        return made(*(found[name] for name in made.AXES)).cast()
    if kind == "scikit-learn":
        w = np.swapaxes(np.atleast_2d(found["components_"]), -1, -2)
        return RBM(found["intercept_visible_"], found["intercept_hidden_"], w).cast()
    if kind == "rbms":
        return _from_rbms(found["vbias"], found["hbias"], found["weight_matrix"])
    if kind == "machine":
        return _machine(found, beta)
    pairs = found if kind == "graph" else _edges(found["J"])
    return _graph(
        found["h"], pairs["edges"], pairs["values"], found["vartype"], arrays.get("labels")
    )


def from_sklearn(estimator: Any) -> RBM:
    """The RBM of a fitted `sklearn.neural_network.BernoulliRBM`, its visible units first.

    components_ [hidden, visible] is w transposed; the intercepts are b1 and b2, signs as here.

    Raises:
      ValueError: what is given has no such arrays, as before it is fitted.
    """
    names = ("intercept_visible_", "intercept_hidden_", "components_")
    return build("scikit-learn", {name: _array(estimator, name) for name in names})  # type: ignore[return-value]


def from_rbms(model: Any) -> AnyMachine:
    """The machine of a model of the package `rbms`, its visible units first, signs as here.

    A `BBRBM` becomes an `RBM` of b1 = vbias, b2 = hbias and w = weight_matrix [visible, hidden]; a
    `PBRBM` a `Machine` of categorical and binary units, each visible unit's states side by side.

    Raises:
      ValueError: what is given has no such arrays.
    """
    return build("rbms", {n: _array(model, n) for n in ("vbias", "hbias", "weight_matrix")})


def _array(model: Any, name: str) -> np.ndarray:
    value = getattr(model, name, None)
    if value is None:
        raise ValueError(f"found {type(model).__name__} without {name}; accepted: a fitted RBM")
    value = value.detach().cpu() if hasattr(value, "detach") else value
    return np.asarray(value, np.float32)


def _from_rbms(vbias: np.ndarray, hbias: np.ndarray, w: np.ndarray) -> AnyMachine:
    if w.ndim != 3 or vbias.shape != w.shape[:2] or hbias.shape != w.shape[2:]:
        return RBM(vbias, hbias, w).cast()
    blocks = families.Categorical(w.shape[1]), families.Bernoulli()
    return Machine(blocks, (vbias.ravel(), hbias), {(0, 1): w.reshape(-1, w.shape[2])})


def _edges(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Edges and values of couplings [..., n, n]: a pair's stands in the upper triangle or twice."""
    square = matrix.ndim > 1 and matrix.shape[-1] == matrix.shape[-2]
    expect(square, "J", f"shape {matrix.shape}", "[..., n, n]")
    bare = not np.any(np.diagonal(matrix, axis1=-2, axis2=-1))
    expect(bare, "J", "numbers on its diagonal", "zeros (fields of bits belong in h)")
    upper = np.triu(matrix)
    fit = not np.any(np.tril(matrix)) or np.all(matrix == np.swapaxes(matrix, -1, -2))
    accepted = "each pair's coupling in the upper triangle, or in both alike"
    expect(fit, "J", "a matrix that is neither symmetric nor upper triangular", accepted)
    edges = np.argwhere(upper.any(tuple(range(matrix.ndim - 2))))
    return {"edges": edges, "values": upper[..., edges[:, 0], edges[:, 1]]}


def _graph(
    h: np.ndarray, edges: np.ndarray, values: np.ndarray, vartype: str, labels: Any
) -> GraphMachine:
    fit = not (h.ndim and values.ndim) or h.shape[:-1] == values.shape[:-1]
    expect(fit, "h", f"shape {h.shape} beside couplings {values.shape}", "one batch shape")
    made = from_graph(h, (edges, values), vartype)
    if labels is None:
        return made
    count, different = len(made.labels), len(set(labels))
    fit = len(labels) == different == count
    expect(fit, "labels", f"{different} different ones", str(count))
    graph = Graph(labels, made.graph.family, made.graph.edges)
    return GraphMachine(graph, made.fields, made.values)


def _machine(found: dict[str, Any], beta: float) -> Machine:
    names = found["families"]
    blocks = [_family(str(name), k, found) for k, name in enumerate(np.atleast_1d(names))]
    fit = beta == 1 or all(family.discrete for family in blocks)
    expect(fit, "beta", f"{beta:g} with Gaussian units", "1")
    fields = [found[f"field_{k}"] for k in range(len(blocks)) if f"field_{k}" in found]
    couplings = {
        (int(pair[1]), int(pair[2])): _factors(name[:-2], found) if pair[3] else w
        for name, w in found.items()
        if (pair := _PAIR.fullmatch(name))
    }
    return Machine(blocks, fields, couplings)


def _family(name: str, k: int, found: dict[str, Any]) -> families.Family:
    if name == "Gaussian":
        precision = found.get(f"precision_{k}", np.float64(1)).tolist()
        return families.Gaussian(tuple(precision) if isinstance(precision, list) else precision)
    if name == "Categorical" and f"num_states_{k}" in found:
        return families.Categorical(found[f"num_states_{k}"].item())
    accepted = f"Bernoulli, Spin, Gaussian (of precision_{k}), Categorical (of num_states_{k})"
    expect(name in ("Bernoulli", "Spin"), f"families[{k}]", repr(name), accepted)
    return getattr(families, name)()


def _factors(name: str, found: dict[str, Any]) -> LowRank:
    missing = [f"{name}{end}" for end in ("_u", "_v") if f"{name}{end}" not in found]
    if missing:
        raise ValueError(f"array {missing[0]!r} is missing; accepted: both factors {name}_u, _v")
    return LowRank(found[f"{name}_u"], found[f"{name}_v"])


def arrays_of(machine: AnyMachine) -> dict[str, Any]:
    """What `build` makes the machine of, by name; the names tell the kind.

    Raises:
      ValueError: a machine of a class of one's own.
    """
    if getattr(machine, "AXES", None):
        return {name: np.asarray(getattr(machine, name)) for name in machine.AXES}
    if isinstance(machine, GraphMachine):
        graph = machine.graph
        found = {"h": machine.to_units(machine.fields).numpy(), "edges": graph.edges}
        vartype = "SPIN" if graph.family == families.Spin() else "BINARY"
        found |= {"values": machine.values.numpy(), "vartype": vartype}
        plain = graph.labels == tuple(range(len(graph.labels)))
        return found if plain else found | {"labels": json.dumps(graph.labels, default=str)}
    if isinstance(machine, Machine):
        return _arrays_of_blocks(machine)
    raise ValueError(f"machine: found {type(machine).__name__}; accepted: one of sampler's own")


def _arrays_of_blocks(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = {"families": [type(f).__name__ for f in machine.families]}
    for k, (family, field) in enumerate(zip(machine.families, machine.fields, strict=True)):
        found[f"field_{k}"] = np.asarray(field)
        if isinstance(family, families.Gaussian):
            found[f"precision_{k}"] = family.precision
        if isinstance(family, families.Categorical):
            found[f"num_states_{k}"] = family.num_states
    for (k, l), w in machine.couplings.items():
        named = {"_u": w.u, "_v": w.v} if isinstance(w, LowRank) else {"": w}
        found |= {f"coupling_{k}_{l}{end}": np.asarray(x) for end, x in named.items()}
    return found
