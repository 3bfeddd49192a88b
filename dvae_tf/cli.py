"""What the two command lines share: a quiet start, and errors in one line.

Imports TensorFlow only after the environment that it reads at its start is set.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1


def prepare() -> None:
    """Sets what has to stand before TensorFlow is imported; what the user has set stays."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Lets glibc keep freed blocks rather than hand them back (elsewhere: does nothing).

    A step allocates tens of megabytes anew; mapped from the kernel each time, they cost about 3 ms
    of page faults. The process never needs more than its peak.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
    except (OSError, AttributeError, TypeError):
        return


def run(main: Callable[[list[str]], None]) -> None:
    """`absl.app.run` of `main`; a known error is one line on standard error and exit status 1."""
    from absl import app

    from dvae_tf.config import ConfigError
    from dvae_tf.data import DataError
    from dvae_tf.export import ExportError
    from dvae_tf.training.loop import TrainingError

    def guarded(argv: list[str]) -> None:
        try:
            if len(argv) > 1:
                raise ConfigError(f"found the argument {argv[1]!r}; accepted are flags (--help)")
            main(argv)
        except (ConfigError, DataError, ExportError, TrainingError, OSError) as error:
            sys.exit(f"{os.path.basename(sys.argv[0])}: {error}")
        except KeyboardInterrupt:
            sys.exit(130)

    app.run(guarded)
