from __future__ import annotations

import dataclasses
import errno
from pathlib import Path

import disks
import numpy as np
import pytest

from dvae_tf import experiment, pictures
from dvae_tf.config import Config, ConfigError
from dvae_tf.data import DataError
from dvae_tf.files import write_atomically


def test_mistake_leaves_nothing_in_the_way(small_config, digits, tmp_path):
    # or the same command, set right, would be told that the folder holds another run
    with pytest.raises(ConfigError):
        experiment.run(dataclasses.replace(small_config, batch_size=2000), digits, tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_folder_of_another_run_is_refused(small_config, digits, tmp_path):
    theirs = dataclasses.replace(small_config, seed=5, hidden_units=(7,))
    text = theirs.to_json()
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(
        ConfigError, match=r"--log_dir=.*hidden_units: \(20,\), not \(7,\); seed: 0"
    ):
        experiment.run(small_config, digits, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert (tmp_path / "config.json").read_text() == text


def test_folder_that_cannot_be_written_to(small_config, digits, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DataError, match="^--log_dir=.*: can't be written to .*accepted: a folder"
    ) as e:
        experiment.run(small_config, digits, tmp_path / "file" / "run")
    assert "\n" not in str(e.value)


def test_read_only_folder_is_told_before_training(small_config, digits, tmp_path):
    with disks.mounted(tmp_path, "ro"):
        for folder in (tmp_path, tmp_path / "new" / "run"):
            with pytest.raises(DataError, match="can't be written to .Read-only file system"):
                experiment.run(small_config, digits, folder)


def test_damaged_configuration_is_named(digits, tmp_path):
    (tmp_path / "config.json").write_text('{"dataset": ')
    with pytest.raises(ConfigError, match="config.json: "):
        experiment.run(Config(), digits, tmp_path)


def test_write_is_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file.txt"
    write_atomically(path, "first")
    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "second")
    assert path.read_text() == "first"


def full(*paths: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "write", [write_atomically, lambda path, _: pictures.save({"white": np.ones((8, 8))}, path)]
)
def test_full_disk_names_the_file_and_leaves_the_old_one(write, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("first")
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left on device: .*file") as caught:
        write(path, "second")
    assert caught.value.errno == errno.ENOSPC
    assert [p.read_text() for p in tmp_path.iterdir()] == ["first"]


def interrupt(*paths: object) -> None:
    raise KeyboardInterrupt(*paths)


def test_report_has_the_numbers():
    names = ["nll", "nll_stderr", "neg_elbo"]
    names = [f"test_{name}" for name in names] + [
        f"log_z_prior{end}" for end in ("", "_lower", "_upper")
    ]
    numbers = {name: i + 0.25 for i, name in enumerate(names)}
    text = experiment.report({**numbers, "num_images": 7, "num_samples": 8}, Path("runs/x"))
    assert all(f"{value:.2f}" in text for value in numbers.values())
    assert "(7 images, 8 samples each)" in text and "--logdir=runs/x" in text
