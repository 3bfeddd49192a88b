"""`python -m sampler log_z|sample ...`; see `python -m sampler --help`."""

import os
import sys

# TensorFlow reads it when it is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from sampler.command_line import main as commands  # noqa: E402
from sampler.io import terminal  # noqa: E402


def main() -> None:
    """The installed command, `dvae-sampler`."""
    terminal.protect()
    status = commands.main(sys.argv[1:])
    error = terminal.lost()
    sys.exit(f"sampler: standard output: {error.strerror}" if error else status)


if __name__ == "__main__":
    main()
