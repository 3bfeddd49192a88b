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
from absl import flags as absl_flags

import dvae_tf
from dvae_tf import cli, config, data
from dvae_tf.config import resolve

COMMANDS = [
    f"dvae_tf/{name}.py"
    for name in ("curves", "analysis/options", "paper/__main__", "toys/rbm", "toys/gaussian")
]

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

    def run_all(commands: list[list[str]], cwd: Path, **variables: str) -> list[Result]:
        processes = [
            subprocess.Popen(
                [sys.executable, str(project / script), *flags],
                cwd=cwd,
                env={**environment, **variables},
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
    "no export": (["eval_nll.py", "--export_dir=nowhere"], "eval_nll.py: --export_dir=nowhere: "),
    "a folder for the results": (
        ["eval_nll.py", "--output=theirs"],
        "eval_nll.py: --output=theirs: found a folder; ",
    ),
    "no place for the results": (
        ["eval_nll.py", "--output=theirs/config.json/nll.json"],
        "eval_nll.py: --output=theirs/config.json: ",
    ),
}


@pytest.fixture(scope="module")
def mistakes(run, tmp_path_factory) -> dict[str, Result]:
    """What comes of each mistaken command line, told before TensorFlow is loaded.

    That takes ten seconds, and more on a busy machine; here it would be an error.
    """
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "tensorflow.py").write_text("raise SystemExit('TensorFlow was loaded')")
    (folder / "theirs").mkdir()
    (folder / "theirs" / "config.json").write_text(resolve("digits", seed=5).to_json())
    results = run([command for command, _ in MISTAKES.values()], folder, PYTHONPATH=str(folder))
    return dict(zip(MISTAKES, results, strict=True))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_one_line(mistake, mistakes):
    result = mistakes[mistake]
    assert result.status == 1
    lines = own_lines(result.stderr)
    assert len(lines) == 1 and lines[0].startswith(MISTAKES[mistake][1]), result.stderr
    assert "Traceback" not in result.stdout


HELP = {
    "run_dvae.py": ("Model:", "--init_from", "(default: 200; digits: 64)", "--[no]shared_context"),
    "eval_nll.py": ("--export_dir", "(default: runs/digits/saved_model)", "--prior_temperatures"),
    "-m dvae_tf.curves": ("--log_dir", "(default: runs/digits)"),
    "-m dvae_tf.analysis.modes": ("--export_dir", "--prior_samples", "(default: 4000)"),
    "-m dvae_tf.analysis.partition_function": ("--export_dir", "--truth_chains"),
    "-m dvae_tf.paper": ("--table", "--rows"),
    # an installed command imports the program
    "-c __import__('sys').argv[0]='run-dvae';__import__('run_dvae').command()": (
        "Trains, evaluates and exports",
        "--num_latents",
    ),
}


@pytest.fixture(scope="module")
def helped(project, environment, tmp_path_factory) -> dict[str, list[Result]]:
    """What each command says to --help, -h and --version, without TensorFlow."""
    folder = tmp_path_factory.mktemp("helped")
    (folder / "tensorflow.py").write_text("raise SystemExit('TensorFlow was loaded')")
    variables = {**environment, "PYTHONPATH": f"{folder}:{project}"}
    found = {}
    for command in HELP:
        script = command.split() if command[0] == "-" else [str(project / command)]
        started = [
            subprocess.Popen(
                [sys.executable, *script, flag],
                env=variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for flag in ("--help", "-h", "--version", "--helpfull")
        ]
        outputs = [process.communicate() for process in started]
        found[command] = [Result(p.returncode, *o) for p, o in zip(started, outputs, strict=True)]
    return found


def test_help_that_is_lost_is_told(project, environment):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, str(project / "eval_nll.py"), "--help"]
        result = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert result.stderr.decode().strip().endswith("No space left on device: 'standard output'")


@pytest.mark.parametrize("command", HELP)
def test_help_shows_the_flags_that_a_program_needs(command, helped):
    long, short, version, full = helped[command]
    assert [r.status for r in helped[command]] == [0, 0, 0, 0], long.stderr
    assert long.stdout == short.stdout == full.stdout and long.stderr == ""
    for text in HELP[command]:
        assert text in " ".join(long.stdout.split())
    assert not re.search(r"--\S+ +(of|for|from|whether not) ", long.stdout)  # a sentence's rest
    assert re.search(r" \d+\.\d+\.\d+$", version.stdout.strip())


def test_every_field_of_the_configuration_has_help(helped):
    text = helped["run_dvae.py"][0].stdout
    assert all(f"--{name} " in text.replace("[no]", "") for name in config.FIELDS)


def test_home_is_found_where_no_shell_does(tmp_path, monkeypatch):
    """No shell expands ~ after '='."""
    monkeypatch.setenv("HOME", str(tmp_path))
    values = absl_flags.FlagValues()
    cli.define_path("log_dir", None, "", flag_values=values)
    values(["program", "--log_dir=~/x"])
    assert values.log_dir == tmp_path / "x"
    for bad in ("--log_dir=~nobody-of-that-name/x", "--log_dir="):
        with pytest.raises(absl_flags.IllegalFlagValueError, match="log_dir"):
            values(["program", bad])


def test_a_notebook_s_backend_that_is_not_there_does_no_harm(monkeypatch):
    """Matplotlib refuses to be imported with it."""
    monkeypatch.setenv("MPLBACKEND", "not.there")
    monkeypatch.setattr(cli, "keep_freed_memory", lambda: None)
    cli.prepare()
    assert os.environ["MPLBACKEND"] == "agg"


@pytest.mark.parametrize("script", ["run_dvae.py", "eval_nll.py", *COMMANDS])
def test_every_path_is_one(script, project):
    """That a flag is a path is seen from its help."""
    text = (project / script).read_text()
    assert not re.findall(r'DEFINE_string\(\s*"\w*(?:dir|output|path|init_from)"', text)


def test_message_names_the_difference_or_the_file(mistakes):
    assert "seed: 0, not 5" in mistakes["another configuration"].stderr
    assert "binarized_mnist_train.amat" in mistakes["files that cannot be had"].stderr


@pytest.fixture(scope="module")
def finished(run, tmp_path_factory) -> tuple[Path, Result]:
    """The folder where a tiny run was made, and what it said."""
    folder = tmp_path_factory.mktemp("finished")
    [result] = run([["run_dvae.py", *TINY, "--log_dir=new/lr=[0.003]"]], folder)
    return folder, result


def test_run_leaves_everything(finished):
    folder, result = finished
    assert result.status == 0, result.stderr
    files = {path.name for path in (folder / "new/lr=[0.003]").iterdir()}
    assert {"config.json", "metrics.json", "samples.png", "reconstructions.png"} <= files
    assert {"saved_model", "checkpoints"} <= files
    # 10 x 10 digits of 8 x 8 pixels and lines between are 89 x 89; two such with a bar of 2 are 180
    # wide. Both are enlarged to a width of about 560.
    assert png_size(folder / "new/lr=[0.003]/samples.png") == (1104, 600)
    assert png_size(folder / "new/lr=[0.003]/reconstructions.png") == (552, 600)
    assert sorted(path.name for path in folder.iterdir()) == ["new"]


def png_size(path: Path) -> tuple[int, int]:
    """Width and height, from the file's first chunk."""
    header = path.read_bytes()[:24]
    assert header.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", header[16:])


def test_run_prints_its_configuration_and_results(finished):
    folder, result = finished
    text = (folder / "new/lr=[0.003]/config.json").read_text()
    assert json.loads(text)["num_latents"] == 12
    assert result.stdout.startswith(text)
    metrics = json.loads((folder / "new/lr=[0.003]/metrics.json").read_text())
    assert f"{metrics['test_nll']:.2f}" in result.stdout.removeprefix(text)
    assert "new/lr=[0.003]/samples.png" in result.stdout


def test_metrics_are_of_the_digits(finished):
    metrics = json.loads((finished[0] / "new/lr=[0.003]/metrics.json").read_text())
    assert (metrics["num_images"], metrics["num_samples"], metrics["steps"]) == (300, 20, 20)
    (warning,) = metrics.pop("warnings")
    assert "median effective sample size is" in warning and "of 20" in warning
    assert all(np.isfinite(value) for value in metrics.values())
    # independent pixels: 26.6 nats; 20 steps do not change much, and one sample's bound is lower
    assert 22 < metrics["test_nll"] < metrics["test_neg_elbo"] < 40
    assert metrics["log_z_prior_lower"] <= metrics["log_z_prior"] <= metrics["log_z_prior_upper"]


def test_a_run_loaded_has_the_run_s_likelihoods(finished):
    folder = finished[0] / "new/lr=[0.003]"
    test = data.load("digits", "unused").test
    how = {"num_samples": 20, "prior_temperatures": 50}
    for path in (folder, folder / "saved_model"):
        found = -dvae_tf.load(path).log_likelihood(test, **how).mean()
        expected = json.loads((folder / "metrics.json").read_text())["test_nll"]
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.fixture(scope="module")
def afterwards(finished, run) -> list[Result]:
    """The same command again, and an evaluation of its export."""
    folder = finished[0]
    evaluate = ["eval_nll.py", "--export_dir=new/lr=[0.003]/saved_model", "--prior_temperatures=50"]
    return run(
        [
            ["run_dvae.py", *TINY, "--log_dir=new/lr=[0.003]"],
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
    metrics = json.loads((finished[0] / "new/lr=[0.003]/metrics.json").read_text())
    stderr = np.hypot(results["nll_stderr"], metrics["test_nll_stderr"])
    assert abs(results["nll"] - metrics["test_nll"]) < 5 * stderr
