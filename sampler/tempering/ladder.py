"""Ladders of replicas that exchange their states: the graph-level pieces of parallel tempering.

A ladder holds one replica at each temperature of a bridge. Every step sweeps all of them and then
offers neighbours an exchange of their states, so that a state that is stuck at the target wanders
to the base, forgets where it was, and comes back. Pairs take turns, (0, 1), (2, 3), ... and then
(1, 2), (3, 4), ...: replicas then drift along the ladder where random pairs would make them
diffuse (Okabe et al. 2001; Syed et al. 2022).

The last block is summed out, as in `ais`: what is exchanged are the others' states, and it is
redrawn by the sweep that follows. Neighbours i and j with states x and y exchange with probability

    min(1, p_i(y) p_j(x) / (p_i(x) p_j(y))),   p_i(x) = sum over the last block of exp(-E_i) / Z_i,

in which the Z cancel. A marginal overlaps its neighbour at least as much as the joint law does, so
that fewer temperatures are enough.
"""

from typing import NamedTuple

import tensorflow as tf

from sampler import gibbs, seeds
from sampler.annealing.bridge import Bridge
from sampler.machines.machine import State


class Ladders(NamedTuple):
    """C independent ladders of T replicas, in the order of their temperatures.

    Attributes:
      state: of the kept blocks, [..., T, C, n_k].
      legs: of each replica's round trip, int32, [..., T, C]: 0 not begun, 1 has been at the target,
        2 has been at the base since. Moves with the replica.
      step: sweeps made so far, int32 scalar; the turn of pairs and the seeds follow from it.
    """

    state: State
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


def initial(bridge: Bridge, num_temperatures: int, num_chains: int, seed: tf.Tensor) -> Ladders:
    """Exact samples of the base at every temperature."""
    state = bridge.initial(num_temperatures * num_chains, seed)
    state = gibbs.apart(state, (num_temperatures, num_chains))
    return Ladders(state, tf.zeros(state[0].shape[:-1], tf.int32), tf.constant(0))


def no_counts(ladders: Ladders) -> Counts:
    """Counts of no steps at all."""
    *batch, count, _ = ladders.legs.shape
    accepted = tf.zeros([*batch, count - 1], tf.float64)
    return Counts(accepted, tf.zeros([count - 1], tf.float64), tf.zeros(batch, tf.int32))


def advance(
    bridge: Bridge, betas: tf.Tensor, ladders: Ladders, num_sweeps: tf.Tensor, seed: tf.Tensor
) -> tuple[Ladders, Counts]:
    """`num_sweeps` times: a sweep at every temperature, then exchanges.

    Args:
      bridge: from the base to the target, any batch shape [...].
      betas: inverse temperatures, float32, [T].
      ladders: shapes must be static.
      num_sweeps: an integer or scalar tensor.
      seed: int32, shape [2]; of the whole run, since each step folds in `ladders.step`.
    """
    at = _of_each_chain(betas, ladders)
    # folded outside of the loop: nested three deep in it, XLA compiles for 20 s instead of 2
    sweep_seed, swap_seed = seeds.fold_in(seed, 0), seeds.fold_in(seed, 1)

    def body(i: tf.Tensor, ladders: Ladders, counts: Counts) -> tuple:
        state = bridge.sweep(
            gibbs.merged(ladders.state), at, seeds.fold_in(sweep_seed, ladders.step)
        )
        ladders = ladders._replace(state=gibbs.apart(state, ladders.legs.shape[-2:]))
        ladders, more = swap(bridge, betas, ladders, seeds.fold_in(swap_seed, ladders.step))
        return i + 1, ladders, tf.nest.map_structure(tf.add, counts, more)

    _, ladders, counts = tf.while_loop(
        lambda i, *_: i < num_sweeps, body, (tf.constant(0), ladders, no_counts(ladders))
    )
    return ladders, counts


def swap(
    bridge: Bridge, betas: tf.Tensor, ladders: Ladders, seed: tf.Tensor
) -> tuple[Ladders, Counts]:
    """Offers exchanges to the pairs (t, t + 1) of which t + `ladders.step` is even."""
    t = tf.range(betas.shape[0])
    partner = t + 1 - 2 * ((t + ladders.step) % 2)
    partner = tf.where((partner < 0) | (partner >= betas.shape[0]), t, partner)
    log_ratio = _log_ratio(bridge, betas, partner, ladders)
    # both of a pair look at the lower one's number, and their ratios are equal bit by bit
    draws = tf.gather(seeds.uniform(seed, ladders.legs.shape), tf.minimum(t, partner), axis=-2)
    accepted = tf.math.log(tf.cast(draws, tf.float64)) < log_ratio
    state = tuple(
        tf.where(accepted[..., None], tf.gather(x, partner, axis=-3), x) for x in ladders.state
    )
    legs = tf.where(accepted, tf.gather(ladders.legs, partner, axis=-2), ladders.legs)
    legs, round_trips = _turn_at_ends(legs)
    offered = tf.cast(partner[:-1] > t[:-1], tf.float64)
    rate = tf.reduce_mean(tf.exp(tf.minimum(log_ratio, 0)), -1)[..., :-1]
    return Ladders(state, legs, ladders.step + 1), Counts(rate * offered, offered, round_trips)


def observe(
    bridge: Bridge, betas: tf.Tensor, ladders: Ladders, seed: tf.Tensor
) -> tuple[State, tf.Tensor]:
    """All blocks' states, [..., T, C, n_k], and the target's energies, float64, [..., T, C]."""
    state = bridge.complete(gibbs.merged(ladders.state), _of_each_chain(betas, ladders), seed)
    energies = tf.cast(bridge.machine.energy(state), tf.float64)
    return gibbs.apart(state, ladders.legs.shape[-2:]), tf.reshape(energies, ladders.legs.shape)


def neighbour_weights(
    bridge: Bridge, betas: tf.Tensor, ladders: Ladders
) -> tuple[tf.Tensor, tf.Tensor]:
    """log p* at the next temperature less that at each state's own, float64, [..., T - 1, C].

    Forward of the states 0 to T - 2 to the next colder, and backward of 1 to T - 1 to the hotter.
    """
    colder = _log_weights(bridge, betas, tf.concat([betas[1:], betas[-1:]], 0), ladders)
    hotter = _log_weights(bridge, betas, tf.concat([betas[:1], betas[:-1]], 0), ladders)
    return colder[..., :-1, :], hotter[..., 1:, :]


def _log_weights(
    bridge: Bridge, betas: tf.Tensor, others: tf.Tensor, ladders: Ladders
) -> tf.Tensor:
    """log p* at other temperatures less that at each state's own, float64, [..., T, C]."""
    own, other = _of_each_chain(betas, ladders), _of_each_chain(others, ladders)
    return tf.reshape(
        bridge.log_weight(gibbs.merged(ladders.state), own, other), ladders.legs.shape
    )


def _log_ratio(bridge: Bridge, betas: tf.Tensor, partner: tf.Tensor, ladders: Ladders) -> tf.Tensor:
    """log of the ratio that decides an exchange with `partner` [T], float64, [..., T, C]."""
    weights = _log_weights(bridge, betas, tf.gather(betas, partner), ladders)
    return weights + tf.gather(weights, partner, axis=-2)


def _turn_at_ends(legs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Legs after the ends were visited, and the number of round trips that ended."""
    base, between, target = legs[..., :1, :], legs[..., 1:-1, :], legs[..., -1:, :]
    round_trips = tf.reduce_sum(tf.cast(target == 2, tf.int32), [-2, -1])
    base = tf.where(base == 1, 2, base)
    return tf.concat([base, between, tf.ones_like(target)], -2), round_trips


def _of_each_chain(betas: tf.Tensor, ladders: Ladders) -> tf.Tensor:
    """[T] as [T C]: replicas are chains, each with its own temperature."""
    return tf.repeat(betas, ladders.legs.shape[-1])
