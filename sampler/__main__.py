"""`python -m sampler log_z|sample ...`; see `python -m sampler --help`."""

import os
import sys

# TensorFlow reads it when it is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from sampler.command_line import main as commands  # noqa: E402


def main() -> None:
    """The installed command, `dvae-sampler`."""
    sys.exit(commands.main(sys.argv[1:]))


if __name__ == "__main__":
    main()
