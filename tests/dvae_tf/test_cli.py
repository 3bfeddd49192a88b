"""The two command lines as a user has them: each case a process of its own, several at a time."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from dvae_tf.config import resolve

TINY = [
    "--num_steps=20",
    "--num_latents=12",
    "--batch_size=50",
    "--posterior_sweeps=2",
    "--prior_sweeps=2",
    "--prior_chains=100",
    "--valid_samples=20",
    "--eval_samples=20",
    "--prior_temperatures=50",
]


# TensorFlow's own C++ says, on a machine without a GPU, that it found none.
TENSORFLOW = re.compile(r"WARNING: All log messages before absl|[IWE]\d{4} .*\.cc:\d+\] ")


class Result(NamedTuple):
    status: int
    stdout: str
    stderr: str


def own_lines(stderr: str) -> list[str]:
    """The lines that are not TensorFlow's."""
    return [line for line in stderr.splitlines() if not TENSORFLOW.match(line)]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """No settings of TensorFlow's own, and no network: the proxy is a port where nobody listens."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "PYTHON"))}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{probe.getsockname()[1]}"
    kept.pop("no_proxy", None)
    kept.pop("NO_PROXY", None)
    return kept | dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy)


@pytest.fixture(scope="module")
def run(project, environment):
    """Runs command lines [script, flags, ...] side by side, away from the project."""

    def run_all(commands: list[list[str]], cwd: Path) -> list[Result]:
        processes = [
            subprocess.Popen(
                [sys.executable, str(project / script), *flags],
                cwd=cwd,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for script, *flags in commands
        ]
        outputs = [process.communicate() for process in processes]
        return [Result(p.returncode, *o) for p, o in zip(processes, outputs, strict=True)]

    return run_all


MISTAKES = {
    "unknown dataset": (
        ["run_dvae.py", "--dataset=digit", "--log_dir=a"],
        "run_dvae.py: --dataset=digit: ",
    ),
    "odd number of latents": (
        ["run_dvae.py", "--num_latents=7", "--log_dir=b"],
        "run_dvae.py: --num_latents: found 7, ",
    ),
    "another configuration": (
        ["run_dvae.py", "--log_dir=theirs"],
        "run_dvae.py: --log_dir=theirs: ",
    ),
    "files that cannot be had": (
        ["run_dvae.py", "--dataset=binarized_mnist", "--data_dir=nowhere", "--log_dir=c"],
        "run_dvae.py: http",
    ),
    "no export": (["eval_nll.py", "--export_dir=nowhere"], "eval_nll.py: nowhere: "),
}


@pytest.fixture(scope="module")
def mistakes(run, tmp_path_factory) -> dict[str, Result]:
    """What comes of each mistaken command line."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "theirs").mkdir()
    (folder / "theirs" / "config.json").write_text(resolve("digits", seed=5).to_json())
    results = run([command for command, _ in MISTAKES.values()], folder)
    return dict(zip(MISTAKES, results, strict=True))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_one_line(mistake, mistakes):
    result = mistakes[mistake]
    assert result.status == 1
    lines = own_lines(result.stderr)
    assert len(lines) == 1 and lines[0].startswith(MISTAKES[mistake][1]), result.stderr
    assert "Traceback" not in result.stdout


def test_message_names_the_difference_or_the_file(mistakes):
    assert "seed: 0, not 5" in mistakes["another configuration"].stderr
    assert "binarized_mnist_train.amat" in mistakes["files that cannot be had"].stderr


@pytest.fixture(scope="module")
def finished(run, tmp_path_factory) -> tuple[Path, Result]:
    """The folder where a tiny run was made, and what it said."""
    folder = tmp_path_factory.mktemp("finished")
    [result] = run([["run_dvae.py", *TINY, "--log_dir=new/run"]], folder)
    return folder, result


def test_run_leaves_everything(finished):
    folder, result = finished
    assert result.status == 0, result.stderr
    files = {path.name for path in (folder / "new/run").iterdir()}
    assert {"config.json", "metrics.json", "samples.png", "reconstructions.png"} <= files
    assert {"saved_model", "checkpoints"} <= files
    # 10 x 10 digits of 8 x 8 pixels and lines between are 89 x 89; two such with a bar of 2 are 180
    # wide. Both are enlarged to a width of about 560.
    assert png_size(folder / "new/run/samples.png") == (1104, 600)
    assert png_size(folder / "new/run/reconstructions.png") == (552, 600)
    assert sorted(path.name for path in folder.iterdir()) == ["new"]


def png_size(path: Path) -> tuple[int, int]:
    """Width and height, from the file's first chunk."""
    header = path.read_bytes()[:24]
    assert header.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", header[16:])


def test_run_prints_its_configuration_and_results(finished):
    folder, result = finished
    text = (folder / "new/run/config.json").read_text()
    assert json.loads(text)["num_latents"] == 12
    assert result.stdout.startswith(text)
    metrics = json.loads((folder / "new/run/metrics.json").read_text())
    assert f"{metrics['test_nll']:.2f}" in result.stdout.removeprefix(text)
    assert "new/run/samples.png" in result.stdout


def test_metrics_are_of_the_digits(finished):
    metrics = json.loads((finished[0] / "new/run/metrics.json").read_text())
    assert (metrics["num_images"], metrics["num_samples"], metrics["steps"]) == (300, 20, 20)
    assert all(np.isfinite(value) for value in metrics.values())
    # independent pixels: 26.6 nats; 20 steps do not change much, and one sample's bound is lower
    assert 22 < metrics["test_nll"] < metrics["test_neg_elbo"] < 40
    assert metrics["log_z_prior_lower"] <= metrics["log_z_prior"] <= metrics["log_z_prior_upper"]


@pytest.fixture(scope="module")
def afterwards(finished, run) -> list[Result]:
    """The same command again, and an evaluation of its export."""
    folder = finished[0]
    evaluate = ["eval_nll.py", "--export_dir=new/run/saved_model", "--prior_temperatures=50"]
    return run(
        [
            ["run_dvae.py", *TINY, "--log_dir=new/run"],
            [*evaluate, "--num_samples=50", "--num_images=40", "--output=out/results.json"],
        ],
        folder,
    )


def test_finished_run_reports_again(finished, afterwards):
    folder, first = finished
    assert afterwards[0].status == 0
    assert afterwards[0].stdout == first.stdout
    assert "training" not in afterwards[0].stderr


def test_evaluation_of_the_export(finished, afterwards):
    assert afterwards[1].status == 0, afterwards[1].stderr
    results = json.loads((finished[0] / "out/results.json").read_text())
    assert (results["num_images"], results["num_samples"]) == (40, 50)
    assert f"{results['nll']:.3f}" in afterwards[1].stdout
    # 40 of the run's 300 test images: means agree within the standard errors of both
    metrics = json.loads((finished[0] / "new/run/metrics.json").read_text())
    stderr = np.hypot(results["nll_stderr"], metrics["test_nll_stderr"])
    assert abs(results["nll"] - metrics["test_nll"]) < 5 * stderr
