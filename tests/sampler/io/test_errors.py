"""What exceptions are turned into: one printable line."""

from __future__ import annotations

import pytest
import tensorflow as tf

from sampler.io.errors import printable, reason


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("a\n  b\t\tc\r\nd"), "a b c d"),
        (ValueError("\x1b[2J\x00\x9b\u202e\ud800"), "\\x1b[2J\\x00\\x9b\\u202e\\ud800"),
        (ValueError("naïve 数"), "naïve 数"),
        (ValueError(), "ValueError"),
        (KeyError("x" * 999), "'" + "x" * 199),
        (OSError("no number"), "no number"),
        (
            tf.errors.ResourceExhaustedError(
                None,
                None,
                "{{function_node __wrapped__SaveV2_device_/CPU:0}} x; No space [Op:SaveV2] \n",
            ),
            "x; No space",
        ),
        (FileNotFoundError(2, "No such file or directory", "a/b"), "No such file or directory"),
    ],
)
def test_reasons(error, expected):
    assert reason(error) == expected


def test_printable():
    assert printable("a\nb") == "a\\nb" and printable("a b") == "a b"
