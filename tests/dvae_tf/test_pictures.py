from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import pictures


@pytest.mark.parametrize("count", [5, 6])
def test_grid_has_each_image_in_its_place(count):
    images = np.random.default_rng(0).random((count, 2 * 3)).astype(np.float32)
    table = pictures.grid(images, (2, 3), columns=3)
    assert table.shape == (2 * 2 + 1, 3 * 3 + 2)
    for i in range(count):
        row, column = 3 * (i // 3), 4 * (i % 3)
        cell = table[row : row + 2, column : column + 3]
        np.testing.assert_array_equal(cell, images[i].reshape(2, 3))
    # lines between, and an empty place where images run out
    assert len(np.unique(table[2])) == 1 and len(np.unique(table[3:, 8:])) == (
        1 if count == 5 else 6
    )


def test_reconstructions_stand_below_their_images():
    images = np.arange(6, dtype=np.float32)[:, None] / 10
    table = pictures.reconstruction_grid(images, images + 0.03, (1, 1), columns=2)
    values = np.round(table[::2, ::2], 2)
    expected = [[0, 0.1], [0.03, 0.13], [0.2, 0.3], [0.23, 0.33], [0.4, 0.5], [0.43, 0.53]]
    np.testing.assert_allclose(values, expected, atol=1e-6)


def test_pictures_stand_side_by_side(tmp_path):
    black, white = np.zeros((40, 60), np.float32), np.ones((40, 60), np.float32)
    pictures.save({"black": black, "white": white}, tmp_path / "picture.png")
    pixels = tf.io.decode_png((tmp_path / "picture.png").read_bytes(), 1).numpy()[..., 0]
    assert pixels.shape == (600, 1104)
    middle = pixels[330]
    np.testing.assert_array_equal(middle[[276, 828]], [0, 255])
