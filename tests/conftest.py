"""What all tests share."""

from __future__ import annotations

import os
import signal

# Shells start background jobs with Ctrl-C ignored, and the processes that tests start would inherit
# that: those that wait for theirs would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# processes that tests start load of `dvae_tf` what they need; what a user's does is tried apart
os.environ["DVAE_TF_LAZY"] = "1"

LONGEST = ("test_killed.py", "test_distribution.py", "test_documentation.py", "test_conformance.py")
"""Files of a minute or more in one process."""


def pytest_collection_modifyitems(items):
    """The longest files first, so that the others fill the time of a second process."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
