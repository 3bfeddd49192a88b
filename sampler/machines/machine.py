"""Boltzmann machines of blocks: what all have in common."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import tensorflow as tf

from sampler.families import Family

State = tuple[Any, ...]
"""Blocks' states [..., C, n_k]; one that plays no part may be None or, at the end, missing."""

_Self = TypeVar("_Self", bound="AnyMachine")


class AnyMachine:
    r"""A batch of Boltzmann machines over K blocks of units, each with its exponential family.

      log p*(x) = sum_k <f_k, x_k> + log base_k(x_k) + sum_{k<l} x_k' W_kl x_l,   p = p* / Z

    and the energy is -log p*. Units of a block don't interact, so that a Gibbs sweep draws them at
    once, and one block can be summed out by its family's log-partition function.

    States have an axis of chains just before the units: x_k is [..., C, n_k], with the machine's
    batch dimensions in front (a prior has none, a mini-batch of posteriors one). A machine is a
    value made of tensors, which `tf.nest` takes apart and puts together.

    A subclass brings `families`, `fields`, `coupling`, `with_fields` and `rms_coupling`; whoever
    takes a machine reads no couplings, only calls these.

    Attributes:
      AXES: of a named tuple, the names of each field's axes after those of the batch.
      families: of the K blocks.
      fields: f_k, [..., n_k], of the K blocks.
      unit_axis: of states; -2 where the chains come last (see `columns`).
    """

    __slots__ = ()
    AXES: ClassVar[dict[str, tuple[str, ...]]] = {}
    families: tuple[Family, ...]
    fields: tuple[tf.Tensor, ...]
    unit_axis: int = -1

    def coupling(self, k: int, state: State) -> tf.Tensor | float:
        """sum_l W_kl x_l over the blocks that are there, [..., C, n_k]; 0.0 if none is coupled.

        Block k itself is never read.
        """
        raise NotImplementedError

    def with_fields(self: _Self, fields: Sequence[tf.Tensor]) -> _Self:
        """The machine with other fields."""
        raise NotImplementedError

    def rms_coupling(self) -> tf.Tensor:
        """The root of the mean of W^2 over pairs of units and batch, a scalar."""
        raise NotImplementedError

    def columns(self, num_chains: int | None) -> Any:
        """The machine for states [..., n_k, C], if so many chains are faster so; else None."""
        return None

    def beside(self, x: tf.Tensor) -> tf.Tensor:
        """Numbers of units, [..., n_k], with an axis for the chains."""
        return x[..., None, :] if self.unit_axis == -1 else x[..., None]

    def across(self, x: tf.Tensor) -> tf.Tensor:
        """A number for all chains, or one for each, [C], with an axis for the units."""
        return x[..., None] if self.unit_axis == -1 else x

    def to_bqm(self) -> Any:
        """The `dimod.BinaryQuadraticModel` of the same energy: see `sampler.machines.dimod`."""
        # loaded when asked for: it stands above this module
        return importlib.import_module("sampler.machines.dimod").to_bqm(self)

    @property
    def sizes(self) -> tuple[int, ...]:
        """n_k: numbers in each block's state."""
        return tuple(field.shape[-1] for field in self.fields)

    @property
    def batch_shape(self) -> tf.TensorShape:
        """The leading dimensions [...]."""
        return tf.TensorShape(self.fields[0].shape[:-1])

    def map(self: _Self, fn: Callable[[Any], Any]) -> _Self:
        """The machines with `fn` of each parameter."""
        if isinstance(self, tuple):  # its parameters may be lists, which tf.nest would enter
            return type(self)(*(fn(parameter) for parameter in self))
        return tf.nest.map_structure(fn, self)

    def cast(self: _Self, dtype: tf.DType = tf.float32) -> _Self:
        """The parameters as tensors of `dtype`, whatever arrays or lists they are."""
        return self.map(lambda t: tf.cast(tf.convert_to_tensor(t), dtype))

    def copies(self: _Self, count: int) -> _Self:
        """`count` equal machines along a new leading batch axis."""
        return self.map(lambda t: tf.tile(t[None], [count] + [1] * t.shape.rank))

    def difference(self: _Self, new: Any) -> _Self:
        """A machine of which the `interaction` is new's less this one's, both of one type."""
        return tf.nest.map_structure(tf.subtract, new, self)

    def split(self, x: tf.Tensor, first: int = 0) -> tuple[tf.Tensor, ...]:
        """States [..., n] of all blocks from `first` on, side by side, as a tuple of blocks."""
        return tuple(tf.split(x, self.sizes[first:], -1))

    def natural(self, k: int, state: State) -> tf.Tensor:
        """Natural parameters f_k + sum_l W_kl x_l of block k given the others, [..., C, n_k]."""
        return self.with_chains(self.beside(self.fields[k]), self.coupling(k, state), state)

    def with_chains(self, field: tf.Tensor, coupling: tf.Tensor | float, state: State) -> tf.Tensor:
        """field [..., 1 or C, n] + coupling, [..., C, n], also where nothing is coupled (0.0)."""
        if not isinstance(coupling, float):
            return field + coupling
        like = next(x for x in state if x is not None)
        return field + tf.reduce_sum(
            tf.zeros_like(like, field.dtype), self.unit_axis, keepdims=True
        )

    def interaction(self, state: State) -> tf.Tensor:
        """sum_k <f_k, x_k> + sum_{k<l} x_k' W_kl x_l over the blocks that are there, [..., C].

        Linear in each block, and in fields and couplings.
        """
        total: tf.Tensor | float = 0.0
        before: list[Any] = [None] * len(state)
        for k, x in enumerate(state):
            if x is not None:
                eta = self.beside(self.fields[k]) + self.coupling(k, tuple(before))
                total += tf.reduce_sum(eta * x, self.unit_axis)
                before[k] = x
        return total

    def log_base(self, state: State) -> tf.Tensor | float:
        """sum_k log base_k(x_k) over the blocks that are there, [..., C]; 0.0 of discrete ones."""
        continuous = [
            tf.reduce_sum(family.log_base(x), -1)
            for family, x in zip(self.families, state, strict=False)
            if x is not None and not family.discrete
        ]
        return tf.add_n(continuous) if continuous else 0.0

    def energy(self, state: State) -> tf.Tensor:
        """-log p*(x), [..., C]."""
        return -(self.interaction(state) + self.log_base(state))

    def mean_energy(self, state: State, weights: tf.Tensor) -> tf.Tensor:
        """sum_c weights_c E(x_c), [...], for weights [..., C]."""
        return tf.reduce_sum(weights * self.energy(state), -1)

    def energy_change(self, new: Any, state: State) -> tf.Tensor:
        """E_new - E_self of states, [..., C], from the parameters' differences.

        Subtracting two energies of order 100 would lose the small change between two steps.
        """
        return -self.difference(new).interaction(state)

    def matrix(self, k: int, l: int) -> tf.Tensor:
        """W_kl in full, [..., n_k, n_l]."""
        dtype, size = self.fields[l].dtype, self.sizes[l]
        each = tf.eye(size, dtype=dtype) + tf.zeros([*self.batch_shape, 1, 1], dtype)
        state = tuple(each if i == l else None for i in range(len(self.families)))
        rows = self.coupling(k, state) + tf.zeros([*self.batch_shape, size, self.sizes[k]], dtype)
        return tf.linalg.matrix_transpose(rows)

    def precision(self, blocks: Sequence[int]) -> tf.Tensor:
        """The joint precision matrix of Gaussian blocks given all others, [..., n, n]."""

        def part(k: int, l: int) -> tf.Tensor:
            if k != l:
                return -self.matrix(k, l)
            own = tf.constant(self.families[k].precision, self.fields[k].dtype)  # type: ignore[attr-defined]
            shape = [*self.batch_shape, self.sizes[k]]
            return tf.linalg.diag(tf.broadcast_to(own, shape))

        return tf.concat([tf.concat([part(k, l) for l in blocks], -1) for k in blocks], -2)

    def log_marginal(self, state: State, block: int = -1) -> tf.Tensor:
        """log of p*(x) summed over one block, minus the free energy of the others: [..., C].

        The state is that of all blocks but `block`, whose place may be None or missing.
        """
        block %= len(self.families)
        rest = tuple(None if k == block else x for k, x in enumerate(state))
        summed = self.families[block].log_partition(self.natural(block, state))
        value = tf.reduce_sum(summed, self.unit_axis) + self.log_base(rest)
        return value + self.interaction(rest) if any(x is not None for x in rest) else value


def turned(state: Sequence[Any]) -> tuple[tf.Tensor, ...]:
    """States with the axes of units and chains exchanged."""
    return tuple(x if x is None else tf.linalg.matrix_transpose(x) for x in state)
