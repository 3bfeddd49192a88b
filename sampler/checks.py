"""Checks of what a caller brings: each raises a ValueError that names the argument and the shapes.

Values are checked where tensors are eager; inside a `tf.function` only the static shapes are known.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sampler.io.errors import expect
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
            where = f"{field} {tuple(np.shape(value))}"
            found = f"{where} with {bad} values that are NaN or infinite"
            expect(not bad, name, found, "finite numbers")
    _check_precision(machine, name)


def _check_axes(values: dict[str, Any], axes: dict[str, tuple[str, ...]], name: str) -> None:
    shapes = {field: tf.TensorShape(value.shape) for field, value in values.items()}
    if not _fit(shapes, axes):
        found = ", ".join(f"{field} {tuple(shape)}" for field, shape in shapes.items())
        named = ", ".join(f"{field} [..., {', '.join(axes)}]" for field, axes in axes.items())
        expect(False, name, found, f"{named}, no axis empty")


def _check_precision(machine: AnyMachine, name: str) -> None:
    """Raises ValueError unless the Gaussian blocks' joint precision is positive definite."""
    blocks = [k for k, family in enumerate(machine.families) if not family.discrete]
    if len(blocks) < 2 or not tf.executing_eagerly():
        return
    smallest = np.linalg.eigvalsh(machine.cast(tf.float64).precision(blocks)).min()
    found = f"couplings between the Gaussian blocks {blocks} that leave their joint precision"
    found += f" an eigenvalue of {smallest:.3g}: Z is infinite"
    expect(smallest > 0, name, found, "one that is positive definite")


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
    if not tf.is_tensor(value):
        fit = not isinstance(value, bool) and int(value) == value and value >= least
        expect(fit, name, repr(value), f"an integer of at least {least}")


def check_betas(betas: np.ndarray, name: str = "betas") -> None:
    """Raises ValueError unless inverse temperatures rise from 0 to 1, [T] with T at least 2."""
    values = np.asarray(betas, np.float64)
    shape = values.shape
    expect(values.ndim == 1 and len(values) > 1, name, f"shape {shape}", "[T], T at least 2")
    rises = np.all(np.diff(values) >= 0)
    fit = np.isfinite(values).all() and rises and values[0] == 0 and values[-1] == 1
    found = f"{values.min():.4g} to {values.max():.4g}, {'rising' if rises else 'unsorted'}"
    expect(fit, f"{name} {shape}", found, "rising from exactly 0 to exactly 1")


def check_means(means: Sequence[Any], machine: AnyMachine) -> tuple[tf.Tensor, ...]:
    """`means` as float32; raises ValueError unless they fit the machine's blocks and families."""
    count = len(machine.families)
    expect(len(means) == count, "means", len(means), f"{count}, one a block")
    checked = tuple(tf.cast(mean, tf.float32) for mean in means)
    for k, (mean, field) in enumerate(zip(checked, machine.fields, strict=True)):
        shape, accepted = tuple(mean.shape), str(tuple(field.shape))
        expect(mean.shape.is_compatible_with(field.shape), f"means[{k}]", shape, accepted)
        if hasattr(mean, "numpy"):
            family, found = machine.families[k], f"{np.min(mean):.4g} to {np.max(mean):.4g}"
            fit = family.valid(mean.numpy())
            expect(fit, f"means[{k}] {shape}", found, f"means of {family}, none NaN")
    return checked
