"""Each case is a process of its own, as its standard output is what it is about."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from sampler.io import terminal

terminal.protect()
for text in ("19.24 ± 0.04…", "\\u2603", 100_000 * "x"):
    print(text)
    print(text[:9], file=sys.stderr)
sys.exit(terminal.lost() and terminal.lost().strerror)
"""


def run(shell: str, **variables: str) -> subprocess.CompletedProcess:
    """A shell's command around "$0" -c "$1", the program."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell}", sys.executable, PROGRAM],
        env={**os.environ, **variables},
        capture_output=True,
        check=False,
    )


def test_all_is_printed():
    result = run('"$0" -c "$1"', PYTHONIOENCODING="utf-8")
    assert result.returncode == 0
    assert result.stdout.decode() == "19.24 ± 0.04…\n☃\n" + 100_000 * "x" + "\n"
    assert result.stderr.decode().splitlines() == ["19.24 ± 0", "☃", 9 * "x"]


def test_what_the_encoding_lacks_is_spelled_out():
    result = run('"$0" -c "$1"', PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert result.stdout.startswith(b"19.24 +/- 0.04...\n\\u2603\nxxx")
    assert result.stderr.startswith(b"19.24 +/- 0\n")


@pytest.mark.parametrize(
    "shell",
    [
        '"$0" -c "$1" | true',
        '"$0" -c "$1" 2>&1 | head -c 5',
        '"$0" -c "$1" >&- 2>&-',
        '"$0" -c "$1" <&- >&- 2>&-',
        '"$0" -c "$1" 2>/dev/full',
    ],
)
def test_a_reader_that_has_left_costs_nothing(shell):
    result = run(shell)
    assert result.returncode == 0 and b"Error" not in result.stderr + result.stdout


def test_output_lost_to_a_full_disk_is_told():
    result = run('"$0" -c "$1" >/dev/full')
    assert result.returncode == 1
    assert result.stderr.decode().splitlines()[-1] == "No space left on device"


def test_closed_descriptors_are_not_taken_by_files(tmp_path):
    """Or TensorFlow's messages would end up in the next file that is opened."""
    opened = 'open(sys.argv[1], "w").fileno()'
    code = f"import sys; from sampler.io import terminal; terminal.protect(); print({opened})"
    shell = f"\"$0\" -c '{code}' {tmp_path}/file 2>&-"
    assert int(run(shell).stdout) > 2
