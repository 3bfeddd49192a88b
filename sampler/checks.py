"""Checks of what a caller brings: each raises a ValueError that names the argument and the shapes.

Values are checked where tensors are eager; inside a `tf.function` only the static shapes are known.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

_FIELDS = ("b1", "b2", "w")


def check_rbm(rbm: tuple, name: str = "rbm") -> None:
    """Raises ValueError unless the parameters are finite and their shapes fit one another.

    Args:
      rbm: an `RBM`: fields b1 [..., n1], b2 [..., n2], w [..., n1, n2].
      name: of the argument, for the message.
    """
    shapes = {field: tf.TensorShape(value.shape) for field, value in zip(_FIELDS, rbm, strict=True)}
    b1, b2, w = shapes.values()
    found = ", ".join(f"{field} {tuple(shape)}" for field, shape in shapes.items())
    accepted = "accepted: b1 [..., n1], b2 [..., n2], w [..., n1, n2], n1 and n2 at least 1"
    fits = b1.rank and b2.rank and w[:-1].is_compatible_with(b1)
    if not fits or not (w[:-2] + w[-1:]).is_compatible_with(b2) or 0 in (*b1[-1:], *b2[-1:]):
        raise ValueError(f"{name}: found {found}; {accepted}")
    for field, value in zip(_FIELDS, rbm, strict=True):
        if not tf.is_tensor(value) or hasattr(value, "numpy"):
            bad = np.size(value) - np.isfinite(np.asarray(value)).sum()
            if bad:
                raise ValueError(
                    f"{name}: {field} {tuple(shapes[field])} has {bad} values that are "
                    f"NaN or infinite; accepted: finite numbers"
                )


def check_count(value: int, name: str, least: int = 1) -> None:
    """Raises ValueError unless `value` is an integer of at least `least` (a tensor passes)."""
    if tf.is_tensor(value):
        return
    if isinstance(value, bool) or int(value) != value or value < least:
        raise ValueError(f"{name}: found {value!r}; accepted: an integer of at least {least}")


def check_betas(betas: np.ndarray, name: str = "betas") -> None:
    """Raises ValueError unless inverse temperatures rise from 0 to 1, [T] with T at least 2."""
    values = np.asarray(betas, np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"{name}: found shape {values.shape}; accepted: [T], T at least 2")
    rises = np.all(np.diff(values) >= 0)
    if not (np.isfinite(values).all() and rises and values[0] == 0 and values[-1] == 1):
        raise ValueError(
            f"{name} {values.shape}: found {values.min():.4g} to {values.max():.4g}, "
            f"{'rising' if rises else 'unsorted'}; accepted: rising from exactly 0 to exactly 1"
        )


def check_means(means: tf.Tensor, shape: tf.TensorShape, name: str) -> tf.Tensor:
    """`means` as float32; raises ValueError unless they have `shape` and lie in [0, 1]."""
    means = tf.cast(means, tf.float32)
    if not means.shape.is_compatible_with(shape):
        raise ValueError(f"{name}: found {tuple(means.shape)}; accepted: {tuple(shape)}")
    if hasattr(means, "numpy") and not np.all((means.numpy() >= 0) & (means.numpy() <= 1)):
        raise ValueError(f"{name} {tuple(shape)}: accepted: numbers from 0 to 1, none NaN")
    return means
