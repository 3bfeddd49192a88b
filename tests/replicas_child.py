"""Trains with one, two and three replicas: a process of its own, as devices are set at its start.

  python replicas_child.py OUTPUT_DIR [nll]

Writes NumPy files (with `nll`, JSON), which `dvae_tf/training/test_distribution.py` looks at.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from dvae_tf import data
from dvae_tf.config import Config
from dvae_tf.evaluation.evaluate import Evaluator
from dvae_tf.training import distribution
from dvae_tf.training.loop import Trainer
from sampler import seeds

MOST = 3
STEPS = 5
KINDS = {"undirected": {"num_samples": 2}, "directed": {"posterior": "directed", "num_layers": 2}}
SMALL = Config(
    num_latents=12,
    hidden_units=(20,),
    posterior_sweeps=2,
    prior_chains=60,
    prior_sweeps=2,
    num_steps=STEPS,
    batch_size=60,
    eval_every=STEPS,
    checkpoint_every=1000,
    prior_temperatures=50,
)
UNIFORM = seeds.uniform


def trainer(num_replicas: int, images: data.Dataset, log_dir: Path, **fields: object) -> Trainer:
    """A run without validation over the first `num_replicas` devices."""
    devices = [device.name for device in tf.config.list_logical_devices("CPU")[:num_replicas]]
    distribution.STRATEGIES["mirrored"] = lambda: tf.distribute.MirroredStrategy(
        devices, tf.distribute.ReductionToOneDevice()
    )
    strategy = "none" if num_replicas == 1 else "mirrored"
    run = Trainer(dataclasses.replace(SMALL, strategy=strategy, **fields), images, log_dir)
    run._validate = lambda step: None
    return run


def values(run: Trainer) -> dict[str, np.ndarray]:
    """Parameters, moving averages and the optimizer's moments."""
    model = {v.path: v.numpy() for v in run.model.variables}
    # Keras numbers the optimizers of a process
    moments = {f"adam {v.name}": v.numpy() for v in run.step_fn.optimizer.variables}
    return model | moments


def states(run: Trainer) -> list[dict[str, np.ndarray]]:
    """Of each replica."""
    return [
        {
            "chains": s.chains.numpy(),
            "z1": s.read()[0].state[0].numpy(),
            "z2": s.read()[0].state[1].numpy(),
        }
        for s in (step.state for step in run.step_fn.steps)
    ]


def without_chance(images: data.Dataset, folder: Path) -> None:
    """The same few batches for any number of replicas, every uniform number one half.

    Eagerly: steps of it cost less than to compile one.
    """
    tf.config.run_functions_eagerly(True)
    seeds.uniform = lambda seed, shape: tf.fill(shape, 0.5)
    whole = dataclasses.replace(images, train=images.train[: SMALL.batch_size])
    for kind, fields in KINDS.items():
        for count in range(1, MOST + 1):
            run = trainer(count, whole, folder / f"{kind} {count}", **fields)
            run._train(float("inf"))
            np.savez(folder / f"{kind} {count}.npz", **values(run))
    seeds.uniform = UNIFORM
    tf.config.run_functions_eagerly(False)


def with_chance(images: data.Dataset, folder: Path) -> None:
    """Two replicas: states before and after a step, and a run that is gone on with."""
    images = dataclasses.replace(images, train=images.train[:301])
    run = trainer(2, images, folder / "run")
    before = states(run)
    run._train(0.0)
    np.save(folder / "states.npy", [before, states(run)], allow_pickle=True)
    run._save()
    resumed = trainer(2, images, folder / "run")
    run.first_step = 1
    assert resumed.first_step == 1
    for name, finished in (("whole", run), ("resumed", resumed)):
        finished._train(float("inf"))
        found = {f"{i} {k}": v for i, s in enumerate(states(finished)) for k, v in s.items()}
        np.savez(folder / f"{name}.npz", **values(finished), **found)


def nlls(images: data.Dataset, folder: Path) -> None:
    """Test NLL and its standard error over the images, of one and two replicas and five seeds."""
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    steps = 1000
    for count, results in found.items():
        for seed in range(5):
            run = trainer(
                count,
                images,
                folder / f"{count} {seed}",
                seed=seed,
                num_steps=steps,
                eval_every=steps,
            )
            run._train(float("inf"))
            evaluate = Evaluator(run.model, 500, 10, 1000, len(images.test), 0)
            result = evaluate(images.test)
            results.append((result.nll, result.nll_stderr))
    (folder / "nll.json").write_text(json.dumps(found))


if __name__ == "__main__":
    configuration = [tf.config.LogicalDeviceConfiguration()] * MOST
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], configuration
    )
    digits = data.load("digits", "unused")
    target = Path(sys.argv[1])
    if sys.argv[2:] == ["nll"]:
        nlls(digits, target)
    else:
        without_chance(digits, target)
        with_chance(digits, target)
