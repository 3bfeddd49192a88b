"""Several replicas in one process, and several workers, against one replica alone."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf.config import ConfigError
from dvae_tf.training.batches import batch_indices, shard
from dvae_tf.training.distribution import Distribution
from dvae_tf.training.workers import check_tf_config


@pytest.mark.parametrize(("num_images", "num_replicas"), [(12, 3), (13, 3), (14, 3), (5, 1)])
def test_shards_are_a_partition(num_images, num_replicas):
    parts = [range(num_images)[shard(num_images, r, num_replicas)] for r in range(num_replicas)]
    assert [i for part in parts for i in part] == list(range(num_images))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_replicas_permute_differently():
    first, second = (batch_indices(100, 100, 0, 0, replica) for replica in (0, 1))
    assert sorted(first) == sorted(second) == list(range(100))
    assert np.mean(first != second) > 0.9


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "x"}}',
    ],
)
def test_no_place_in_a_cluster(text):
    with pytest.raises(ConfigError, match="TF_CONFIG: found .*; accepted is ") as caught:
        check_tf_config(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["batch_size", "prior_chains"])
def test_what_cannot_be_shared_equally(name, small_config, monkeypatch):
    class Three:
        num_replicas_in_sync = 3
        cluster_resolver = None
        extended = type("Extended", (), {"worker_devices": ("a", "b", "c")})

    monkeypatch.setattr("dvae_tf.training.distribution.STRATEGIES", {"mirrored": Three})
    fits = {"batch_size": 30, "prior_chains": 30, "strategy": "mirrored"}
    Distribution(dataclasses.replace(small_config, **fits))
    with pytest.raises(ConfigError, match=f"--{name}: found 31, accepted is a multiple of the 3"):
        Distribution(dataclasses.replace(small_config, **{**fits, name: 31}))


@pytest.fixture(scope="module")
def environment(project) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
    return kept | {"PYTHONPATH": f"{project}{os.pathsep}{project / 'tests'}"}


@pytest.fixture(scope="module")
def child(project, environment, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("replicas")
    run_child(project, environment, folder)
    return folder


def run_child(project: Path, environment: dict[str, str], *arguments: str | Path) -> None:
    command = [sys.executable, str(project / "tests" / "replicas_child.py"), *map(str, arguments)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-3000:]


@pytest.mark.parametrize("num_replicas", [2, 3])
@pytest.mark.parametrize("kind", ["undirected", "directed"])
def test_without_chance_the_parameters_are_those_of_one_replica(child, kind, num_replicas):
    alone, several = (np.load(child / f"{kind} {count}.npz") for count in (1, num_replicas))
    assert alone.files == several.files and len(alone.files) > 30
    moved = 0
    for name in alone.files:
        np.testing.assert_allclose(several[name], alone[name], atol=1e-5, rtol=0, err_msg=name)
        moved += np.any(alone[name] != 0)
    assert moved > 25


def test_each_replica_has_its_own_images_and_random_numbers(child):
    before, after = np.load(child / "states.npy", allow_pickle=True)
    for replica, size in enumerate((151, 150)):
        old, new = before[replica]["chains"], after[replica]["chains"]
        assert len(old) == size
        batch = batch_indices(size, 30, 0, 0, replica)
        others = np.setdiff1d(np.arange(size), batch)
        np.testing.assert_array_equal(old[others], new[others])
        # six units redrawn: the chance that a chain stays as it was is about 2^-6
        assert np.mean(np.any(old[batch] != new[batch], (1, 2))) > 0.7
        assert old.shape[1:] == (1, 6) and len(new) == size
        assert after[replica]["z1"].shape == (30, 6)
    for name in ("z1", "z2", "chains"):
        first, second = (after[replica][name][:30] for replica in (0, 1))
        # independent fair bits differ with probability 1/2: five standard errors
        assert abs(np.mean(first != second) - 0.5) < 5 * 0.5 / np.sqrt(first.size)


def test_resumed_run_equals_the_whole_one(child):
    whole, resumed = (np.load(child / f"{name}.npz") for name in ("whole", "resumed"))
    assert whole.files == resumed.files
    for name in whole.files:
        np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)


@pytest.mark.soak
def test_two_replicas_learn_as_much_as_one(project, environment, tmp_path):
    run_child(project, environment, tmp_path, "nll")
    found = json.loads((tmp_path / "nll.json").read_text())
    nlls = {count: np.array(results)[:, 0] for count, results in found.items()}
    means = {count: values.mean() for count, values in nlls.items()}
    # of a mean over seeds, which say how much chance in training matters
    errors = {count: values.std(ddof=1) / np.sqrt(len(values)) for count, values in nlls.items()}
    print({c: f"{means[c]:.3f} +- {errors[c]:.3f}" for c in means}, found)
    assert abs(means["1"] - means["2"]) < 3 * np.hypot(*errors.values())
    untrained = 64 * np.log(2)
    assert all(values.max() < 0.75 * untrained for values in nlls.values())


FLAGS = [
    "--strategy=multi_worker",
    "--num_steps=100",
    "--num_latents=12",
    "--batch_size=60",
    "--posterior_sweeps=2",
    "--prior_sweeps=2",
    "--prior_chains=60",
    "--valid_samples=20",
    "--eval_samples=20",
    "--prior_temperatures=50",
    "--checkpoint_every=10",
]


class Workers:
    """Processes of `run_dvae.py` on this machine that train together."""

    def __init__(self, project: Path, environment: dict[str, str], log_dir: Path, count: int):
        sockets = [socket.socket() for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
        for s in sockets:
            s.close()
        self.processes = []
        for index in range(count):
            task = {"type": "worker", "index": index}
            tf_config = json.dumps({"cluster": {"worker": addresses}, "task": task})
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, str(project / "run_dvae.py"), f"--log_dir={log_dir}", *FLAGS],
                    env={**environment, "TF_CONFIG": tf_config},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )

    def end(self, timeout: float) -> list[tuple[int, str]]:
        """Status and standard error of each, once all have ended; kills them after `timeout` s."""
        try:
            deadline = time.monotonic() + timeout
            outputs = [
                p.communicate(timeout=max(0.1, deadline - time.monotonic())) for p in self.processes
            ]
        finally:
            for process in self.processes:
                process.kill()
        return [(p.returncode, err) for p, (_, err) in zip(self.processes, outputs, strict=True)]


def final_values(log_dir: Path, worker: int) -> dict[str, np.ndarray]:
    """All that a worker's last checkpoint holds but the time that it took."""
    folder = log_dir / "checkpoints" / (f"worker-{worker}" if worker else "")
    reader = tf.train.load_checkpoint(str(folder / "step-100"))
    names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n]
    return {n: reader.get_tensor(n) for n in names if "seconds" not in n and "counter" not in n}


class Cluster(NamedTuple):
    """Runs of so many workers, of which nobody disturbed the one in `whole`."""

    start: Callable[[Path], Workers]
    count: int
    whole: Path


def new_cluster(project, environment, folder: Path, count: int) -> Cluster:
    def start(log_dir: Path) -> Workers:
        return Workers(project, environment, log_dir, count)

    assert [s for s, _ in start(folder / "whole").end(600)] == [0] * count
    return Cluster(start, count, folder / "whole")


@pytest.fixture(scope="module")
def two_workers(project, environment, tmp_path_factory) -> Cluster:
    return new_cluster(project, environment, tmp_path_factory.mktemp("two"), 2)


@pytest.fixture(scope="module")
def three_workers(project, environment, tmp_path_factory) -> Cluster:
    return new_cluster(project, environment, tmp_path_factory.mktemp("three"), 3)


def ends_of_disturbed(cluster: Cluster, log_dir: Path, victim: int, number: int, step=20) -> list:
    """Status and standard error of each worker of a run, of which one gets a signal."""
    workers = cluster.start(log_dir)
    while not (log_dir / "checkpoints" / f"step-{step}.index").exists():
        assert all(p.poll() is None for p in workers.processes)
        time.sleep(0.02)
    workers.processes[victim].send_signal(number)
    ends = workers.end(60)
    assert not (log_dir / "metrics.json").exists()
    return ends


def check_lost_worker(cluster: Cluster, log_dir: Path, victim: int) -> None:
    """A worker is killed: the others say so and end."""
    for worker, (status, err) in enumerate(
        ends_of_disturbed(cluster, log_dir, victim, signal.SIGKILL)
    ):
        if worker != victim:
            last = err.strip().splitlines()[-1]
            assert status == 1 and last.startswith("run_dvae.py: another worker was lost ("), err


def check_restart(cluster: Cluster, broken: Path) -> None:
    """A run that is started again ends as the one that nobody disturbed."""
    whole, count = cluster.whole, cluster.count
    ended = cluster.start(broken).end(600)
    assert [s for s, _ in ended] == [0] * count
    # interrupted ones go on from any step
    assert re.search(r"Going on from step [1-9]\d$", ended[0][1], re.MULTILINE), ended[0][1]
    for worker in range(count):
        expected, found = (final_values(d, worker) for d in (whole, broken))
        assert expected.keys() == found.keys() and len(found) > 40
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
    expected, found = (json.loads((d / "metrics.json").read_text()) for d in (whole, broken))
    same = [k for k in expected if "seconds" not in k]
    assert {k: found[k] for k in same} == {k: expected[k] for k in same}


@pytest.mark.soak
def test_lost_and_interrupted_worker_of_two(two_workers, tmp_path):
    """One is killed; all start again; SIGTERM to one: both end after the same step, and keep it."""
    check_lost_worker(two_workers, tmp_path / "run", 1)
    ends = ends_of_disturbed(two_workers, tmp_path / "run", 1, signal.SIGTERM, step=60)
    assert [status for status, _ in ends] == [0, 130], ends
    assert "Another worker has to end; saved " in ends[0][1]
    check_restart(two_workers, tmp_path / "run")


@pytest.mark.soak
@pytest.mark.parametrize("victim", [0, 2])
def test_lost_worker_of_three(three_workers, tmp_path, victim):
    check_lost_worker(three_workers, tmp_path / "run", victim)
    check_restart(three_workers, tmp_path / "run")
