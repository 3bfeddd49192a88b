"""Progress bars and lines between them, on standard error."""

import sys

from tqdm import tqdm


def say(text: str) -> None:
    """A line that does not tear a progress bar."""
    tqdm.write(text, file=sys.stderr)
