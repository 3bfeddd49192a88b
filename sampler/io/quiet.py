"""TensorFlow loaded without what it writes to the terminal about GPUs that are not there."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


def load_tensorflow() -> None:
    """Imports TensorFlow and lets it look for devices, its own messages held back.

    They are shown if that fails, or if TF_CPP_MIN_LOG_LEVEL asks for them.
    """
    with _held_back_standard_error():
        import tensorflow as tf

        if not _asked_for():
            tf.get_logger().setLevel("ERROR")  # it warns of what an error has told already
        if "TF_CONFIG" not in os.environ:  # workers find one another before they look for devices
            tf.config.list_logical_devices()  # looks for GPUs, and tells of those that it lacks


@contextlib.contextmanager
def _held_back_standard_error() -> Iterator[None]:
    """Keeps back what C++ writes to standard error, and shows it if the body fails.

    TensorFlow says that it found no GPU before it reads any setting that could quieten it. Where
    TF_CPP_MIN_LOG_LEVEL asks for its messages, nothing is held back.
    """
    if _asked_for():
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _asked_for() -> bool:
    return os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("0", "1")
