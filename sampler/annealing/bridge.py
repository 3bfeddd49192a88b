"""Bridges: the machines that annealing passes through, from independent units to the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from sampler import checks, gibbs, mean_field, seeds
from sampler.io.errors import expect
from sampler.machines.machine import AnyMachine, State


class Bridge(NamedTuple):
    """Machines with fields base + beta (f - base) and couplings beta W, for beta in [0, 1].

    At beta = 0 the units are independent, so that exact samples and log Z are at hand; at beta = 1
    stands the target. A base equal to the target's fields leaves them alone and anneals the
    couplings only: short work for posteriors, whose fields are strong.

    The last block is summed out wherever a state is weighed, and redrawn by each sweep: what is
    carried along is the state of the others, the `kept` blocks.

    Attributes:
      machine: the target, any batch shape.
      base: the base's natural parameters, of each block [..., n_k].
    """

    machine: AnyMachine
    base: tuple[tf.Tensor, ...]

    @property
    def num_kept(self) -> int:
        """Blocks in a state along the bridge: all but the last, or one without units."""
        return max(1, len(self.base) - 1)

    @property
    def kept_sizes(self) -> tuple[int, ...]:
        """Numbers in each of these blocks' states."""
        return self.machine.sizes[:-1] or (0,)

    def log_z_base(self) -> tf.Tensor:
        """log Z at beta = 0, float64, [...]."""
        return tf.add_n(
            [
                tf.reduce_sum(family.log_partition(tf.cast(eta, tf.float64)), -1)
                for family, eta in zip(self.machine.families, self.base, strict=True)
            ]
        )

    def initial(self, num_chains: int | tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Exact samples of the kept blocks at beta = 0, [..., num_chains, n_k]."""
        if len(self.base) == 1:
            batch = tf.shape(self.base[0])[:-1]
            return (tf.zeros(tf.concat([batch, [num_chains, 0]], 0)),)
        return gibbs.independent(self.machine.families, self.base[:-1], num_chains, seed)

    def columns(self, num_chains: int | None) -> Bridge | None:
        """The bridge for states with the chains last, where its machine is faster so."""
        machine = self.machine.columns(num_chains)
        return None if machine is None else Bridge(machine, self.base)

    def slope(self) -> AnyMachine:
        """What beta multiplies: a machine of the target's couplings, with fields f - base."""
        pairs = zip(self.machine.fields, self.base, strict=True)
        return self.machine.with_fields([field - base for field, base in pairs])

    def natural(self, k: int, state: State, beta: tf.Tensor) -> tf.Tensor:
        """Natural parameters of block k at `beta` (a scalar, or [C] for each chain's own)."""
        beta = self.machine.across(tf.convert_to_tensor(beta, tf.float32))
        field, base = (self.machine.beside(part) for part in (self.machine.fields[k], self.base[k]))
        coupling = self.machine.coupling(k, state)
        if not isinstance(coupling, float):
            coupling *= beta
        return self.machine.with_chains(base + beta * (field - base), coupling, state)

    def gentle(self, betas: np.ndarray) -> bool:
        """Whether no step along `betas` can move a natural parameter of the last block by over 1.

        Bits, spins and one-hot vectors are at most 1, so that the sizes of fields and couplings
        bound it; of Gaussian blocks nothing does.
        """
        kept = self.machine.families[: len(self.base) - 1]
        if not all(family.discrete for family in kept):
            return False
        ones = tuple(tf.ones_like(base)[..., None, :] for base in self.base[:-1])
        ones = ones or (self.base[0][..., None, :0],)
        sizes = self.slope().map(tf.abs).natural(len(kept), ones)
        return bool(abs(np.diff(betas)).max() * tf.reduce_max(sizes) <= 1)

    def log_weight(
        self, state: State, beta: tf.Tensor, new_beta: tf.Tensor, gentle: bool = False
    ) -> tf.Tensor:
        """log of the ratio of unnormalised probabilities at two temperatures, float64, [..., C].

        The last block is summed out. The rounding is relative to the step, however small.

        Args:
          state: of the kept blocks.
          beta, new_beta: inverse temperatures, scalars, or [C] for each chain's own.
          gentle: no natural parameter moves by over 1, so that no step need be looked at first.
        """
        step = tf.convert_to_tensor(new_beta - beta, tf.float32)
        slope, last = self.slope(), len(self.base) - 1
        # at the new temperature, from which a sweep goes on to draw the last block
        eta = self.natural(last, state, new_beta)
        back = self.machine.across(-step) * slope.natural(last, state)
        summed = self.machine.families[last].log_partition_change(eta, back, gentle)
        total = -tf.reduce_sum(summed, self.machine.unit_axis)
        if last:
            total += step * slope.interaction(state)
        return tf.cast(total, tf.float64)

    def complete(self, state: State, beta: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """States of all blocks: the kept ones, and the last drawn given them at `beta`."""
        last = len(self.base) - 1
        drawn = self.machine.families[last].sample(self.natural(last, state, beta), seed)
        return (*state[:last], drawn)

    def sweep(
        self, state: State, beta: tf.Tensor, seed: tf.Tensor, reverse: bool = False
    ) -> tuple[tf.Tensor, ...]:
        """A sweep of the last block and then the kept ones, which leaves their law as it is.

        `reverse` takes the kept blocks in the opposite order: the same chain, run backwards.
        """
        last = len(self.base) - 1
        blocks = list(self.complete(state, beta, seeds.fold_in(seed, last + 1)))
        for k in reversed(range(last)) if reverse else range(last):
            eta = self.natural(k, tuple(blocks), beta)
            blocks[k] = self.machine.families[k].sample(eta, seeds.fold_in(seed, k + 1))
        return tuple(blocks[:last]) or tuple(state)

    def conjugate_energy(self, state: State) -> tf.Tensor:
        """E_target - E_base, which beta multiplies, of states of all blocks: [..., C]."""
        return -self.slope().interaction(state)


def from_fields(machine: AnyMachine) -> Bridge:
    """The bridge from the machine's own fields: only the couplings are annealed.

    Short work where the fields decide, as for posteriors. Where strong fields balance strong
    couplings (a ferromagnet of two modes), the base sits in one mode and the other is never seen,
    without a trace in the weights.
    """
    machine = machine.cast()
    return Bridge(machine, tuple(machine.fields))


def from_uniform(machine: AnyMachine) -> Bridge:
    """The bridge from no fields: from all states alike, or each family's base measure."""
    machine = machine.cast()
    return Bridge(machine, tuple(tf.zeros_like(field) for field in machine.fields))


def from_means(machine: AnyMachine, means: Sequence[Any], clip: float = 0.01) -> Bridge:
    """The bridge from independent units with the given means (of samples of the machine, or data).

    Salakhutdinov and Murray (2008) fit the base to the data's means [..., n_k]. Probabilities are
    kept `clip`, in (0, 1/2), away from 0 and 1, so that a unit that was never seen on or off can
    still change. ValueError for shapes that don't fit, and means or a clip out of range.
    """
    machine = machine.cast()
    checks.check_machine(machine)
    expect(0 < clip < 0.5, "clip", repr(clip), "between 0 and 1/2, both excluded")
    means = checks.check_means(means, machine)
    families = machine.families
    return Bridge(machine, tuple(f.natural(m, clip) for f, m in zip(families, means, strict=True)))


def from_mean_field(machine: AnyMachine, num_sweeps: int = 5) -> Bridge:
    """The bridge from the independent units that mean field fits to the machine.

    Where one mode holds nearly all, as in posteriors, a few temperatures do. A distribution of
    several modes is annealed from one of them. `num_sweeps` updates of each block's means need not
    converge: any base is exact.
    """
    machine = machine.cast()
    means = mean_field.of_fields(machine)
    for _ in range(num_sweeps):
        base, means = mean_field.update(machine, means)
    return Bridge(machine, tuple(eta[..., 0, :] for eta in base))
