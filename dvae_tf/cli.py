"""What the command lines share: a quiet start, and errors in one line.

Imports TensorFlow only after the environment that it reads at its start is set.
"""

from __future__ import annotations

import ctypes
import dataclasses
import importlib
import os
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from absl import app, flags

Settings = TypeVar("Settings")

flags.disclaim_key_flags()  # --help lists the flags defined here with those of the main module

_M_MMAP_MAX, _M_TRIM_THRESHOLD, _M_ARENA_MAX = -4, -1, -8
_ERRORS = (
    ("dvae_tf.config", "ConfigError"),
    ("sampler.io.errors", "FileError"),
    ("dvae_tf.export", "ExportError"),
    ("dvae_tf.training.loop", "TrainingError"),
    ("dvae_tf.training.workers", "WorkerLostError"),
    ("dvae_tf.training.checkpoints", "CheckpointError"),
)


def prepare() -> None:
    """Sets what has to stand before TensorFlow is imported; what the user has set stays."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["MPLBACKEND"] = "agg"  # a notebook's own may be missing here, and nothing is shown
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Lets glibc keep freed blocks rather than hand them back (elsewhere: does nothing).

    A step allocates tens of megabytes anew; mapped from the kernel each time, they cost 3 ms of
    page faults, and nearly 30 with 25 samples an image. Threads share one arena, as others unmap
    their heaps of 64 MB whatever the threshold. The process never needs more than its peak.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
        libc.mallopt(_M_ARENA_MAX, 1)
    except (OSError, AttributeError, TypeError):
        return


def load(*modules: str, tensorflow: bool = True) -> None:
    """Imports modules, before them TensorFlow quietly; a signal ends the program at once."""
    from dvae_tf import interrupts
    from sampler.io import quiet

    with interrupts.ending_at_once():
        if tensorflow:
            quiet.load_tensorflow()
        for module in modules:
            importlib.import_module(module)


def run(
    main: Callable[[list[str]], None],
    *modules: str,
    tensorflow: bool = True,
    defaults: Mapping[str, str] | None = None,
) -> None:
    """`absl.app.run` of `main`, prepared; a known error is one line on standard error and status 1.

    Args:
      main: what takes the arguments that are no flags.
      modules: imported before it, so that a signal during imports ends the program cleanly.
      tensorflow: whether `main` needs TensorFlow from the start, which is then loaded quietly.
      defaults: for the help, of flags whose own default is none.
    """
    from dvae_tf import interrupts
    from dvae_tf.config import ConfigError
    from sampler.io import terminal
    from sampler.io.errors import printable

    def guarded(argv: list[str]) -> None:
        try:
            if len(argv) > 1:
                raise ConfigError(f"found the argument {argv[1]!r}; accepted are flags (--help)")
            load(*modules, tensorflow=tensorflow)
            main(argv)
            terminal.check()
        except KeyboardInterrupt:
            sys.exit(interrupts.INTERRUPTED)
        except _known_errors() as error:  # evaluated only when there is one
            sys.exit(f"{_program()}: {printable(str(error))}")

    prepare()
    terminal.protect()
    _help_or_version(main.__module__, defaults or {})
    interrupts.treat_sigterm_as_ctrl_c()
    app.run(guarded)


_groups: list[tuple[str, dict[str, Any]]] = []
"""Titles, and the flags that there were before."""


def group(title: str) -> None:
    """Flags defined from here on stand under a title in the help."""
    _groups.append((title, {name: flags.FLAGS[name] for name in flags.FLAGS}))


def _help_or_version(module: str, defaults: Mapping[str, str]) -> None:
    """Answers -h, --help and --version, before flags are parsed, and ends the program.

    Args:
      module: of the program, which an installed command imports.
    """
    from sampler.io import terminal

    given = {text.lstrip("-") for text in sys.argv[1:] if text.startswith("-")}
    if given & {"h", "help", "helpshort", "helpfull"}:  # absl points to the last two
        print(help_text(module, defaults))
    elif "version" in given:
        from sampler import __version__

        print(f"{_program()} {__version__}")
    else:
        return
    try:
        terminal.check()
    except OSError as error:
        sys.exit(f"{_program()}: {error}")
    sys.exit()


def help_text(module: str, defaults: Mapping[str, str]) -> str:
    """The program's own flags in the order of their definition, by group, with their defaults."""
    titles: dict[str, list[str]] = {}
    for name in flags.FLAGS:
        if not _is_own(name, module):
            continue
        flag = flags.FLAGS[name]
        after = [title for title, others in _groups if others.get(name) is not flag]
        titles.setdefault(after[-1] if after else "Flags", []).append(name)
    text = sys.modules["__main__"].__doc__ or sys.modules[module].__doc__ or ""
    lines = [text.strip()]
    for title, members in titles.items():
        lines += ["", f"{title}:", *(_flag_help(name, defaults) for name in members)]
    return "\n".join(
        [*lines, "", "Also: --help, -h; --version; --flagfile=FILE reads flags from a file"]
    )


def _flag_help(name: str, defaults: Mapping[str, str]) -> str:
    flag = flags.FLAGS[name]
    switch = f"--[no]{name}" if flag.boolean else f"--{name}"
    default = flag.default
    if isinstance(default, list):
        default = ",".join(default) or None
    default = defaults.get(name, default)
    text = " ".join(flag.help.split()) + f" (default: {default})" * (default is not None)
    return textwrap.fill(text, 100, initial_indent=f"  {switch:<22} ", subsequent_indent=" " * 25)


def _is_own(name: str, module: str) -> bool:
    """Whether a flag is a program's of this project, and none of absl's or of another library."""
    found = flags.FLAGS.find_module_defining_flag(name) or ""
    return found in (sys.argv[0], "__main__", module) or found.startswith("dvae_tf")


class _PathParser(flags.ArgumentParser):
    """A path, in which ~ is the home folder: no shell expands it after '='."""

    syntactic_help = "a path"

    def parse(self, argument: Any) -> Path:
        if not str(argument):
            raise ValueError("a path is not empty")
        try:
            return Path(argument).expanduser()
        except RuntimeError as error:  # ~ of a user that is not known
            raise ValueError(str(error)) from error

    def flag_type(self) -> str:
        return "path"


def define_path(name: str, default: str | None, text: str, **options: Any) -> None:
    """Defines a flag of which the value is a `Path`, or None."""
    flags.DEFINE(
        _PathParser(), name, default, text, serializer=flags.ArgumentSerializer(), **options
    )


def option(default: Any, text: str, **bounds: Any) -> Any:
    """A field of a dataclass that is a flag too: its default, help text, and what absl accepts."""
    return dataclasses.field(default=default, metadata={"help": text, **bounds})


def define(kind: type) -> None:
    """Defines the flags that are `option`s of a dataclass."""
    definers: dict[type, Any] = {
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_enum,
    }
    for field in _options(kind):
        definers[type(field.default)](field.name, field.default, **field.metadata)


def settings(kind: type[Settings]) -> Settings:
    """A dataclass with the flags' values in the fields that are `option`s."""
    return kind(**{field.name: flags.FLAGS[field.name].value for field in _options(kind)})


def _options(kind: Any) -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(kind) if field.metadata]


def _known_errors() -> tuple[type[Exception], ...]:
    """Errors that one line explains, of the modules loaded: no other can have raised one.

    To import the others for their names alone would bring TensorFlow into programs without it.
    """
    loaded = ((sys.modules.get(module), name) for module, name in _ERRORS)
    return (OSError, *(getattr(module, name) for module, name in loaded if module))


def _program() -> str:
    """The program's name: its file's, or its package's under `python -m`."""
    folder, name = os.path.split(sys.argv[0])
    return os.path.basename(folder) if name == "__main__.py" else name
