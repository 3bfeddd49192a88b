"""Backpropagation through relaxed Gibbs sweeps: the gradient of Algorithm 1, written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from sampler import gibbs, seeds
from sampler.machines.ising import AnyIsingRBM


def persistent_sample(
    phi: AnyIsingRBM,
    chains: tf.Tensor,
    num_sweeps: int,
    num_relaxed_sweeps: int,
    relaxation: gibbs.SampleFn,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Algorithm 1: advances persistent chains and draws differentiable samples from them.

    Args:
      phi: RBMs [B].
      chains: states of the second side, [B, C, n2].
      num_sweeps: s, hard sweeps at phi.
      num_relaxed_sweeps: t, see `relaxed_sweeps`.
      relaxation: how a unit is drawn from its logits in these.
      seed: int32, shape [2].

    Returns:
      zeta1 [B, C, n1] and zeta2 [B, C, n2], and the advanced chains.
    """
    fixed_phi = tf.nest.map_structure(tf.stop_gradient, phi)
    _, chains = gibbs.run(fixed_phi, chains, num_sweeps, seeds.fold_in(seed, 0))
    relaxed_seeds = [seeds.fold_in(seed, 1 + i) for i in range(num_relaxed_sweeps)]
    return *relaxed_sweeps(phi, tf.stop_gradient(chains), relaxed_seeds, relaxation), chains


def relaxed_sweeps(
    phi: AnyIsingRBM, z2: tf.Tensor, seeds: Sequence[tf.Tensor], relaxation: gibbs.SampleFn
) -> tuple[tf.Tensor, tf.Tensor]:
    """Relaxed sweeps from hard states, differentiable in phi.

    The logits are linear in phi, so that the gradient is that of sum(g logits) over all sweeps, g
    being the logits' gradients. Left to autodiff it is a sum of outer products, and XLA on a CPU
    computes all that they are made of anew for each of their B n1 n2 elements.

    Args:
      phi: RBMs [B].
      z2: states of the second side, [B, C, n2]; no gradient flows into them.
      seeds: one for each sweep, int32, shape [2].
      relaxation: how a unit is drawn from its logits.

    Returns:
      zeta1 [B, C, n1] and zeta2 [B, C, n2].
    """

    @tf.custom_gradient
    def sweeps(*parameters: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable]:
        rbm = type(phi)(*parameters)
        logits: list[tf.Tensor] = []
        states1: list[tf.Tensor] = []
        states2 = [z2]
        with tf.GradientTape() as tape:

            def watched(values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
                tape.watch(values)
                logits.append(values)
                return relaxation(values, seed)

            for seed in seeds:
                zeta1, zeta2 = gibbs.sweep(rbm, states2[-1], seed, watched)
                states1.append(zeta1)
                states2.append(zeta2)

        def gradient(*upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            of_logits = tape.gradient([zeta1, zeta2], logits, upstream)
            inputs = states2[:-1], of_logits[::2], states1, of_logits[1::2]
            return tuple(rbm.pull_back(*(tf.concat(part, 1) for part in inputs)))

        return (zeta1, zeta2), gradient

    return sweeps(*phi)
