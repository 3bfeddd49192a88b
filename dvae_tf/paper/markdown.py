"""A table of this program's runs beside the paper's numbers, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from dvae_tf.config import Config
from dvae_tf.paper.layout import METHODS, TITLES, Column, Layout, paper_value
from dvae_tf.paper.results import Finished, Results, Statistic
from dvae_tf.paper.tables import UNDIRECTED, Value
from dvae_tf.paper.timing import duration

DATA_TITLES = {"mnist": "MNIST", "omniglot": "OMNIGLOT"}
NOTHING = "—"
_HEADED = ("num_steps", "prior_sweeps", "eval_samples")


def page(
    table: Layout,
    results: Results,
    config: Config,
    settings: Mapping[str, Any],
    incomparable: set[str],
) -> str:
    """The whole page: what was run, a block for each size, and how far DVAE## is ahead.

    Args:
      table: the layout.
      results: the finished runs.
      config: of any run, for what all have.
      settings: fields that were given.
      incomparable: datasets whose numbers the paper's must not stand beside.
    """
    parts = [f"# Table {table.number}: {TITLES[table.number]}", header(results, config, settings)]
    parts += [_warning(name) for name in table.data if name in incomparable]
    for size in table.sizes:
        parts += [f"## {size}+{size}", block(table, results, size, incomparable)]
    parts += leads(table, results, incomparable)
    return "\n\n".join(parts) + "\n"


def header(results: Results, config: Config, settings: Mapping[str, Any]) -> str:
    """Settings, commits and time, as a list."""
    paper = Config()
    training = sum(f.metrics["seconds"] for f in results.finished)
    evaluation = sum(f.metrics.get("evaluation_seconds", 0) for f in results.finished)
    lines = [
        f"Training steps: {config.num_steps:,} (the paper: {paper.num_steps:,}).",
        f"Prior sweeps: {config.prior_sweeps} (the paper: {paper.prior_sweeps}).",
        f"Evaluation samples: {config.eval_samples} (the paper: {paper.eval_samples}).",
        f"Commit: {commits(results.finished)}.",
        f"Time: {duration(training)} of training and {duration(evaluation)} of evaluation, "
        f"{_runs(len(results.finished))}.",
        "Test NLL in nats, mean ± standard deviation over n seeds; beside it the paper's, of five. "
        f"{NOTHING}: not run.",
    ]
    other = [f"{k}={v}" for k, v in settings.items() if k not in _HEADED]
    if other:
        lines.insert(3, f"Other settings: {', '.join(other)}.")
    if results.left_out:
        names = ", ".join(results.left_out)
        lines.append(f"Left out, having other settings: {names}.")
    return "\n".join(f"- {line}" for line in lines)


def block(table: Layout, results: Results, size: int, incomparable: set[str]) -> str:
    """The table of one size: each column of ours has the paper's beside it."""
    titles = [title(table, column) for column in table.columns]
    names = ["data", table.parameter, *(name for each in titles for name in (each, "paper"))]
    lines = [_line(names), _line(["---"] * len(names))]
    for data in table.data:
        for value in table.values:
            cells = [DATA_TITLES.get(data, data), str(value)]
            for column in table.columns:
                cell = table.cell(data, size, value, column)
                if cell is None:
                    cells += ["", ""]
                    continue
                theirs = None if data in incomparable else paper_value(table.number, cell)
                cells += [ours_text(results.statistic(cell)), paper_text(theirs)]
            lines.append(_line(cells))
    return "\n".join(lines)


def leads(table: Layout, results: Results, incomparable: set[str]) -> list[str]:
    """By how much DVAE## is below PWL with L = 1, where both have been run; the paper's beside."""
    found = []
    for size in table.sizes:
        for data in table.data:
            for value in table.values if table.parameter == "K" else (1,):
                if text := _lead(table, results, data, size, value, data in incomparable):
                    found.append(text)
    return ["NLL of PWL L = 1 minus that of DVAE##: " + "; ".join(found) + "."] if found else []


def title(table: Layout, column: Column) -> str:
    """A column's heading."""
    text = METHODS[column.method]
    if column.num_layers is not None and column.method != UNDIRECTED:
        text += f" L={column.num_layers}"
    if table.number == 4:
        text += ", shared" if column.shared_context else ""
    return text


def ours_text(statistic: Statistic | None) -> str:
    """A cell of ours, such as 84.12 ± 0.05 (n=3)."""
    if statistic is None:
        return NOTHING
    spread = "" if statistic.std is None else f" ± {statistic.std:.2f}"
    return f"{statistic.mean:.2f}{spread} (n={statistic.n})"


def paper_text(value: Value | None) -> str:
    """A cell of the paper's."""
    if value is None:
        return NOTHING
    return f"{value.mean:.2f}" + ("" if value.std is None else f" ± {value.std:.2f}")


def commits(finished: Iterable[Finished]) -> str:
    """The commits of the runs, with how many runs each where there are several."""
    counts = Counter(" then ".join(f.commits) or "unknown" for f in finished)
    if len(counts) <= 1:
        return next(iter(counts), "none yet")
    return ", ".join(f"{commit} ({_runs(n)})" for commit, n in counts.items())


def _lead(
    table: Layout, results: Results, data: str, size: int, value: int, incomparable: bool
) -> str | None:
    columns = {c.method: c for c in reversed(table.columns)}  # the first of a method is L = 1
    if not {"pwl", UNDIRECTED} <= set(columns):
        return None
    cells = [table.cell(data, size, value, columns[method]) for method in ("pwl", UNDIRECTED)]
    pwl, ours = (results.statistic(cell) if cell else None for cell in cells)
    if pwl is None or ours is None:
        return None
    theirs = [paper_value(table.number, cell) for cell in cells if cell]
    beside = ""
    if not incomparable and theirs[0] and theirs[1]:
        beside = f" (the paper: {theirs[0].mean - theirs[1].mean:.2f})"
    place = f"{DATA_TITLES.get(data, data)} {size}+{size}"
    place += f" K={value}" if table.parameter == "K" else ""
    return f"{place} {pwl.mean - ours.mean:.2f}{beside}"


def _warning(data: str) -> str:
    return (
        f"**{DATA_TITLES.get(data, data)} here is not the paper's set** (it has another number of "
        "images): its NLLs are not comparable with the paper's, which are left out."
    )


def _runs(n: int) -> str:
    return "1 run" if n == 1 else f"{n} runs"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
