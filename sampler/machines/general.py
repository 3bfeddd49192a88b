"""The general Boltzmann machine: any blocks, any pairs of them coupled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from sampler.families import Family
from sampler.io.errors import expect
from sampler.machines import couplings as between
from sampler.machines.couplings import LowRank
from sampler.machines.machine import AnyMachine, State


class Machine(AnyMachine):
    """K blocks with dense or factored couplings between any two; see `AnyMachine`.

    Args:
      families: of each block.
      fields: of each block, [..., n_k].
      couplings: for pairs (k, l) of blocks, k < l, a matrix [..., n_k, n_l] or `LowRank` factors;
        pairs that are missing are not coupled.

    Raises:
      ValueError: shapes that don't fit, a coupling inside a block, a block that doesn't exist.
    """

    def __init__(
        self,
        families: Sequence[Family],
        fields: Sequence[Any],
        couplings: Mapping[tuple[int, int], Any],
    ):
        self.families = tuple(families)
        self.fields = tuple(_tensor(field) for field in fields)
        self.couplings = {
            pair: LowRank(*map(_tensor, w)) if isinstance(w, tuple) else _tensor(w)
            for pair, w in sorted(couplings.items())
        }
        _check_fields(self)
        _check_couplings(self)

    def __tf_flatten__(self) -> tuple[tuple, tuple]:
        pairs = tuple(self.couplings)
        return (self.families, pairs), (self.fields, tuple(self.couplings.values()))

    @classmethod
    def __tf_unflatten__(cls, metadata: tuple, components: tuple) -> Machine:
        machine = cls.__new__(cls)
        machine.families, pairs = metadata
        machine.fields, values = components
        machine.couplings = dict(zip(pairs, values, strict=True))
        return machine

    def coupling(self, k: int, state: State) -> tf.Tensor | float:
        """sum_l W_kl x_l over the blocks that are there, [..., C, n_k]; 0.0 if none is coupled."""
        there = {i for i, x in enumerate(state) if x is not None}
        terms = [
            between.couple(state[j if k == i else i], w, transpose=k == i)
            for (i, j), w in self.couplings.items()
            if k in (i, j) and (j if k == i else i) in there
        ]
        return tf.add_n(terms) if terms else 0.0

    def with_fields(self, fields: Sequence[tf.Tensor]) -> Machine:
        """The machine with other fields."""
        return Machine(self.families, fields, self.couplings)

    def difference(self, new: Machine) -> Machine:
        """The parameters' differences: energies are linear in them."""
        fields = [b - a for a, b in zip(self.fields, new.fields, strict=True)]
        changes = {
            pair: between.difference(w, new.couplings[pair]) for pair, w in self.couplings.items()
        }
        return Machine(self.families, fields, changes)

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of W^2 over pairs of units and batch, a scalar."""
        counts = {(k, l): float(self.sizes[k] * self.sizes[l]) for k, l in self.couplings}
        squares = [counts[pair] * between.mean_square(w) for pair, w in self.couplings.items()]
        return tf.sqrt(tf.add_n(squares) / sum(counts.values())) if squares else tf.constant(0.0)


def _tensor(value: Any) -> Any:
    """A tensor of float32, or of float64 where it is one of these already."""
    return value if tf.is_tensor(value) else tf.convert_to_tensor(value, tf.float32)


def _check_fields(machine: Machine) -> None:
    """Raises ValueError unless there is a field for each family, with units of that family."""
    families, fields = machine.families, machine.fields
    found = f"{len(fields)} for {len(families)} families"
    fit = bool(families) and len(families) == len(fields)
    expect(fit, "fields", found, "one for each block, and a block at least")
    for k, (family, field) in enumerate(zip(families, fields, strict=True)):
        name, units = f"fields[{k}]", field.shape[-1] if field.shape.rank else 0
        accepted = f"[..., n], n a positive multiple of {family.width} for {family}"
        expect(units and not units % family.width, name, f"shape {tuple(field.shape)}", accepted)
        _check_batch(machine, name, field, 1)
        family.check_units(units // family.width, name)


def _check_couplings(machine: Machine) -> None:
    """Raises ValueError unless couplings are matrices, or factors, between the units of blocks."""
    count = len(machine.families)
    for (k, l), w in machine.couplings.items():
        inside = ", which couples units inside a block" if k == l else ""
        accepted = f"pairs (k, l) of blocks, 0 <= k < l < {count}"
        expect(0 <= k < l < count, "couplings", f"the pair {(k, l)}{inside}", accepted)
        name, factors = f"couplings[{(k, l)}]", between.parts(w)
        for factor in factors:
            shape = tuple(factor.shape)
            expect(len(shape) > 1, name, f"shape {shape}", "a matrix [..., n, m]")
            _check_batch(machine, name, factor, 2)
        ends = tuple(f.shape[-2] for f in factors) if len(factors) > 1 else factors[0].shape[-2:]
        (n, m), (first, second) = ends, (machine.sizes[k], machine.sizes[l])
        expect((n, m) == (first, second), name, f"{n} x {m}", f"{first} x {second} units")
        ranks = [factor.shape[-1] for factor in factors]
        found = " and ".join(map(str, ranks))
        expect(len(set(ranks)) == 1, name, f"factors of ranks {found}", "equal ones")


def _check_batch(machine: Machine, name: str, value: tf.Tensor, rank: int) -> None:
    """Raises ValueError unless the axes of `value` before the last `rank` are the batch's."""
    batch = value.shape[:-rank]
    accepted = f"{tuple(machine.batch_shape)}, that of fields[0]"
    fit = batch.is_compatible_with(machine.batch_shape)
    expect(fit, name, f"batch shape {tuple(batch)}", accepted)
