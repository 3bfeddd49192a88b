"""Progress bars and lines between them, on standard error."""

import sys
import time

from tqdm import tqdm

SECONDS_A_LINE = 60.0
"""Between two lines about progress where there is no terminal."""

SECONDS_TO_TELL = 10.0
"""Of work after which the time that is left may be told."""

_COMPILING = "{desc}: compiling…"
_WITHOUT_ETA = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}, {rate_fmt}{postfix}]"
_WITH_ETA = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


def say(text: str) -> None:
    """A line that does not tear a progress bar."""
    tqdm.write(text, file=sys.stderr)


class Progress:
    """A bar on a terminal; elsewhere, as in a log file, a line a minute.

    The time that is left is told once it can be: compilation, which comes with the first unit of
    work, and pauses do not count.

    Args:
      total: units of work, of which `initial` are done.
      description, unit: what is done, and what is counted.
      hidden: shows nothing.
      announce: whether to say without a terminal, too, that compilation has begun.
    """

    def __init__(
        self,
        total: int,
        description: str,
        unit: str,
        initial: int = 0,
        hidden: bool = False,
        announce: bool = False,
    ):
        self._total, self._description, self._unit = total, description, unit
        self._done, self._worked = 0, 0.0
        self._since: float | None = None
        self._initial, self._note, self._last_line = initial, "", time.monotonic()
        on_terminal = sys.stderr.isatty()
        self._in_lines = not (hidden or on_terminal)
        self._bar = tqdm(
            total=total,
            initial=initial,
            desc=description,
            unit=unit,
            disable=hidden or not on_terminal,
            smoothing=0.05,
            bar_format=_COMPILING,
        )
        if self._in_lines and announce:
            say(f"{description}: compiling…")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, count: int = 1) -> None:
        """So many more are done."""
        now = time.monotonic()
        if self._since is None:  # the first after a pause has no time of its own
            self._since = now
            self._bar.unpause()
        self._worked += now - self._since
        self._since = now
        self._done += count
        told = self._worked > SECONDS_TO_TELL
        self._bar.bar_format = _WITH_ETA if told else _WITHOUT_ETA
        self._bar.update(count)
        if self._in_lines and now - self._last_line > SECONDS_A_LINE:
            self._last_line = now
            say(self._line(told))

    def pause(self) -> None:
        """What comes before the next unit of work does not count."""
        self._since = None

    def note(self, text: str) -> None:
        """Words to show beside the numbers from now on."""
        self._note = text
        self._bar.set_postfix_str(text, refresh=False)

    def _line(self, told: bool) -> str:
        done = self._initial + self._done
        words = [f"{self._description}: {self._unit} {done} of {self._total}"]
        if told:
            left = (self._total - done) * self._worked / self._done
            words.append(f"{tqdm.format_interval(left)} left")
        return ", ".join(words + [self._note] * bool(self._note))
