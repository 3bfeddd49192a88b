"""The commands as a user starts them, and what their flags name."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from dvae_tf import data, export
from dvae_tf.analysis import options
from dvae_tf.evaluation import evaluate


class FakeModel:
    """Stands in for an export: its posteriors' biases are the images that it was given."""

    def __init__(self, directory):
        self.directory = directory

    def check_pixels(self, num_pixels, dataset):
        assert (num_pixels, dataset) == (64, "digits")

    def encode_parameters(self, x):
        return {"b1": x, "b2": x, "w": x}

    def prior_machine(self):
        return "prior"


def values(num_images, export_dir):
    return SimpleNamespace(
        export_dir=export_dir, dataset="digits", data_dir="", split="valid", num_images=num_images
    )


def test_posteriors_are_of_the_subset_of_the_split(monkeypatch, tmp_path):
    (tmp_path / "saved_model.pb").touch()
    monkeypatch.setattr(export, "ExportedModel", FakeModel)
    valid = data.load("digits", "").valid
    found, prior = options.load(values(7, tmp_path))
    np.testing.assert_array_equal(found.b1, evaluate.subset(valid, 7))
    assert prior == "prior" and found.b1.dtype == "float32"
    assert len(options.load(values(0, tmp_path))[0].b1) == len(valid)


def test_images_of_another_kind_are_told_of(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(export, "ExportedModel", FakeModel)
    (tmp_path / "saved_model.pb").touch()
    fingerprints = data.load("digits", "").fingerprints
    (tmp_path / "images.json").write_text(json.dumps({**fingerprints, "valid_images": "x"}))
    options.load_images(values(7, tmp_path))
    assert "The valid images are not those of the run that made" in capsys.readouterr().err
    (tmp_path / "images.json").write_text(json.dumps(fingerprints))
    options.load_images(values(7, tmp_path))
    assert capsys.readouterr().err == ""


@pytest.fixture(scope="module")
def mistaken(project, tmp_path_factory):
    """What each command says of an export that is not there; side by side."""
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-m", f"dvae_tf.analysis.{name}", "--export_dir=nowhere"],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("modes", "partition_function")
    }
    return {name: (*p.communicate(), p.returncode) for name, p in processes.items()}


@pytest.mark.parametrize("name", ["modes", "partition_function"])
def test_a_missing_export_is_one_line(name, mistaken):
    stdout, stderr, status = mistaken[name]
    assert status == 1 and stdout == ""
    assert stderr.splitlines()[-1].startswith(f"{name}.py: --export_dir=nowhere: found no file")
    assert "Traceback" not in stderr
