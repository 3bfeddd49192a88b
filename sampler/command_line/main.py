"""The command line: flags and files in, a line of JSON for each file out.

Standard output carries nothing but those lines. Mistakes are one line each on standard error, where
the progress bar is too, and make the exit status 1. TensorFlow is loaded after flags and files have
been read, so that `--help` and mistakes answer at once.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags
from tqdm import tqdm

from sampler import __version__
from sampler.command_line import files, options
from sampler.io import formats, npz, quiet
from sampler.io.errors import FileError, printable, reason

if TYPE_CHECKING:
    from sampler.command_line.tasks import Answer, Task


def main(arguments: list[str]) -> int:
    """Carries out a command line (without the program's name) and returns its exit status."""
    try:
        return _main(arguments)
    except (options.UsageError, flags.Error, FileError) as error:
        _complain(error)
    except KeyboardInterrupt:
        return 130
    return 1


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("help", "-h", "-help", "--help"):
        print(options.overview(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 1
    if "--version" in arguments:
        print(f"sampler {__version__}")
        return 0
    command = options.COMMANDS.get(arguments[0])
    if command is None:
        accepted = ", ".join(options.COMMANDS)
        raise options.UsageError(f"found {arguments[0]!r}; accepted: one of {accepted}, then files")
    values = options.define(command)
    paths = values(arguments)[1:]  # the parser takes the command for the program's name
    for name in {"output", "plot"} & {*values}:  # no shell expands ~ after '='
        if values[name].value:
            values[name].value = os.path.expanduser(str(values[name].value))
    if values.help:
        print(options.help_text(command, values))
        return 0
    return RUN[command.name](values, options.settings(command, values), paths)


def log_z(values: flags.FlagValues, settings: dict[str, Any], paths: list[str]) -> int:
    """One line for each file, in their order; those that cannot be used are named, and left out."""
    if not paths:
        raise options.UsageError(f"log_z: found no file; accepted: {formats.ACCEPTED}, or several")
    if values.plot:
        files.check_folder("plot", values.plot)
    parts = [_attempt(formats.read, path) for path in paths]
    done = [
        each is not None and _attempt(_run, "log_z", each, name, values, settings)
        for each, name in zip(parts, _names(paths), strict=True)
    ]
    return 0 if all(done) else 1


def sample(values: flags.FlagValues, settings: dict[str, Any], paths: list[str]) -> int:
    """The samples of one file's machines into another, and one line about them."""
    if len(paths) != 1:
        raise options.UsageError(f"sample: found {len(paths)} files; accepted: one")
    files.check_output(values.output)
    if values.plot:
        files.check_folder("plot", values.plot)
    settings = {"num_samples": values.num_samples, **settings}
    _run("sample", formats.read(paths[0]), _names(paths)[0], values, settings)
    return 0


RUN = {"log_z": log_z, "sample": sample}


def _run(
    command: str, parts: formats.Parts, name: str, values: flags.FlagValues, settings: dict
) -> bool:
    """The method's answer about one file, written and printed."""
    with _task(parts, values) as task:
        methods = importlib.import_module(f"sampler.command_line.{command}").METHODS
        started = time.perf_counter()
        answer = methods[values.method](task, **settings)
    fields: dict[str, Any] = {"file": parts.path}
    if answer.state:
        npz.write_npz(values.output, files.arrays_of(task.machine, answer.state))
        fields |= {"output": values.output, "num_samples": values.num_samples}
    fields |= {**answer.values, "seconds": time.perf_counter() - started}
    fields["warnings"] = parts.notes + answer.warnings
    print(json.dumps({k: _plain(v) for k, v in fields.items()}, allow_nan=False), flush=True)
    _save_pictures(values, name, task, answer)
    return True


def _names(paths: list[str]) -> list[str]:
    """What pictures are named after: the files' stems, or whole paths where stems are alike."""
    stems = [Path(path).stem for path in paths]
    whole = [str(Path(path).with_suffix("")).strip("./").replace(os.sep, "_") for path in paths]
    return [s if stems.count(s) == 1 else w for s, w in zip(stems, whole, strict=True)]


@contextlib.contextmanager
def _task(parts: formats.Parts, values: flags.FlagValues) -> Iterator[Task]:
    """A file's machines as a task with its progress bar; what is refused is said of the file."""
    quiet.load_tensorflow()
    import tensorflow as tf

    from sampler import seeds
    from sampler.command_line.tasks import Task

    path, seed = parts.path, seeds.make_seed(values.seed)
    try:
        # no bar where nobody watches it
        with tqdm(desc=Path(path).name, disable=None, leave=False, file=sys.stderr) as bar:
            yield Task(formats.machine(parts, values.beta), seed, bar)
    except FileError:
        raise
    except ValueError as error:
        raise FileError(f"{path}: {reason(error)}") from error
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise FileError(f"{path}: found too little memory; accepted: fewer chains") from error


def _attempt(function: Any, *arguments: Any) -> Any:
    """What the function returns, or None and a line on standard error."""
    try:
        return function(*arguments)
    except FileError as error:
        _complain(error)
        return None


def _save_pictures(values: flags.FlagValues, name: str, task: Task, answer: Answer) -> None:
    if values.plot is None:
        return
    try:  # the results have been printed
        _save_each(values, name, task, answer)
    except Exception as error:
        found = f"--plot={values.plot}: a picture could not be made ({reason(error)})"
        raise FileError(f"{found}; accepted: a folder with room") from error


def _save_each(values: flags.FlagValues, name: str, task: Task, answer: Answer) -> None:
    from sampler import plots

    title = f"{name}: {options.TITLES[values.method]}"
    if batch := task.machine.batch_shape.as_list():
        number = np.unravel_index(answer.first + plots.worst(answer.result), batch)
        title += f", machine {[int(i) for i in number]}"
    for draw in plots.KINDS[values.method]:
        plots.save(draw(answer.result, title), values.plot, name, draw.__name__)


def _plain(value: Any) -> Any:
    """Lists and numbers that strict JSON has; null for what is not finite."""
    if hasattr(value, "numpy") or isinstance(value, (np.ndarray, np.generic)):
        value = np.asarray(value).tolist()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _complain(error: Exception) -> None:
    text = printable(" ".join(str(error).split()))
    tqdm.write(f"sampler: {text}", file=sys.stderr)
