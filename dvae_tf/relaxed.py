"""Algorithm 1 by itself: differentiable samples of any Boltzmann machine."""

from typing import Any

import tensorflow as tf

from dvae_tf import relaxations
from dvae_tf.posteriors import backpropagation
from dvae_tf.registry import PLUGGED_IN
from sampler import gibbs, seeds
from sampler.io.errors import expect, expect_number, expect_whole
from sampler.machines.machine import AnyMachine


def relaxed_sample(
    machine: AnyMachine,
    chains: Any,
    sweeps: int = 10,
    relaxed_sweeps: int = 1,
    relaxation: str = "pwl",
    sharpness: float | None = None,
    seed: int | tf.Tensor = 0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Hard Gibbs sweeps of persistent chains, then relaxed ones that carry the gradient.

    Args:
      machine: of `sampler`, with batch dimensions [...]; the gradient flows into its parameters.
      chains: states [..., C, n] of all units, the blocks side by side, from the call before; or a
        number C, to begin with that many chains of each machine.
      sweeps: s, at the machine's values, without gradient.
      relaxed_sweeps: t.
      relaxation: a name of `registry.PLUGGED_IN`, with its `sharpness` (None: the paper's).
      seed: an integer, or int32 [2]; another one for each call.

    Returns:
      zeta [..., C, n], continuous and differentiable, and the advanced chains, hard, alike.

    Raises:
      ValueError: an unknown relaxation, or sweeps of less than 1.
    """
    expect(relaxation in PLUGGED_IN, "relaxation", repr(relaxation), ", ".join(PLUGGED_IN))
    expect_whole(sweeps, "sweeps", 1)
    expect_whole(relaxed_sweeps, "relaxed_sweeps", 1)
    expect(hasattr(machine, "cast"), "machine", repr(machine), "one of sampler's")
    machine, root = machine.cast(), seeds.as_seed(seed)
    if isinstance(chains, int):
        expect_whole(chains, "chains", 1)
        state = gibbs.initial(machine, chains, seeds.fold_in(root, 0))
    else:
        found, total = tf.convert_to_tensor(chains).shape, sum(machine.sizes)
        expect(found[-1:] == [total], "chains", f"shape {found}", f"[..., C, {total}]")
        state = machine.split(tf.cast(chains, tf.float32))
    if sharpness is None:
        sharpness = relaxations.SHARPNESS[relaxation.removesuffix("_stop_slope")]
    expect_number(sharpness, "sharpness", positive=True)
    draw = relaxations.make(relaxation, sharpness).draw
    zeta, hard = backpropagation.persistent_sample(
        machine, state, sweeps, relaxed_sweeps, draw, seeds.fold_in(root, 1)
    )
    return tf.concat(zeta, -1), tf.concat(hard, -1)
