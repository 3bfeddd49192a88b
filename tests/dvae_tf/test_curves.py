from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import curves
from dvae_tf.config import ConfigError


def write(log_dir, values: dict[int, float]) -> None:
    writer = tf.summary.create_file_writer(str(log_dir))
    with writer.as_default():
        for step, value in values.items():
            tf.summary.scalar("eval/valid_nll", value, step=step)
            tf.summary.histogram("prior/w", [value], step=step)
            tf.summary.image("samples", np.zeros([1, 4, 4, 1], np.float32), step=step)
    writer.close()


def test_scalars_of_a_resumed_run_are_one_curve(tmp_path):
    # stopped after step 3, gone on from a checkpoint at 2
    write(tmp_path, {1: 90.0, 2: 80.0, 3: 70.5})
    write(tmp_path, {3: 70.5, 4: 60.25})
    assert curves.read(tmp_path) == {"eval/valid_nll": ([1, 2, 3, 4], [90.0, 80.0, 70.5, 60.25])}


def test_picture_is_written(tmp_path):
    write(tmp_path, {1: 90.0, 2: 80.0})
    picture = tf.io.decode_png(tf.io.read_file(str(curves.save(tmp_path)))).numpy()
    assert picture.shape[:2] == (540, 750)
    assert len(np.unique(picture)) > 10


def test_folder_without_events_is_named(tmp_path):
    with pytest.raises(ConfigError, match=f"--log_dir={tmp_path}: found no TensorBoard events"):
        curves.save(tmp_path)


def test_a_run_that_an_older_version_began_is_one_curve(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        tf.summary.scalar("valid/nll", 90.0, step=1)
        tf.summary.text("configuration", "{}", step=0)
    writer.close()
    write(tmp_path, {2: 80.0})
    assert curves.read(tmp_path) == {"eval/valid_nll": ([1, 2], [90.0, 80.0])}
