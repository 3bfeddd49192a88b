"""Every entry of the registries, and parts of the tests' own, through all that a run does.

Images have 8 pixels and models 6 latents, so that the 64 states are enumerated.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import oracles
import own_parts
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from dvae_tf import data, experiment, registry
from dvae_tf.config import OVERLAPPING_SHARPNESS, Config
from dvae_tf.data import Dataset
from dvae_tf.dvae import DVAE
from dvae_tf.evaluation.likelihood import likelihood
from dvae_tf.export import ExportedModel
from dvae_tf.posteriors.posterior import Sample
from dvae_tf.training.loop import Trainer
from dvae_tf.training.step import traces
from sampler import seeds
from sampler.populations import followers, population_annealing

CONFIG = Config(
    num_latents=6,
    hidden_units=(4,),
    num_samples=2,
    posterior_sweeps=2,
    prior_chains=20,
    prior_sweeps=2,
    num_steps=4,
    batch_size=8,
    eval_every=4,
    valid_samples=5,
    eval_samples=5,
    num_temperatures=3,
    prior_temperatures=20,
    checkpoint_every=2,
    kl_warmup=0.0,
    weight_decay=0.0,
)
CASES = {
    "undirected": {},
    "directed": {
        "posterior": "directed",
        "num_layers": 3,
        "shared_context": False,
        "relaxation": "pwl_stop_slope",
        "prior": "zephyr",
    },
    "structured prediction, low rank": {
        "task": "structured_prediction",
        "coupling_rank": 2,
        "relaxation": "concrete",
    },
    "auxiliary units": {"posterior": "auxiliary", "num_auxiliary": 3, "coupling_scale": 0.5},
    "own parts": {"posterior": "probit", "prior": "blocks"},
    "harmonium": {"posterior": "harmonium", "prior": "harmonium"},
    "groups of RBMs": {"posterior": "rbm_groups", "num_layers": 2, "prior": "pegasus"},
    **{
        name: {"posterior": "directed", "relaxation": name, "sharpness": sharpness, "prior": prior}
        for (name, sharpness), prior in zip(
            OVERLAPPING_SHARPNESS.items(), ("rbm", "rbm", "rbm", "chimera"), strict=True
        )
    },
}
REGISTRIES = {
    "task": registry.TASKS,
    "posterior": registry.POSTERIORS,
    "prior": registry.PRIORS,
    "relaxation": registry.RELAXATIONS,
}
EXPORTED = [*list(CASES)[:4], "power"]
"""Cases that make different exports: smoothings are of the training alone."""

STATES = oracles.states(6).astype(np.float32)
SAMPLES = 20_000
BITS = np.random.default_rng(0).integers(0, 2, [40, 8], np.uint8)
IMAGES = BITS[32:].astype(np.float32)
every_case = pytest.mark.parametrize("case", CASES)
every_export = pytest.mark.parametrize("case", EXPORTED)

STRANGER = """
import sys
sys.modules.update(dvae_tf=None, sampler=None)
import numpy as np
import tensorflow as tf

x, folders, results = np.load(sys.argv[1]), sys.argv[2:], {}
for number, folder in enumerate(folders):
    run = tf.saved_model.load(folder).signatures
    given = run["draw"].structured_input_signature[1]["x"].shape[1]
    calls = {
        "log_likelihood": dict(x=x, num_samples=tf.constant(SAMPLES), seed=tf.constant(0)),
        "reconstruct": dict(x=x, seed=tf.constant(0)),
        "decode": dict(z=np.eye(6, dtype=np.float32)),
        "encode": dict(x=x[:, :given]),
        "prior": {},
        "sample": dict(num_samples=tf.constant(7), seed=tf.constant(0)),
    }
    for name, inputs in calls.items():
        if name in run:
            outputs = run[name](**{k: tf.constant(v) for k, v in inputs.items()})
            results |= {f"{number}/{name}/{k}": v.numpy() for k, v in outputs.items()}
np.savez("outputs.npz", **results)
""".replace("SAMPLES", str(SAMPLES))


class Run(NamedTuple):
    """A trainer after four steps, of which the second left a checkpoint.

    Attributes:
      second, fourth: all variables after these steps.
    """

    trainer: Trainer
    second: list[np.ndarray]
    fourth: list[np.ndarray]


@pytest.fixture(scope="module")
def own() -> Iterator[None]:
    """One entry in a registry is all that a part needs."""
    registry.POSTERIORS["probit"] = own_parts.ProbitPosterior
    registry.PRIORS["blocks"] = own_parts.BlocksPrior
    yield
    del registry.POSTERIORS["probit"], registry.PRIORS["blocks"]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset("own", BITS[:30], BITS[30:32], BITS[32:], (2, 4), stochastic=False)


@pytest.fixture(scope="module")
def configs(own) -> dict[str, Config]:
    return {name: dataclasses.replace(CONFIG, **fields) for name, fields in CASES.items()}


@pytest.fixture(scope="module")
def runs(configs, dataset, tmp_path_factory) -> dict[str, Run]:
    """Without XLA, whose compilation would take most of the time: `test_step` has it."""
    return {
        name: train(Trainer(config, dataset, tmp_path_factory.mktemp("run")))
        for name, config in configs.items()
    }


def train(trainer: Trainer) -> Run:
    step = trainer.step_fn
    step._gradients = tf.function(step._gradients.python_function, autograph=False)
    stir(trainer.model)
    steps(trainer, 1, 2)
    trainer.checkpoints.save()
    second = values(trainer)
    steps(trainer, 3, 4)
    return Run(trainer, second, values(trainer))


def stir(model: DVAE) -> None:
    """Couplings and dependences that matter; pixels that leave importance weights of some use."""
    generator = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign_add(0.15 * generator.standard_normal(variable.shape))
    kernel = model.decoder.get_layer("logits").kernel
    kernel.assign(0.3 * kernel)


def steps(trainer: Trainer, *numbers: int) -> None:
    for number in numbers:
        trainer._step(number)  # raises if its objective is not finite


def values(trainer: Trainer) -> list[np.ndarray]:
    """The model, its optimizer, and the states of all replicas."""
    variables = [*trainer.model.variables, *trainer.step_fn.optimizer.variables]
    return [v.numpy() for v in (*variables, *trainer.state.variables)]


def assert_equal(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_entry_has_a_case(configs):
    for field, entries in REGISTRIES.items():
        assert {getattr(config, field) for config in configs.values()} == set(entries)


@every_case
def test_graph_is_traced_once_and_everything_moves(runs, case):
    run = runs[case]
    assert traces(run.trainer.step_fn) == [1, 1]
    variables = [*run.trainer.model.trainable_variables]
    assert all(np.isfinite(v).all() for v in run.fourth)
    posterior, chains = run.trainer.model.posterior, run.trainer.state.chains
    assert chains.dtype == posterior.chain_dtype
    assert chains.shape == (30, CONFIG.num_samples, posterior.chain_width)
    by_path = {v.path: i for i, v in enumerate(run.trainer.model.variables)}
    for variable in variables:
        i = by_path[variable.path]
        used = run.trainer.model.task.has_prior or not variable.path.startswith("prior/")
        assert np.any(run.second[i] != run.fourth[i]) == used, variable.path


@every_case
def test_resumed_run_is_the_run_bit_for_bit(runs, configs, dataset, case):
    run = runs[case]
    again = Trainer(configs[case], dataset, run.trainer.checkpoints.directory.parent)
    assert again.first_step == 2
    assert_equal(values(again), run.second)
    # the same compiled step, from the checkpoint
    assert run.trainer.checkpoints.restore() == 2
    steps(run.trainer, 3, 4)
    assert_equal(values(run.trainer), run.fourth)


@pytest.fixture
def eagerly(monkeypatch) -> Iterator[None]:
    """A step of two replicas costs less than its graph; hundreds of temperatures cost more."""
    for module in (followers, population_annealing):
        monkeypatch.setattr(module, "NUM_TEMPERATURES", 11)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@every_case
def test_two_replicas(eagerly, configs, dataset, case, tmp_path):
    trainer = Trainer(dataclasses.replace(configs[case], strategy="mirrored"), dataset, tmp_path)
    assert trainer.distribution.num_replicas == 2
    before = [step.state.chains.numpy() for step in trainer.step_fn.steps]
    steps(trainer, 1, 2)
    for chains, step in zip(before, trainer.step_fn.steps, strict=True):
        moved = trainer.model.posterior.chain_width > 0
        assert np.any(step.state.chains.numpy() != chains) == moved
    for variable in trainer.model.trainable_variables:
        first, second = trainer.distribution.strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(first, second)


def table(model: DVAE) -> tuple[np.ndarray, np.ndarray]:
    """All latents [S, 6], and the logarithms of what each stands for, [S]; Gauss-Hermite if real.

    Ten nodes for each of three numbers: decoders are smooth.
    """
    if not hasattr(model.posterior, "kinds"):
        return STATES, np.zeros(len(STATES))
    nodes, weights = np.polynomial.hermite_e.hermegauss(10)
    rows = np.stack(np.meshgrid(*[nodes] * 3), -1).reshape(-1, 3).astype(np.float32)
    shares = np.stack(np.meshgrid(*[weights] * 3), -1).reshape(-1, 3).prod(1)
    shares /= (2 * np.pi) ** 1.5
    bits = oracles.states(3).astype(np.float32)
    states = np.concatenate([np.repeat(bits, len(rows), 0), np.tile(rows, (8, 1))], 1)
    return states, np.tile(np.log(shares), 8)


def log_px_given_z(model: DVAE, x: np.ndarray) -> np.ndarray:
    """log p(x | z), or log p(x2 | z), of each image and each state, [N, S]."""
    _, targets, _ = model.split(x)
    logits = model.decode(tf.constant(table(model)[0])).numpy().astype(np.float64)
    return targets @ logits.T - np.logaddexp(0, logits).sum(1)


def log_prior(model: DVAE) -> tuple[np.ndarray, float]:
    """log p(z) of each state, [S], and log Z, from the parameters that the export shows."""
    parameters = model.prior.encode(model.prior_machine())
    p = {name: t.numpy().astype(np.float64) for name, t in parameters.items()}
    if "fields1" in p:
        z, shares = table(model)
        z1, z2 = np.split(z.astype(np.float64), 2, -1)
        exponents = z1 @ p["fields1"] + z2 @ p["fields2"] + shares
        exponents += np.sum((z1 @ p["couplings"]) * z2, -1)
    elif "edges" in p:
        machine = model.prior_machine()
        units = machine.to_units(machine.split(STATES)).numpy().astype(np.float64)
        pairs = zip(p["edges"].astype(int), p["w"], strict=True)
        exponents = units @ p["b"] + sum(w * units[:, a] * units[:, b] for (a, b), w in pairs)
    elif "w" in p:
        exponents = -oracles.energies(p["b1"], p["b2"], p["w"]).ravel()
    else:
        z = np.split(STATES.astype(np.float64), 3, -1)
        exponents = sum(z[k] @ p[f"f{k}"] for k in range(3))
        for k, l in ((0, 1), (0, 2), (1, 2)):
            exponents += np.sum((z[k] @ p[f"w{k}{l}"]) * z[l], -1)
    return exponents - logsumexp(exponents), logsumexp(exponents)


def enumerated(model: DVAE, x: np.ndarray) -> np.ndarray:
    """log p(x), or log p(x2 | x1), of each image."""
    log_px = log_px_given_z(model, x)
    if model.task.has_prior:
        return logsumexp(log_px + log_prior(model)[0], axis=1)
    phi = model.phi(tf.constant(model.split(x).inputs))
    b1, b2, u, v = (t.numpy() for t in model.posterior.encode(phi).values())
    rows = zip(b1, b2, u @ v.swapaxes(1, 2), strict=True)
    q = np.stack([oracles.probabilities(*row).ravel() for row in rows])
    return logsumexp(log_px + np.log(q), axis=1)


def log_z(model: DVAE) -> float:
    return log_prior(model)[1] if model.task.has_prior else 0.0


def assert_log_likelihood(model: DVAE, found: np.ndarray, ess: np.ndarray) -> None:
    stderr = np.sqrt(1 / np.asarray(ess) - 1 / SAMPLES) + 1e-5
    assert np.max(abs(np.asarray(found) - enumerated(model, IMAGES)) / stderr) < 5
    assert stderr.max() < 0.4  # or the comparison would say little


@every_case
def test_evaluation_equals_the_enumeration(runs, case):
    model = runs[case].trainer.model
    betas, seed = tf.constant([0.0, 0.5, 1.0]), seeds.make_seed(0)
    result = likelihood(model, tf.constant(IMAGES), SAMPLES, betas, seed)
    assert_log_likelihood(model, result.log_marginal - log_z(model), result.ess)


@pytest.mark.parametrize("case", list(CASES)[:1] + list(CASES)[2:5])
def test_log_q_is_that_of_the_draws_but_for_a_constant(runs, case):
    # at hard states both are log q(z | x), unless batch norm or a smoothing has a say in it
    model = runs[case].trainer.model
    phi = model.phi(tf.constant(model.split(IMAGES).inputs), training=True)
    draws = model.posterior.draw(phi, 50, tf.constant([0.0, 1.0]), seeds.make_seed(1))
    chains = model.posterior.initial_chains([len(IMAGES), 50], seeds.make_seed(2))
    log_q = model.posterior.log_q(phi, Sample(draws.z, chains)).numpy()
    difference = log_q - draws.log_prob
    np.testing.assert_allclose(difference, np.repeat(difference[:, :1], 50, 1), atol=1e-4)


@pytest.fixture(scope="module")
def exports(runs, tmp_path_factory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp("export") / "saved_model" for name in EXPORTED}
    for name, folder in folders.items():
        model = runs[name].trainer.model
        model.export_with(folder, log_z(model), num_temperatures=3)
    return folders


@pytest.fixture(scope="module")
def strangers(exports, tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    """What a process without the project gets of each export, by '<call>/<output>'."""
    away = tmp_path_factory.mktemp("away")
    np.save(away / "x.npy", IMAGES)
    command = [sys.executable, "-I", "-c", STRANGER, "x.npy", *exports.values()]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    subprocess.run([str(part) for part in command], cwd=away, env=environment, check=True)
    found: dict[str, dict[str, np.ndarray]] = {name: {} for name in EXPORTED}
    with np.load(away / "outputs.npz") as outputs:
        for key, value in outputs.items():
            number, name = key.split("/", 1)
            found[EXPORTED[int(number)]][name] = value
    return found


@every_export
def test_export_without_the_project(runs, strangers, case):
    model, found = runs[case].trainer.model, strangers[case]
    inputs = tf.constant(model.split(IMAGES).inputs)
    betas = tf.constant([0.0, 0.5, 1.0])
    ess = likelihood(model, tf.constant(IMAGES), SAMPLES, betas, seeds.make_seed(9)).ess
    assert_log_likelihood(model, found["log_likelihood/log_likelihood"], ess)
    logits = model.decode(tf.constant(STATES[[32, 16, 8, 4, 2, 1]]))
    np.testing.assert_allclose(found["decode/logits"], logits, rtol=1e-4, atol=1e-4)
    expected = {"encode": model.posterior.encode(model.phi(inputs)) or {}}
    if model.task.has_prior:
        expected["prior"] = {**model.prior.encode(model.prior_machine()), "log_z": log_z(model)}
        assert found["sample/images"].shape == (7, 8)
    for call, tensors in expected.items():
        assert {k for k in found if k.startswith(call)} == {f"{call}/{name}" for name in tensors}
        for name, tensor in tensors.items():
            np.testing.assert_allclose(found[f"{call}/{name}"], tensor, rtol=1e-4, atol=1e-4)


@every_export
def test_export_with_the_project(runs, exports, case):
    model, loaded = runs[case].trainer.model, ExportedModel(exports[case])
    betas, seed = tf.constant([0.0, 0.5, 1.0]), seeds.make_seed(3)
    result = likelihood(loaded, tf.constant(IMAGES), SAMPLES, betas, seed)
    assert_log_likelihood(model, result.log_marginal - log_z(model), result.ess)


def test_own_parts_in_a_whole_run(own, dataset, tmp_path):
    np.savez(tmp_path / "own.npz", train=BITS[:30], valid=BITS[30:32], test=BITS[32:])
    fields = {**CASES["own parts"], "dataset": str(tmp_path / "own.npz")}
    config = dataclasses.replace(CONFIG, **fields)
    images = data.load(config.dataset, tmp_path)
    assert experiment.run(config, images, tmp_path / "run", max_seconds=0.0) is None
    metrics = experiment.run(config, images, tmp_path / "run")
    assert metrics == json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert np.isfinite(metrics["test_nll"])
    # rows of 8 pixels are no images, so that no picture is made of them
    names = {"config.json", "metrics.json", "saved_model", "checkpoints"}
    assert names <= {path.name for path in (tmp_path / "run").iterdir()}
    assert ExportedModel(tmp_path / "run" / "saved_model").num_pixels == 8
    told = json.loads((tmp_path / "run" / "saved_model" / "images.json").read_text())
    assert told == images.fingerprints
