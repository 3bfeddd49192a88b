"""Block-Gibbs sweeps as a TensorFlow Probability transition kernel.

Importing TensorFlow Probability takes seconds, so that only those who ask for this module pay.
"""

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from sampler import gibbs
from sampler.machines.machine import AnyMachine

Blocks = tuple[tf.Tensor, ...] | list[tf.Tensor]
"""The blocks' states, in a list or in a tuple, as they were given."""


class Results(NamedTuple):
    """What `tfp.mcmc` calls kernel results.

    Attributes:
      energy: of the states, [..., C].
      seed: of the sweep that made them, int32, shape [2]; zeros before the first.
    """

    energy: tf.Tensor
    seed: tf.Tensor


class BlockGibbs(tfp.mcmc.TransitionKernel):
    """A sweep over the blocks of a machine, for `tfp.mcmc.sample_chain` to drive.

    States are a tuple or a list of the blocks', [..., C, n_k]. Seeds are stateless: a chain is a
    function of its seed.

        state, energy = tfp.mcmc.sample_chain(
            1000, gibbs.initial(machine, 100, seed=0), kernel=BlockGibbs(machine),
            num_burnin_steps=100, trace_fn=lambda state, results: results.energy,
            seed=seeds.make_seed(1),
        )
    """

    def __init__(self, machine: AnyMachine, clamp: gibbs.Clamp | None = None):
        """Sweeps `machine`, any batch shape, with the units of `clamp` held."""
        self._machine, self._clamp = machine.cast(), clamp

    @property
    def is_calibrated(self) -> bool:
        """True: sweeps leave the machine's law as it is, without a Metropolis step."""
        return True

    def one_step(
        self,
        current_state: Blocks,
        previous_kernel_results: Results,
        seed: int | tf.Tensor | None = None,
    ) -> tuple[Blocks, Results]:
        """One sweep; `seed` is int32, shape [2] (others, or none, are made one by TFP's rules)."""
        del previous_kernel_results
        seed = tfp.random.sanitize_seed(seed)
        state = gibbs.sweep(self._machine, tuple(current_state), seed, clamp=self._clamp)
        return type(current_state)(state), Results(self._machine.energy(state), seed)

    def bootstrap_results(self, init_state: Blocks) -> Results:
        """The results of a state that no sweep has made."""
        return Results(self._machine.energy(tuple(init_state)), tf.zeros([2], tf.int32))
