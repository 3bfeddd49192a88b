"""Block-Gibbs sweeps as a TensorFlow Probability transition kernel.

Importing TensorFlow Probability takes seconds, so that only those who ask for this module pay.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from sampler import gibbs
from sampler.machines.rbm import AnyRBM

Pair = tuple[tf.Tensor, ...] | list[tf.Tensor]
"""(z1, z2), in a list or in a tuple, as it was given."""


class Results(NamedTuple):
    """What `tfp.mcmc` calls kernel results.

    Attributes:
      energy: E(z1, z2) of the states, [..., C].
      seed: of the sweep that made them, int32, shape [2]; zeros before the first.
    """

    energy: tf.Tensor
    seed: tf.Tensor


class BlockGibbs(tfp.mcmc.TransitionKernel):
    """A sweep z1 ~ p(z1 | z2), z2 ~ p(z2 | z1) of an RBM, for `tfp.mcmc.sample_chain` to drive.

    States are pairs (z1, z2), a tuple or a list, z1 [..., C, n1] and z2 [..., C, n2]. A sweep
    redraws z1 without looking at it. Seeds are stateless: a chain is a function of its seed.

        z2 = gibbs.initial(rbm, 100, seeds.make_seed(0))
        z1 = tf.zeros([100, n1])
        (z1, z2), energy = tfp.mcmc.sample_chain(
            1000, (z1, z2), kernel=BlockGibbs(rbm), num_burnin_steps=100,
            trace_fn=lambda state, results: results.energy, seed=seeds.make_seed(1),
        )
    """

    def __init__(self, rbm: AnyRBM, clamp: gibbs.Clamp = gibbs.FREE):
        """Sweeps `rbm`, any batch shape, with the units of `clamp` held."""
        self._rbm, self._clamp = rbm, clamp

    @property
    def is_calibrated(self) -> bool:
        """True: sweeps leave the RBM's law as it is, without a Metropolis step."""
        return True

    def one_step(
        self,
        current_state: Pair,
        previous_kernel_results: Results,
        seed: int | tf.Tensor | None = None,
    ) -> tuple[Pair, Results]:
        """One sweep; `seed` is int32, shape [2] (others, or none, are made one by TFP's rules)."""
        del previous_kernel_results
        seed = tfp.random.sanitize_seed(seed)
        z1, z2 = gibbs.sweep(self._rbm, current_state[1], seed, clamp=self._clamp)
        return type(current_state)((z1, z2)), Results(self._rbm.energy(z1, z2), seed)

    def bootstrap_results(self, init_state: Pair) -> Results:
        """The results of a state that no sweep has made."""
        return Results(self._rbm.energy(*init_state), tf.zeros([2], tf.int32))
