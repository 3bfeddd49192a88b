"""Checks of what a caller brings: each raises a ValueError that names the argument and the shapes.

Values are checked where tensors are eager; inside a `tf.function` only the static shapes are known.
"""

from __future__ import annotations

import itertools

import numpy as np
import tensorflow as tf

from sampler.machines.rbm import AnyRBM


def check_rbm(rbm: AnyRBM, name: str = "rbm") -> None:
    """Raises ValueError unless the parameters are finite and their shapes fit one another.

    Args:
      rbm: fields of the shapes that `rbm.AXES` names: of an `RBM` b1 [..., n1], b2 [..., n2],
        w [..., n1, n2].
      name: of the argument, for the message.
    """
    values = dict(zip(rbm.AXES, rbm, strict=True))
    shapes = {field: tf.TensorShape(value.shape) for field, value in values.items()}
    if not _fit(shapes, rbm.AXES):
        found = ", ".join(f"{field} {tuple(shape)}" for field, shape in shapes.items())
        named = (f"{field} [..., {', '.join(axes)}]" for field, axes in rbm.AXES.items())
        raise ValueError(f"{name}: found {found}; accepted: {', '.join(named)}, no axis empty")
    for field, value in values.items():
        if not tf.is_tensor(value) or hasattr(value, "numpy"):
            bad = np.size(value) - np.isfinite(np.asarray(value)).sum()
            if bad:
                raise ValueError(
                    f"{name}: {field} {tuple(shapes[field])} has {bad} values that are "
                    f"NaN or infinite; accepted: finite numbers"
                )


def _fit(shapes: dict[str, tf.TensorShape], axes: dict[str, tuple[str, ...]]) -> bool:
    """Whether all shapes agree on the batch and on each axis, and none of these is empty."""
    by_axis: dict[str, list[tf.TensorShape]] = {}
    for field, names in axes.items():
        shape = shapes[field]
        if shape.rank is None or shape.rank < len(names):
            return False
        batch = shape.rank - len(names)
        by_axis.setdefault("...", []).append(shape[:batch])
        for axis, size in zip(names, shape[batch:], strict=True):
            if size == 0:
                return False
            by_axis.setdefault(axis, []).append(tf.TensorShape([size]))
    pairs = (pair for found in by_axis.values() for pair in itertools.combinations(found, 2))
    return all(first.is_compatible_with(second) for first, second in pairs)


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
