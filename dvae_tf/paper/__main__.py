"""Runs the grid of one of the paper's tables and writes it beside the paper's numbers.

  python -m dvae_tf.paper --table=1 --num_steps=20000 --rows=dvae##,pwl_l1 --data=mnist --dry_run
  python -m dvae_tf.paper --table=1 --num_steps=20000 --rows=dvae##,pwl_l1 --data=mnist

  python -m dvae_tf.paper --keep=runs/mnist --name=mnist_20000
  python -m dvae_tf.paper --collect

The same command resumes where it stopped; finished runs of other rows are in the table too. Each
run has a folder in --output_dir, as run_dvae.py leaves it. `--keep` writes a run's results to
results/, from which `--collect` makes the table in docs/results.md.
"""

from __future__ import annotations

import signal
import sys

from absl import flags

from dvae_tf import cli

cli.prepare()


def define_flags() -> None:
    """The command line."""
    tables = ["1", "2", "3", "4"]
    flags.DEFINE_enum("table", "1", tables, "number of the paper's table")
    cli.define_path("keep", None, "folder of a finished run whose results are kept")
    flags.DEFINE_string("name", None, "name of the kept results; none: the folder's")
    flags.DEFINE_bool("collect", False, "make the documentation's table of the kept results")
    flags.DEFINE_list("rows", [], "models, such as dvae##, pwl (all its L) or pwl_l1; none: all")
    flags.DEFINE_list("data", [], "mnist, omniglot, or as run_dvae.py --dataset; none: the paper's")
    flags.DEFINE_list("sizes", [], "units on a side, 100 for 100+100; none: the paper's")
    flags.DEFINE_list("k", [], "samples of the bound, in Tables 2 and 3; none: 1, 5, 25")
    flags.DEFINE_list("seeds", ["0"], "seeds of each model's runs")
    flags.DEFINE_integer("num_steps", None, "training steps (the paper: 1,000,000)")
    flags.DEFINE_integer("prior_sweeps", None, "sweeps of the prior's samples per step (40)")
    flags.DEFINE_integer("eval_samples", None, "importance samples per test image (4000)")
    flags.DEFINE_multi_string("set", [], "name=value of another flag of run_dvae.py; repeatable")
    cli.define_path("data_dir", "data", "folder of the datasets' files; missing ones go there")
    cli.define_path("output_dir", "runs/paper", "folder of the runs and of the table")
    flags.DEFINE_bool("dry_run", False, "list the runs and their expected time")


def main(argv: list[str]) -> None:
    """Flags to a selection, and one call."""
    del argv
    from dvae_tf.paper import commands, grid, records

    values = flags.FLAGS
    if values.keep:
        print(records.keep(values.keep, values.name or values.keep.name))
    if values.collect:
        records.collect()
    if values.keep or values.collect:
        return
    named = ("num_steps", "prior_sweeps", "eval_samples")
    selection = grid.Selection(
        table=int(values.table),
        rows=tuple(values.rows),
        data=tuple(values.data),
        sizes=grid.integers("sizes", values.sizes),
        samples=grid.integers("k", values.k),
        seeds=grid.integers("seeds", values.seeds),
        settings={
            **grid.parse_settings(values.set),
            **{n: values[n].value for n in named if values[n].value is not None},
        },
    )
    output_dir = values.output_dir
    if values.dry_run:
        print(commands.plan(selection, output_dir))
        return
    _stop_by_signals()
    failures = commands.run_table(selection, output_dir, values.data_dir)
    if failures:
        sys.exit(f"{len(failures)} runs failed; the same command tries them again")


def _stop_by_signals() -> None:
    """Lets what would end this process stop the grid as Ctrl-C does: the run saves a checkpoint.

    Also where the shell has started it with Ctrl-C ignored, which the runs would inherit.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


if __name__ == "__main__":
    define_flags()
    cli.run(main, "dvae_tf.paper.commands", tensorflow=False)
