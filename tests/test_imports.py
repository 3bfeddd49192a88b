"""Imports flow one way, and couplings are read in one place. The sources are parsed, not run."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ["run_dvae", "eval_nll"]

LAYERS = [
    "sampler",
    "dvae_tf.config dvae_tf.data dvae_tf.interrupts dvae_tf.files dvae_tf.pictures "
    "dvae_tf.progress dvae_tf.registry dvae_tf.replicas dvae_tf.report dvae_tf.run_folder",
    "dvae_tf.likelihoods dvae_tf.conditions",
    "dvae_tf.posteriors dvae_tf.priors dvae_tf.networks dvae_tf.relaxations dvae_tf.relaxed "
    "dvae_tf.tasks",
    "dvae_tf.model",
    "dvae_tf.objectives",
    "dvae_tf.training dvae_tf.evaluation dvae_tf.generation dvae_tf.export dvae_tf.answers "
    "dvae_tf.dvae dvae_tf.factory dvae_tf.loading dvae_tf.experiment dvae_tf.curves dvae_tf.cli",
    "run_dvae eval_nll dvae_tf.paper dvae_tf.toys dvae_tf.analysis",
]
"""From the bottom to the top: a module imports from its own layer and from those below."""

READERS_OF_W = ["sampler.machines"]
"""Who may read an attribute `w`: the RBM, and the value that turns it into spins'."""


def read_modules():
    """Source text by the module's dotted name."""
    paths = [ROOT / f"{script}.py" for script in SCRIPTS]
    paths += [p for package in ("sampler", "dvae_tf") for p in (ROOT / package).rglob("*.py")]
    return {dotted(path.relative_to(ROOT)): path.read_text() for path in paths}


def dotted(path):
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(name, package):
    return name == package or name.startswith(package + ".")


def layer(name):
    """The height of a module's layer; None for other people's modules."""
    heights = [i for i, names in enumerate(LAYERS) if any(within(name, n) for n in names.split())]
    return heights[0] if heights else None


def imported(name, source, modules):
    """Modules of `modules` that `source`, the text of `name`, imports; also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} line {node.lineno}: relative import"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from package import module` names a module, `from module import name` does not
            found |= {m if m in modules else node.module for m in members}
    return {m for m in found if any(within(m, top) for top in ("sampler", "dvae_tf", *SCRIPTS))}


def arrows_up(modules):
    """Imports from a higher layer, as text."""
    arrows = []
    for name, source in modules.items():
        if name == "dvae_tf":  # loads nothing itself; what it names for type checkers is above it
            continue
        for target in sorted(imported(name, source, modules)):
            if (layer(target) or 0) > (layer(name) or 0):
                arrows.append(f"{name} -> {target}")
    return arrows


def cycle(modules):
    """Modules that import one another in a circle, or an empty list."""
    graph = {name: imported(name, source, modules) for name, source in modules.items()}
    finished = set()

    def search(name, trail):
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in finished:
            return []
        for target in sorted(graph.get(name, ())):
            if found := search(target, [*trail, name]):
                return found
        finished.add(name)
        return []

    return next((found for name in graph if (found := search(name, []))), [])


def reads_of_w(modules):
    """Where an attribute `w` is read by a module that has no business with it."""
    return [
        f"{name} line {node.lineno}"
        for name, source in modules.items()
        if not any(within(name, reader) for reader in READERS_OF_W)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr == "w" and isinstance(node.ctx, ast.Load)
    ]


@pytest.fixture(scope="module")
def modules():
    return read_modules()


def test_the_tree_is_found(modules):
    assert {"sampler", "sampler.machines.rbm", "dvae_tf.model", *SCRIPTS} <= set(modules)
    assert "sampler.seeds" in imported("dvae_tf.model", modules["sampler.gibbs"], modules)


def test_every_module_has_a_layer(modules):
    unplaced = [name for name in modules if layer(name) is None and name != "dvae_tf"]
    assert not unplaced, f"add to LAYERS in {__file__}: {unplaced}"


def test_no_import_runs_back_up(modules):
    assert arrows_up(modules) == []


def test_the_sampler_imports_nothing_of_dvae_tf(modules):
    for name, source in modules.items():
        if within(name, "sampler"):
            targets = imported(name, source, modules)
            assert all(within(target, "sampler") for target in targets), f"{name}: {targets}"


def test_no_imports_run_in_a_circle(modules):
    assert cycle(modules) == []


def test_couplings_are_read_by_the_rbm_alone(modules):
    assert reads_of_w(modules) == []


# The checks fail on planted violations


@pytest.mark.parametrize(
    "name, source, target",
    [
        ("sampler.gibbs", "import dvae_tf.model", "dvae_tf.model"),
        ("sampler.gibbs", "from dvae_tf import model", "dvae_tf.model"),
        ("dvae_tf.model", "from dvae_tf.training.loop import Trainer", "dvae_tf.training.loop"),
        ("dvae_tf.priors.rbm", "def f():\n    from dvae_tf import model\n", "dvae_tf.model"),
        (
            "dvae_tf.relaxations.new",
            "from dvae_tf.objectives import terms",
            "dvae_tf.objectives.terms",
        ),
        ("dvae_tf.export", "import run_dvae", "run_dvae"),
        ("dvae_tf.data", "from dvae_tf import networks as n", "dvae_tf.networks"),
    ],
)
def test_a_planted_import_is_found(modules, name, source, target):
    assert arrows_up({**modules, name: source}) == [f"{name} -> {target}"]


def test_a_planted_circle_is_found(modules):
    planted = {"dvae_tf.networks": "from dvae_tf.posteriors import undirected"}
    found = cycle({**modules, **planted})
    assert found[0] == found[-1] and "dvae_tf.networks" in found


def test_a_planted_unknown_module_has_no_layer():
    assert layer("dvae_tf.novelty") is None and layer("numpy") is None


@pytest.mark.parametrize("source", ["x = rbm.w", "def f(rbm):\n    return rbm.w[0] * 2"])
def test_a_planted_read_of_the_couplings_is_found(modules, source):
    for name in ("sampler.gibbs", "dvae_tf.objectives.elbo", "run_dvae"):
        assert [r.split()[0] for r in reads_of_w({**modules, name: source})] == [name]
    assert reads_of_w({"sampler.machines.ising": source, "sampler.machines.rbm": source}) == []
    assert reads_of_w({"sampler.gibbs": "self.w = 1"}) == []
