"""Grids of images as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from dvae_tf.files import replaced

_WIDTH = 560
_GAP = 1
_SHADE = 0.35


def grid(images: np.ndarray, image_shape: tuple[int, int], columns: int) -> np.ndarray:
    """Images [N, D] in [0, 1], row by row, as one picture [height, width], grey lines between."""
    height, width = image_shape
    rows = -(-len(images) // columns)
    cells = np.full((rows * columns, height + _GAP, width + _GAP), _SHADE, np.float32)
    cells[: len(images), :height, :width] = np.reshape(images, (-1, height, width))
    table = cells.reshape(rows, columns, height + _GAP, width + _GAP).swapaxes(1, 2)
    return table.reshape(rows * (height + _GAP), columns * (width + _GAP))[:-_GAP, :-_GAP]


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two pictures of one height with a white bar between."""
    bar = np.ones((left.shape[0], max(2, left.shape[1] // 40)), np.float32)
    return np.concatenate([left, bar, right], 1)


def reconstruction_grid(
    images: np.ndarray, reconstructions: np.ndarray, image_shape: tuple[int, int], columns: int
) -> np.ndarray:
    """A row of images above the row of their reconstructions, and so on."""
    rows = len(images) // columns
    pairs = [a[: rows * columns].reshape(rows, columns, -1) for a in (images, reconstructions)]
    return grid(np.stack(pairs, 1).reshape(2 * rows * columns, -1), image_shape, columns)


def save_png(picture: np.ndarray, path: Path) -> None:
    """Writes a picture [height, width] in [0, 1], small ones enlarged by a whole factor.

    Whole or not at all.
    """
    factor = max(1, _WIDTH // picture.shape[1])
    levels = np.kron(np.round(255 * picture), np.ones((factor, factor))).astype(np.uint8)
    with replaced(path) as temporary:
        temporary.write_bytes(tf.io.encode_png(levels[..., None]).numpy())
