"""Algorithm 1: backpropagation through relaxed Gibbs sweeps, in its plain form and written out."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from sampler import gibbs, seeds
from sampler.families import Family
from sampler.machines.ising import AnyIsingRBM
from sampler.machines.machine import AnyMachine, State

_State = tuple[tf.Tensor, ...]


def relaxed_sweeps(
    phi: AnyMachine, state: State, sweep_seeds: Sequence[tf.Tensor], draw: gibbs.DrawFn
) -> _State:
    """Relaxed sweeps from hard states, differentiable in phi by plain autodiff."""
    for seed in sweep_seeds:
        state = gibbs.sweep(phi, state, seed, draw)
    return state


def persistent_sample(
    phi: AnyMachine,
    state: State,
    num_sweeps: int,
    num_relaxed_sweeps: int,
    draw: gibbs.DrawFn,
    seed: tf.Tensor,
    sweeps_fn: Callable[..., _State] = relaxed_sweeps,
) -> tuple[_State, _State]:
    """Algorithm 1: s hard sweeps at sg(phi), then t relaxed ones that carry the gradient.

    Args:
      phi: machines [B].
      state: of the chains, [B, C, n_k]; the first block may be None.
      num_sweeps: s.
      num_relaxed_sweeps: t.
      draw: how a block is drawn in the relaxed sweeps.
      seed: int32, shape [2].
      sweeps_fn: `relaxed_sweeps`, or a function that gives the same.

    Returns:
      zeta and the advanced chains, states of all blocks.
    """
    fixed_phi = tf.nest.map_structure(tf.stop_gradient, phi)
    hard = gibbs.run(fixed_phi, state, num_sweeps, seeds.fold_in(seed, 0))
    hard = tuple(map(tf.stop_gradient, hard))
    relaxed_seeds = [seeds.fold_in(seed, 1 + i) for i in range(num_relaxed_sweeps)]
    return sweeps_fn(phi, hard, relaxed_seeds, draw), hard


def ising_sweeps(
    phi: AnyIsingRBM, state: State, sweep_seeds: Sequence[tf.Tensor], draw: gibbs.DrawFn
) -> _State:
    """`relaxed_sweeps` of RBMs of spins, with the gradient written out.

    Natural parameters are linear in phi, so that the gradient is that of sum(g eta) over all
    sweeps, g being the gradients in eta. Left to autodiff it is a sum of outer products, and XLA on
    a CPU computes all that they are made of anew for each of their B n1 n2 elements.
    """
    *_, s2 = state

    @tf.custom_gradient
    def sweeps(*parameters: tf.Tensor) -> tuple[_State, Callable]:
        rbm = type(phi)(*parameters)
        etas: list[tf.Tensor] = []
        states: list[State] = [(None, s2)]
        with tf.GradientTape() as tape:

            def watched(family: Family, eta: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
                tape.watch(eta)
                etas.append(eta)
                return draw(family, eta, seed)

            for seed in sweep_seeds:
                states.append(gibbs.sweep(rbm, states[-1], seed, watched))

        def gradient(*upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            of_etas = tape.gradient(states[-1], etas, upstream)
            before, drawn = [s[1] for s in states[:-1]], [s[0] for s in states[1:]]
            parts: tuple[Any, ...] = before, of_etas[::2], drawn, of_etas[1::2]
            return tuple(tf.nest.flatten(rbm.pull_back(*(tf.concat(p, 1) for p in parts))))

        return states[-1], gradient

    return sweeps(*tf.nest.flatten(phi))
