"""The README's examples run, in their order: its Python, and its command lines."""

import os
import re
import shlex
from pathlib import Path

import pytest

from sampler.command_line import main as commands

README = Path(__file__).parents[2] / "sampler" / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULE = "python -m sampler "


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The names that the Python blocks define, and the files that all blocks leave."""
    folder, names = tmp_path_factory.mktemp("readme"), {}
    before = Path.cwd()
    os.chdir(folder)
    try:
        for language, text in BLOCK.findall(README.read_text()):
            if language == "python":
                exec(compile(text, str(README), "exec"), names)
            for line in text.splitlines() if language == "sh" else []:
                assert line.startswith(MODULE)
                assert commands.main(shlex.split(line.removeprefix(MODULE))) == 0, line
    finally:
        os.chdir(before)
    return names, {path.name for path in folder.rglob("*")}


def test_every_block_is_run_or_marked_as_output():
    assert {language for language, _ in BLOCK.findall(README.read_text())} <= {
        "python",
        "sh",
        "text",
    }


def test_the_bracket_is_narrow_and_nothing_warns(executed):
    names, _ = executed
    for name in ("found", "annealed", "tempered", "runs"):
        assert names[name].warnings() == [], name


def test_the_command_lines_leave_what_they_say(executed):
    _, files = executed
    assert {"samples.npz", "many_weights.png", "many_ess.png", "glass_samples.npz"} <= files
