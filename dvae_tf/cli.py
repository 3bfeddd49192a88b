"""What the command lines share: a quiet start, and errors in one line.

Imports TensorFlow only after the environment that it reads at its start is set.
"""

from __future__ import annotations

import ctypes
import dataclasses
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from absl import app, flags

Settings = TypeVar("Settings")

flags.disclaim_key_flags()  # --help lists the flags defined here with those of the main module

_M_MMAP_MAX, _M_TRIM_THRESHOLD, _M_ARENA_MAX = -4, -1, -8
_ERRORS = (
    ("dvae_tf.config", "ConfigError"),
    ("dvae_tf.data", "DataError"),
    ("dvae_tf.export", "ExportError"),
    ("dvae_tf.training.loop", "TrainingError"),
    ("dvae_tf.training.workers", "WorkerLostError"),
    ("dvae_tf.training.checkpoints", "CheckpointError"),
)


def prepare() -> None:
    """Sets what has to stand before TensorFlow is imported; what the user has set stays."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
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


def run(main: Callable[[list[str]], None], *modules: str, tensorflow: bool = True) -> None:
    """`absl.app.run` of `main`, prepared; a known error is one line on standard error and status 1.

    Args:
      main: what takes the arguments that are no flags.
      modules: imported before it, so that a signal during imports ends the program cleanly.
      tensorflow: whether `main` uses TensorFlow, which is then loaded quietly.
    """
    from dvae_tf import interrupts
    from dvae_tf.config import ConfigError
    from sampler.io import quiet

    def guarded(argv: list[str]) -> None:
        try:
            if len(argv) > 1:
                raise ConfigError(f"found the argument {argv[1]!r}; accepted are flags (--help)")
            with interrupts.ending_at_once():
                if tensorflow:
                    quiet.load_tensorflow()
                for module in modules:
                    importlib.import_module(module)
            main(argv)
        except KeyboardInterrupt:
            sys.exit(interrupts.INTERRUPTED)
        except _known_errors() as error:  # evaluated only when there is one
            sys.exit(f"{_program()}: {error}")

    prepare()
    interrupts.treat_sigterm_as_ctrl_c()
    app.run(guarded)


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
