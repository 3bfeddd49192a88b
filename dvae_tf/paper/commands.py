"""What `python -m dvae_tf.paper` does: list a table's runs, or make them and write the table."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dvae_tf import report
from dvae_tf.files import write_atomically
from dvae_tf.paper import figure, markdown, runner
from dvae_tf.paper.child import run_in_process
from dvae_tf.paper.grid import Selection
from dvae_tf.paper.results import Finished, Results, gather, incomparable
from dvae_tf.paper.timing import duration, estimator


def plan(selection: Selection, output_dir: Path) -> str:
    """The runs, their state, and the time that each is expected to take, as text."""
    runs = selection.runs()
    expect = estimator(output_dir)
    width = max(len(run.name) for run in runs)
    lines, known, unknown = [], 0.0, 0
    for run in runs:
        if different := runner.difference(run, output_dir):
            state = f"its folder holds another configuration: {different}"
        elif runner.is_finished(run, output_dir):
            lines.append(f"{run.name:{width}}  finished")
            continue
        else:
            state = "begun" if (output_dir / run.name / "config.json").exists() else "new"
        seconds, source = expect(run.config)
        known, unknown = known + (seconds or 0), unknown + (seconds is None)
        time = "unknown" if seconds is None else duration(seconds)
        lines.append(f"{run.name:{width}}  {time:>10}  ({source}; {state})")
    total = f"{len(runs)} runs of {runs[0].config.num_steps:,} steps; to do: {duration(known)}"
    if unknown:
        total += f", and {unknown} runs of which nothing like them has been measured"
    return "\n".join([*lines, total + "; a begun run counts in full"])


def run_table(
    selection: Selection, output_dir: Path, data_dir: Path, run_fn: runner.RunFn | None = None
) -> dict[str, str]:
    """Makes the runs that are not finished, and writes the table: also if interrupted.

    Args:
      selection: what to run.
      output_dir: of the runs' folders and the table's files.
      data_dir: of the datasets' files.
      run_fn: makes one run; None is a process of run_dvae.py for each.

    Returns:
      Reasons of the runs that failed, by name.

    Raises:
      ConfigError: nothing is selected, or a folder holds another run.
    """
    runs = selection.runs()
    runner.check_folders(runs, output_dir)
    name = f"table{selection.table}"
    run_fn = run_fn or partial(run_in_process, data_dir=data_dir)

    def write_page() -> None:
        write_atomically(output_dir / f"{name}.md", _page(selection, output_dir, data_dir)[0])

    try:
        return runner.run_all(runs, output_dir, run_fn, write_page)
    finally:
        _report(selection, output_dir, data_dir, name)


def csv_rows(results: Results) -> list[dict[str, object]]:
    """A row for each finished run."""
    return [_row(finished) for finished in results.finished]


def _row(finished: Finished) -> dict[str, object]:
    run, metrics, commits = finished
    upper, lower = (metrics.get(f"log_z_prior_{end}") for end in ("upper", "lower"))
    # structured prediction has no prior, and so no bracket
    width = None if upper is None or lower is None else upper - lower
    return {
        "run": run.name,
        **run.cell._asdict(),
        "seed": run.seed,
        "test_nll": metrics["test_nll"],
        "test_nll_stderr": metrics["test_nll_stderr"],
        "log_z_width": width,
        "steps": metrics["steps"],
        "seconds": metrics["seconds"],
        "evaluation_seconds": metrics.get("evaluation_seconds"),
        "commits": " ".join(commits),
    }


def _page(selection: Selection, output_dir: Path, data_dir: Path) -> tuple[str, Results, set[str]]:
    results = gather(selection.layout(), selection.settings, output_dir)
    different = incomparable(data_dir, results.finished)
    config = selection.runs()[0].config
    layout, settings = selection.layout(), selection.settings
    return markdown.page(layout, results, config, settings, different), results, different


def _report(selection: Selection, output_dir: Path, data_dir: Path, name: str) -> None:
    text, results, different = _page(selection, output_dir, data_dir)
    if not results.finished:
        print(f"No run of table {selection.table} has finished; there is nothing to write yet.")
        return
    picture = figure.draw(selection.layout(), results, different)
    report.save(output_dir, name, csv_rows(results), picture, text)
