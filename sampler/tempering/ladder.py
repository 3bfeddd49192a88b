"""Ladders of replicas that exchange their states: the graph-level pieces of parallel tempering.

A ladder holds one replica at each temperature of a bridge. Every step sweeps all of them and then
offers neighbours an exchange of their states, so that a state that is stuck at the target wanders
to the base, forgets where it was, and comes back. Pairs take turns, (0, 1), (2, 3), ... and then
(1, 2), (3, 4), ...: replicas then drift along the ladder where random pairs would make them
diffuse (Okabe et al. 2001; Syed et al. 2022).

The second side is summed out, as in `ais`: what is exchanged is z1, and z2 is redrawn by the sweep
that follows. Neighbours i and j with states x and y exchange with probability

    min(1, p_i(y) p_j(x) / (p_i(x) p_j(y))),   p_i(z1) = sum over z2 of exp(-E_i(z1, z2)) / Z_i,

in which the Z cancel. A marginal overlaps its neighbour at least as much as the joint law does, so
that fewer temperatures are enough.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from sampler import gibbs, seeds
from sampler.annealing.bridge import Bridge


class State(NamedTuple):
    """C independent ladders of T replicas, in the order of their temperatures.

    Attributes:
      z1: states of the first side, [..., T, C, n1].
      legs: of each replica's round trip, int32, [..., T, C]: 0 not begun, 1 has been at the target,
        2 has been at the base since. Moves with the replica.
      step: sweeps made so far, int32 scalar; the turn of pairs and the seeds follow from it.
    """

    z1: tf.Tensor
    legs: tf.Tensor
    step: tf.Tensor


class Counts(NamedTuple):
    """What a number of steps did.

    Attributes:
      accepted: acceptance probability, mean over chains, summed over the steps that offered the
        pair, float64, [..., T - 1].
      offered: steps that offered the pair, float64, [T - 1].
      round_trips: from the target to the base and back, completed by all replicas, int32, [...].
    """

    accepted: tf.Tensor
    offered: tf.Tensor
    round_trips: tf.Tensor


def start(bridge: Bridge, num_temperatures: int, num_chains: int, seed: tf.Tensor) -> State:
    """Exact samples of the base at every temperature."""
    z1 = _unfold(bridge.sample_base(num_temperatures * num_chains, seed), num_temperatures)
    return State(z1, tf.zeros(z1.shape[:-1], tf.int32), tf.constant(0))


def no_counts(state: State) -> Counts:
    """Counts of no steps at all."""
    *batch, count, _, _ = state.z1.shape
    accepted = tf.zeros([*batch, count - 1], tf.float64)
    return Counts(accepted, tf.zeros([count - 1], tf.float64), tf.zeros(batch, tf.int32))


def advance(
    bridge: Bridge, betas: tf.Tensor, state: State, num_sweeps: tf.Tensor, seed: tf.Tensor
) -> tuple[State, Counts]:
    """`num_sweeps` times: a sweep at every temperature, then exchanges.

    Args:
      bridge: from the base to the target, any batch shape [...].
      betas: inverse temperatures, float32, [T].
      state: the ladders; shapes must be static.
      num_sweeps: an integer or scalar tensor.
      seed: int32, shape [2]; of the whole run, since each step folds in `state.step`.
    """
    at = _of_each_chain(betas, state)
    # folded outside of the loop: nested three deep in it, XLA compiles for 20 s instead of 2
    sweep_seed, swap_seed = seeds.fold_in(seed, 0), seeds.fold_in(seed, 1)

    def body(i: tf.Tensor, state: State, counts: Counts) -> tuple:
        z1 = bridge.sweep(_fold(state.z1), at, seeds.fold_in(sweep_seed, state.step))
        state = state._replace(z1=_unfold(z1, betas.shape[0]))
        state, more = swap(bridge, betas, state, seeds.fold_in(swap_seed, state.step))
        return i + 1, state, tf.nest.map_structure(tf.add, counts, more)

    _, state, counts = tf.while_loop(
        lambda i, *_: i < num_sweeps, body, (tf.constant(0), state, no_counts(state))
    )
    return state, counts


def swap(bridge: Bridge, betas: tf.Tensor, state: State, seed: tf.Tensor) -> tuple[State, Counts]:
    """Offers exchanges to the pairs (t, t + 1) of which t + `state.step` is even."""
    t = tf.range(betas.shape[0])
    partner = t + 1 - 2 * ((t + state.step) % 2)
    partner = tf.where((partner < 0) | (partner >= betas.shape[0]), t, partner)
    log_ratio = _log_ratio(bridge, betas, partner, state)
    # both of a pair look at the lower one's number, and their ratios are equal bit by bit
    draws = tf.gather(seeds.uniform(seed, state.legs.shape), tf.minimum(t, partner), axis=-2)
    accepted = tf.math.log(tf.cast(draws, tf.float64)) < log_ratio
    z1 = tf.where(accepted[..., None], tf.gather(state.z1, partner, axis=-3), state.z1)
    legs = tf.where(accepted, tf.gather(state.legs, partner, axis=-2), state.legs)
    legs, round_trips = _turn_at_ends(legs)
    offered = tf.cast(partner[:-1] > t[:-1], tf.float64)
    rate = tf.reduce_mean(tf.exp(tf.minimum(log_ratio, 0)), -1)[..., :-1]
    return State(z1, legs, state.step + 1), Counts(rate * offered, offered, round_trips)


def observe(
    bridge: Bridge, betas: tf.Tensor, state: State, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """z2 given z1, [..., T, C, n2], and the target's energy of each state, float64, [..., T, C]."""
    z1 = _fold(state.z1)
    z2 = gibbs.bernoulli(bridge.logits2(z1, _of_each_chain(betas, state)), seed)
    energies = tf.cast(bridge.rbm.energy(z1, z2), tf.float64)
    return _unfold(z2, betas.shape[0]), tf.reshape(energies, state.legs.shape)


def neighbour_weights(
    bridge: Bridge, betas: tf.Tensor, state: State
) -> tuple[tf.Tensor, tf.Tensor]:
    """log p*(z1) at the next temperature less that at the state's own, float64, [..., T - 1, C].

    Forward of the states 0 to T - 2 to the next colder, and backward of 1 to T - 1 to the hotter.
    """
    colder = _log_weights(bridge, betas, tf.concat([betas[1:], betas[-1:]], 0), state)
    hotter = _log_weights(bridge, betas, tf.concat([betas[:1], betas[:-1]], 0), state)
    return colder[..., :-1, :], hotter[..., 1:, :]


def _log_weights(bridge: Bridge, betas: tf.Tensor, others: tf.Tensor, state: State) -> tf.Tensor:
    """log p*(z1) at other temperatures less that at its own, float64, [..., T, C]."""
    own, other = _of_each_chain(betas, state), _of_each_chain(others, state)
    return tf.reshape(bridge.log_weight(_fold(state.z1), own, other), state.legs.shape)


def _log_ratio(bridge: Bridge, betas: tf.Tensor, partner: tf.Tensor, state: State) -> tf.Tensor:
    """log of the ratio that decides an exchange with `partner` [T], float64, [..., T, C]."""
    weights = _log_weights(bridge, betas, tf.gather(betas, partner), state)
    return weights + tf.gather(weights, partner, axis=-2)


def _turn_at_ends(legs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Legs after the ends were visited, and the number of round trips that ended."""
    base, between, target = legs[..., :1, :], legs[..., 1:-1, :], legs[..., -1:, :]
    round_trips = tf.reduce_sum(tf.cast(target == 2, tf.int32), [-2, -1])
    base = tf.where(base == 1, 2, base)
    return tf.concat([base, between, tf.ones_like(target)], -2), round_trips


def _of_each_chain(betas: tf.Tensor, state: State) -> tf.Tensor:
    """[T] as [T C]: replicas are chains, each with its own temperature."""
    return tf.repeat(betas, state.z1.shape[-2])


def _fold(z: tf.Tensor) -> tf.Tensor:
    """[..., T, C, n] as [..., T C, n]."""
    *batch, count, num_chains, n = z.shape
    return tf.reshape(z, [*batch, count * num_chains, n])


def _unfold(z: tf.Tensor, count: int) -> tf.Tensor:
    """[..., T C, n] as [..., T, C, n], for T = `count`."""
    *batch, both, n = z.shape
    return tf.reshape(z, [*batch, count, both // count, n])
