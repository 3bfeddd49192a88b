"""Ctrl-C and SIGTERM, which preemptible machines send, at moments when nothing is half done."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130
"""The exit status of a process that one of them has ended."""


def treat_sigterm_as_ctrl_c() -> None:
    """SIGTERM raises KeyboardInterrupt in the main thread."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """During the block, one of `SIGNALS` ends the process on the spot, with status `INTERRUPTED`.

    For imports, where nothing is at stake: raised in the middle of one, KeyboardInterrupt would
    come out as whatever the half-loaded module makes of it. Ignored signals stay ignored.
    """
    previous = {s: signal.getsignal(s) for s in SIGNALS}
    taken = {s: handler for s, handler in previous.items() if handler is not signal.SIG_IGN}
    for s in taken:
        signal.signal(s, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        for s, handler in taken.items():
            signal.signal(s, handler)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Raises KeyboardInterrupt at the end of the block if one of `SIGNALS` came during it.

    Within another such block, that one does. Outside the main thread, where signals don't arrive,
    it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    previous = {s: signal.signal(s, lambda number, _: received.append(number)) for s in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    for late in received:
        handler = previous[signal.Signals(late)]
        if not callable(handler):
            raise KeyboardInterrupt
        handler(late, None)
