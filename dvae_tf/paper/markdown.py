"""A table of this program's results beside the paper's, as Markdown."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from dvae_tf.config import Config
from dvae_tf.paper.layout import TITLES, UNDIRECTED, column, line, parameter
from dvae_tf.paper.results import Finished, Results
from dvae_tf.paper.timing import duration

DATA_TITLES = {"mnist": "MNIST", "omniglot": "OMNIGLOT"}
NOTHING = "—"
_HEADED = ("num_steps", "prior_sweeps", "eval_samples")


def page(results: Results, config: Config, settings: Mapping[str, Any]) -> str:
    """The whole page: what was run, a block for each size, and by how much DVAE## leads.

    `config` is that of any run, for what all share; `settings` are fields that the user gave.
    """
    cells = results.cells
    title = f"# Table {results.table}: {TITLES[results.table]}"
    parts = [title, _header(results, config, settings)]
    parts += [
        f"**{DATA_TITLES.get(data, data)} here is not the paper's set** (it has another number of "
        "images): its NLLs are not comparable with the paper's, which are left out."
        for data in dict.fromkeys(cell.data for cell in cells)
        if data in results.incomparable
    ]
    for size in dict.fromkeys(cell.size for cell in cells):
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
    places = {
        (line(table, cell), column(table, cell)): cell
        for cell in results.cells
        if cell.size == size
    }
    columns = dict.fromkeys(heading for _, heading in places)
    names = ["data", parameter(table), *(n for heading in columns for n in (heading, "paper"))]
    rows = [names, ["---"] * len(names)]
    for data, value in dict.fromkeys(of for of, _ in places):
        row = [DATA_TITLES.get(data, data), str(value)]
        for heading in columns:
            cell = places.get(((data, value), heading))
            both = cell and (results.ours(cell), results.theirs(cell))
            row += [str(value or NOTHING) for value in both] if both else ["", ""]
        rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _leads(results: Results) -> list[str]:
    """By how much DVAE## beats PWL with L = 1, here and in the paper, wherever both have run."""
    found = []
    for cell in results.cells:
        pair = (cell._replace(method="pwl"), cell)
        ours = [value.mean for each in pair if (value := results.ours(each))]
        theirs = [value.mean for each in pair if (value := results.theirs(each))]
        if cell.method == UNDIRECTED and len(ours) == 2:
            text = f"{DATA_TITLES.get(cell.data, cell.data)} {cell.size}+{cell.size}"
            text += f" K={cell.num_samples}" if parameter(results.table) == "K" else ""
            text += f" {ours[0] - ours[1]:.2f}"
            text += f" (the paper: {theirs[0] - theirs[1]:.2f})" if len(theirs) == 2 else ""
            found.append(text)
    return found


def _commits(finished: Iterable[Finished]) -> str:
    """The runs' commits, with the number of runs of each if there are several."""
    counts = Counter(" then ".join(f.commits) or "unknown" for f in finished)
    if len(counts) <= 1:
        return next(iter(counts), "none yet")
    return ", ".join(f"{commit} ({_runs(n)})" for commit, n in counts.items())


def _runs(n: int) -> str:
    return "1 run" if n == 1 else f"{n} runs"
