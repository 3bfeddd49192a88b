"""Grids of images as PNG."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dvae_tf.files import replaced

_GAP = 1
_SHADE = 0.35


def grid(images: np.ndarray, image_shape: tuple[int, ...], columns: int) -> np.ndarray:
    """Images [N, D] in [0, 1], row by row, as one picture, grey lines between.

    The picture is [height, width], or in colour [height, width, 3], as `image_shape` says.
    """
    height, width, *channels = image_shape
    rows = -(-len(images) // columns)
    cells = np.full((rows * columns, height + _GAP, width + _GAP, *channels), _SHADE, np.float32)
    cells[: len(images), :height, :width] = np.reshape(images, (-1, *image_shape))
    table = cells.reshape(rows, columns, height + _GAP, width + _GAP, *channels).swapaxes(1, 2)
    whole = table.reshape(rows * (height + _GAP), columns * (width + _GAP), *channels)
    return whole[:-_GAP, :-_GAP]


def reconstruction_grid(
    images: np.ndarray, reconstructions: np.ndarray, image_shape: tuple[int, ...], columns: int
) -> np.ndarray:
    """A row of images above the row of their reconstructions, and so on."""
    rows = len(images) // columns
    pairs = [a[: rows * columns].reshape(rows, columns, -1) for a in (images, reconstructions)]
    return grid(np.stack(pairs, 1).reshape(2 * rows * columns, -1), image_shape, columns)


def save(panels: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes pictures [height, width] in [0, 1] side by side, each below its title.

    Whole or not at all.
    """
    figure = Figure(figsize=(4.6 * len(panels), 5.0), layout="constrained", dpi=120)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (title, picture) in zip(axes, panels.items(), strict=True):
        panel.imshow(picture, cmap="gray", vmin=0, vmax=1)
        panel.set_title(title, fontsize=11)
        panel.axis("off")
    with replaced(path) as temporary:
        figure.savefig(temporary, format="png")


def with_channels(picture: np.ndarray) -> np.ndarray:
    """A picture as [height, width, 1 or 3]."""
    return picture if picture.ndim == 3 else picture[..., None]
