"""Results of runs kept as small JSON files, and the table of all of them in the documentation."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from dvae_tf.config import Config, ConfigError, resolve
from dvae_tf.files import write_atomically

RESULTS, DOCUMENT = Path("results"), Path("docs/results.md")
BEGIN, END = "<!-- begin: runs of results/ -->", "<!-- end -->"
_HEAD = """\
| run | flags | steps | hours | validation | test NLL | samples | -ELBO | log Z, bracket | commit |
|---|---|---|---|---|---|---|---|---|---|
"""


def keep(log_dir: Path, name: str, folder: Path = RESULTS) -> Path:
    """Writes what a finished run's folder says of it to `folder`/`name`.json.

    Raises:
      ConfigError: the folder holds no finished run.
    """
    from dvae_tf import curves

    try:
        metrics = json.loads((log_dir / "metrics.json").read_text())
    except (OSError, ValueError):
        raise ConfigError(f"--keep={log_dir}: found no finished run; accepted is one") from None
    config = Config.from_json(log_dir / "config.json")
    steps, values = curves.read(log_dir).get("eval/valid_nll", ([], []))
    record = {
        "name": name,
        "flags": flags_of(config),
        "config": json.loads(config.to_json()),
        "metrics": metrics,
        "commit": _output("git", "rev-parse", "--short", "HEAD"),
        "processor": f"{os.cpu_count()} of {_processor()}",
        "seconds": metrics["seconds"],
        "valid_curve": [list(pair) for pair in zip(steps, values, strict=True)],
    }
    path = folder / f"{name}.json"
    write_atomically(path, json.dumps(record, indent=1) + "\n")
    return path


def flags_of(config: Config) -> str:
    """The flags that differ from the paper's settings for the dataset and the task."""
    usual = resolve(config.dataset, task=config.task)
    fields = json.loads(config.to_json())
    given = {k: v for k, v in fields.items() if v != getattr(usual, k) and k != "hidden_units"}
    return " ".join(f"--{k}={v}" for k, v in given.items() if not k.endswith("_images"))


def table(folder: Path = RESULTS) -> str:
    """All runs of a folder, by dataset, task and test NLL, in Markdown."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    runs = [one for one in found if isinstance(one, dict) and "metrics" in one]
    keys = ("dataset", "task")
    runs.sort(key=lambda one: (*(one["config"][k] for k in keys), -one["metrics"]["test_nll"]))
    return _HEAD + "".join(map(_row, runs))


def _row(run: dict[str, Any]) -> str:
    metrics = run["metrics"]
    log_z = "" if metrics["log_z_prior"] is None else _bracket(metrics)
    cells = [
        run["name"],
        f"`{run['flags']}`",
        f"{metrics['steps']:,}",
        f"{run['seconds'] / 3600:.2f}",
        f"{metrics['valid_nll']:.2f}",
        f"{metrics['test_nll']:.2f} ± {metrics['test_nll_stderr']:.2f}",
        f"{metrics['num_samples']:,}",
        f"{metrics['test_neg_elbo']:.2f}",
        log_z,
        run["commit"],
    ]
    return f"| {' | '.join(cells)} |\n"


def _bracket(metrics: dict[str, float]) -> str:
    ends = (metrics[f"log_z_prior_{end}"] for end in ("lower", "upper"))
    return f"{metrics['log_z_prior']:.2f} [{', '.join(f'{end:.2f}' for end in ends)}]"


def collect(document: Path = DOCUMENT, folder: Path = RESULTS) -> None:
    """Puts the table between the document's two marks.

    Raises:
      ConfigError: there are no such marks.
    """
    write_atomically(document, collected(document.read_text(), folder))


def collected(text: str, folder: Path = RESULTS) -> str:
    """The document's text with the table of today's results."""
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ConfigError(f"found no lines {BEGIN} and {END}; accepted is a document with both")
    return f"{before}{BEGIN}\n\n{table(folder)}\n{END}{after}"


def _output(*command: str) -> str:
    """What a command prints, without the line's end; nothing where it can't run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    """The processor's name, as Linux has it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "an unknown processor"
