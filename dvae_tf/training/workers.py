"""Processes that train together: finding the others, losing one, and ending as one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator

import tensorflow as tf

from dvae_tf import interrupts
from dvae_tf.config import ConfigError


class WorkerLostError(RuntimeError):
    """Another worker is gone; one clear line."""


@contextlib.contextmanager
def workers_watched(num_workers: int) -> Iterator[None]:
    """Around what waits for other workers: a lost one raises WorkerLostError."""
    try:
        yield
    except tf.errors.OpError as error:
        own = (tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError)
        if num_workers == 1 or isinstance(error, own):
            raise
        raise WorkerLostError(
            f"another worker was lost ({type(error).__name__}); started again on all workers, the "
            "same command goes on from the newest checkpoint that all of them have"
        ) from None


class Ending:
    """The end of several processes before the last step: all after the same one.

    One that left by itself would leave the others waiting for its gradients.

    Attributes:
      wish: a variable, above 0 where this process wants to end; a step adds up all processes'.
      told: whether after the last step any did.
    """

    def __init__(self, num_workers: int):
        self.num_workers = num_workers
        self.wish = tf.Variable(0.0, trainable=False)
        self.told = False
        self._interrupted = False

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """`interrupts.held_back`; with other workers, signals wait for them to be told."""
        try:
            with interrupts.held_back():
                yield
        except KeyboardInterrupt:
            if self.num_workers == 1:
                raise
            self._interrupted = True

    def agreed(self, wanted: bool) -> bool:
        """Whether to end after this step, at which this process wants to or not."""
        if self.num_workers == 1:
            return wanted
        self.wish.assign(float(wanted or self._interrupted))
        return self.told

    def leave(self) -> None:
        """Raises KeyboardInterrupt if a signal to this process was the reason for the end."""
        if self._interrupted:
            raise KeyboardInterrupt


def own_number() -> int:
    """This worker's number by TF_CONFIG; ConfigError as `check_tf_config`."""
    text = os.environ.get("TF_CONFIG")
    check_tf_config(text)
    return int(json.loads(text or "")["task"]["index"])


def check_tf_config(text: str | None) -> None:
    """Raises ConfigError unless TF_CONFIG describes a cluster of workers and this one's place."""
    accepted = (
        '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}} '
        "with --strategy=multi_worker"
    )
    try:
        found = json.loads(text or "")
        workers, task = found["cluster"]["worker"], found["task"]
        fits = task["type"] == "worker" and int(task["index"]) in range(len(workers))
    except (ValueError, KeyError, TypeError, AttributeError):
        fits = False
    if not fits:
        raise ConfigError(f"TF_CONFIG: found {text or 'nothing'}; accepted is {accepted}")
