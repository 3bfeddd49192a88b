"""Lists a table's runs, or makes them and writes the table."""

from functools import partial
from pathlib import Path

from dvae_tf import report
from dvae_tf.files import write_atomically
from dvae_tf.paper import figure, markdown, runner
from dvae_tf.paper.child import run_in_process
from dvae_tf.paper.grid import Selection
from dvae_tf.paper.results import Finished, Results, gather
from dvae_tf.paper.timing import duration, estimator


def plan(selection: Selection, output_dir: Path) -> str:
    """The runs as text, each with its state and expected time."""
    runs = selection.runs()
    expect = estimator(output_dir)
    width = max(len(run.name) for run in runs)
    lines, known, unknown = [], 0.0, 0
    for run in runs:
        state = "begun" if (output_dir / run.name / "config.json").exists() else "new"
        if different := runner.difference(run, output_dir):
            state = f"its folder holds another configuration: {different}"
        elif runner.is_finished(run, output_dir):
            lines.append(f"{run.name:{width}}  finished")
            continue
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
    """Makes the unfinished runs and writes the table, even if interrupted.

    Args:
      selection: what to run.
      output_dir: of the runs' folders and the table's files.
      data_dir: of the datasets' files.
      run_fn: makes one run; None is a process of run_dvae.py for each.

    Returns why runs failed, by name; ConfigError if nothing is selected, or a folder holds another
    run.
    """
    runs = selection.runs()
    runner.check_folders(runs, output_dir)
    name = f"table{selection.table}"

    def page() -> tuple[Results, str]:
        results = gather(selection, output_dir, data_dir)
        return results, markdown.page(results, runs[0].config, selection.settings)

    def write_page() -> None:
        write_atomically(output_dir / f"{name}.md", page()[1])

    try:
        run_fn = run_fn or partial(run_in_process, data_dir=data_dir)
        return runner.run_all(runs, output_dir, run_fn, write_page)
    finally:
        results, text = page()
        if results.finished:
            rows = [_row(finished) for finished in results.finished]
            report.save(output_dir, name, rows, figure.draw(results), text)
        else:
            print(f"No run of table {selection.table} has finished; there is nothing to write yet.")


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
