"""A table of this program's runs beside the paper's numbers, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from dvae_tf.config import Config
from dvae_tf.paper.layout import METHODS, TITLES, UNDIRECTED, Column
from dvae_tf.paper.results import Finished, Results, Statistic
from dvae_tf.paper.tables import Value
from dvae_tf.paper.timing import duration

DATA_TITLES = {"mnist": "MNIST", "omniglot": "OMNIGLOT"}
NOTHING = "—"
_HEADED = ("num_steps", "prior_sweeps", "eval_samples")


def page(results: Results, config: Config, settings: Mapping[str, Any]) -> str:
    """The whole page: what was run, a block for each size, and how far DVAE## is ahead.

    Args:
      results: the finished runs.
      config: of any run, for what all have.
      settings: fields that were given.
    """
    table = results.table
    parts = [f"# Table {table.number}: {TITLES[table.number]}", _header(results, config, settings)]
    parts += [_warning(name) for name in table.data if name in results.incomparable]
    for size in table.sizes:
        parts += [f"## {size}+{size}", _block(results, size)]
    if leads := _leads(results):
        parts.append("NLL of PWL L = 1 minus that of DVAE##: " + "; ".join(leads) + ".")
    return "\n\n".join(parts) + "\n"


def _header(results: Results, config: Config, settings: Mapping[str, Any]) -> str:
    """Settings, commits and time, as a list."""
    paper, finished = Config(), results.finished
    training, evaluation = (
        sum(f.metrics.get(name, 0) for f in finished) for name in ("seconds", "evaluation_seconds")
    )
    lines = [
        f"Training steps: {config.num_steps:,} (the paper: {paper.num_steps:,}).",
        f"Prior sweeps: {config.prior_sweeps} (the paper: {paper.prior_sweeps}).",
        f"Evaluation samples: {config.eval_samples} (the paper: {paper.eval_samples}).",
    ]
    if other := [f"{k}={v}" for k, v in settings.items() if k not in _HEADED]:
        lines.append(f"Other settings: {', '.join(other)}.")
    lines += [
        f"Commit: {_commits(finished)}.",
        f"Time: {duration(training)} of training and {duration(evaluation)} of evaluation, "
        f"{_runs(len(finished))}.",
        "Test NLL in nats, mean ± standard deviation over n seeds; beside it the paper's, of five. "
        f"{NOTHING}: not run.",
    ]
    if results.left_out:
        lines.append(f"Left out, having other settings: {', '.join(results.left_out)}.")
    return "\n".join(f"- {line}" for line in lines)


def _block(results: Results, size: int) -> str:
    """The table of one size: each column of ours has the paper's beside it."""
    table = results.table
    names = ["data", table.parameter]
    for column in table.columns:
        names += [_title(table.number, column), "paper"]
    rows = [names, ["---"] * len(names)]
    for line in table.lines():
        if line.size == size:
            row = [DATA_TITLES.get(line.data, line.data), str(line.value)]
            for cell in line.cells:
                both = (results.ours(cell), results.theirs(cell)) if cell else None
                row += [ours_text(both[0]), paper_text(both[1])] if both else ["", ""]
            rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _leads(results: Results) -> list[str]:
    """By how much DVAE## is below PWL with L = 1, where both have been run; the paper's beside."""
    found = []
    for line in results.table.lines():
        models = {(cell.method, cell.num_layers): cell for cell in line.cells if cell}
        pair = [models[model] for model in (("pwl", 1), (UNDIRECTED, 1)) if model in models]
        ours = [statistic.mean for cell in pair if (statistic := results.ours(cell))]
        theirs = [value.mean for cell in pair if (value := results.theirs(cell))]
        if len(ours) == 2:
            text = f"{DATA_TITLES.get(line.data, line.data)} {line.size}+{line.size}"
            text += f" K={line.value}" if results.table.parameter == "K" else ""
            text += f" {ours[0] - ours[1]:.2f}"
            text += f" (the paper: {theirs[0] - theirs[1]:.2f})" if len(theirs) == 2 else ""
            found.append(text)
    return found


def _title(table: int, column: Column) -> str:
    text = METHODS[column.method]
    if column.num_layers is not None and column.method != UNDIRECTED:
        text += f" L={column.num_layers}"
    return text + (", shared" if table == 4 and column.shared_context else "")


def ours_text(statistic: Statistic | None) -> str:
    """A cell of ours, such as 84.12 ± 0.05 (n=3)."""
    return NOTHING if statistic is None else f"{_with_spread(statistic)} (n={statistic.n})"


def paper_text(value: Value | None) -> str:
    """A cell of the paper's."""
    return NOTHING if value is None else _with_spread(value)


def _with_spread(value: Statistic | Value) -> str:
    return f"{value.mean:.2f}" + ("" if value.std is None else f" ± {value.std:.2f}")


def _commits(finished: Iterable[Finished]) -> str:
    """The commits of the runs, with how many runs each where there are several."""
    counts = Counter(" then ".join(f.commits) or "unknown" for f in finished)
    if len(counts) <= 1:
        return next(iter(counts), "none yet")
    return ", ".join(f"{commit} ({_runs(n)})" for commit, n in counts.items())


def _warning(data: str) -> str:
    return (
        f"**{DATA_TITLES.get(data, data)} here is not the paper's set** (it has another number of "
        "images): its NLLs are not comparable with the paper's, which are left out."
    )


def _runs(n: int) -> str:
    return "1 run" if n == 1 else f"{n} runs"
