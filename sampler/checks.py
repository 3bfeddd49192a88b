"""Checks of what a caller brings: each raises a ValueError that names the argument and the shapes.

Values are checked where tensors are eager; inside a `tf.function` only the static shapes are known.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sampler.machines.machine import AnyMachine


def check_machine(machine: AnyMachine, name: str = "machine") -> None:
    """Raises ValueError unless the parameters are finite, fit one another and can be normalised.

    Args:
      machine: an `RBM` of shapes as its `AXES` name them (b1 [..., n1], b2 [..., n2], w [..., n1,
        n2]), or another machine, whose constructor has compared most shapes already.
      name: of the argument, for the message.
    """
    if machine.AXES:
        values = dict(zip(machine.AXES, machine, strict=True))  # type: ignore[call-overload]
        _check_axes(values, machine.AXES, name)
    else:
        count = len(machine.families)
        names = [f"fields[{k}]" for k in range(count)]
        flat = tf.nest.flatten(machine)
        names += [f"couplings' tensor {i}" for i in range(len(flat) - count)]
        values = dict(zip(names, flat, strict=True))
    for field, value in values.items():
        if not tf.is_tensor(value) or hasattr(value, "numpy"):
            bad = np.size(value) - np.isfinite(np.asarray(value)).sum()
            if bad:
                raise ValueError(
                    f"{name}: {field} {tuple(np.shape(value))} has {bad} values that are "
                    f"NaN or infinite; accepted: finite numbers"
                )
    _check_precision(machine, name)


def _check_axes(values: dict[str, Any], axes: dict[str, tuple[str, ...]], name: str) -> None:
    shapes = {field: tf.TensorShape(value.shape) for field, value in values.items()}
    if not _fit(shapes, axes):
        found = ", ".join(f"{field} {tuple(shape)}" for field, shape in shapes.items())
        named = (f"{field} [..., {', '.join(axes)}]" for field, axes in axes.items())
        raise ValueError(f"{name}: found {found}; accepted: {', '.join(named)}, no axis empty")


def _check_precision(machine: AnyMachine, name: str) -> None:
    """Raises ValueError unless the Gaussian blocks' joint precision is positive definite."""
    blocks = [k for k, family in enumerate(machine.families) if not family.discrete]
    if len(blocks) < 2 or not tf.executing_eagerly():
        return
    smallest = np.linalg.eigvalsh(machine.cast(tf.float64).precision(blocks)).min()
    if smallest <= 0:
        raise ValueError(
            f"{name}: found couplings between the Gaussian blocks {blocks} that leave their joint "
            f"precision an eigenvalue of {smallest:.3g}: Z is infinite; accepted: one that is "
            "positive definite"
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


def check_means(means: Sequence[Any], machine: AnyMachine) -> tuple[tf.Tensor, ...]:
    """`means` as float32; raises ValueError unless they fit the machine's blocks and families."""
    if len(means) != len(machine.families):
        raise ValueError(
            f"means: found {len(means)}; accepted: {len(machine.families)}, one a block"
        )
    checked = tuple(tf.cast(mean, tf.float32) for mean in means)
    for k, (mean, field, family) in enumerate(
        zip(checked, machine.fields, machine.families, strict=True)
    ):
        if not mean.shape.is_compatible_with(field.shape):
            raise ValueError(
                f"means[{k}]: found {tuple(mean.shape)}; accepted: {tuple(field.shape)}"
            )
        if hasattr(mean, "numpy") and not family.valid(mean.numpy()):
            low, high = np.min(mean), np.max(mean)
            raise ValueError(
                f"means[{k}] {tuple(mean.shape)}: found {low:.4g} to {high:.4g}; accepted: means "
                f"of {family}, none NaN"
            )
    return checked
