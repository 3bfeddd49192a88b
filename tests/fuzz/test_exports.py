"""Damaged exports: ExportedModel, or one line, whatever is wrong in the folder's files."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import exports
from fuzz.mutations import check_examples
from fuzz.sandbox import Sandbox

from dvae_tf import data
from dvae_tf.config import Config
from dvae_tf.export import export
from dvae_tf.factory import new_model

FLOOR = 96 << 20
"""Bytes that TensorFlow may take to build an export's graphs; 50.0 and 53.1 MiB were the most in
two runs of the test."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    config = Config(num_latents=4, hidden_units=(4,), num_temperatures=2, prior_temperatures=2)
    folder = tmp_path_factory.mktemp("whole") / "saved_model"
    train_mean = data.load("digits", "unused").train_mean
    export(new_model(config, train_mean), folder, 0.0, config.num_temperatures)
    return folder


@pytest.mark.soak
def test_many_damaged_exports(whole, tmp_path):
    folder = tmp_path / "saved_model"
    sandbox = Sandbox("export", floor=FLOOR)
    exports.restore(whole, folder)
    # The first loading of all allocates what every later one uses again.
    assert sandbox.ask("export", folder)["outcome"] == "value"

    def read(fault) -> None:
        name, contents = fault
        (folder / name).write_bytes(contents)
        try:
            sandbox.check("export", folder, honest=sum(f.stat().st_size for f in whole.rglob("*")))
        finally:
            (folder / name).write_bytes((whole / name).read_bytes())

    try:
        check_examples(exports.faults(whole), read, 400, tmp_path)
    finally:
        print(sandbox.report("SavedModel"))
        sandbox.close()
    assert sandbox.outcomes["value"] > 8
