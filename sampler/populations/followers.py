"""log Z along a training, by populations that only watch.

`population_annealing.update` carries the population of which a training takes its gradient; the
parameters react to that population's own errors, so that its running estimate of log Z is biased
(low: it is blind to what it has lost). A follower has no such part in what it measures. It goes
straight from the parameters at which it stands to those that it is shown, in as many steps as that
takes, and so spares itself the noise of the training's path between them. R independent
populations, each with an estimate of its own, give the error. What moves them alike is not in it: a
mode that a training makes far from where they are is seen by none. `renew` anneals others from the
uniform distribution and, where they have found more, goes on with those.

  follower = followers.start(machine, seed=0)
  ...                                          # the machine is trained for a while
  follower = followers.follow(follower, machine, seed=(a new one))
  follower = followers.renew(follower, seed=(a new one))
  follower.log_z, follower.stderr, follower.warnings()
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sampler import gibbs, seeds
from sampler.annealing import bridge as bridges
from sampler.annealing import chains, schedules
from sampler.machines.machine import AnyMachine, State
from sampler.populations import result
from sampler.populations.population import RESAMPLE_BELOW, of_fields, resample
from sampler.weights.estimates import CONTRADICTION, Samples

NUM_RUNS, NUM_CHAINS, NUM_SWEEPS = 8, 128, 2
"""Independent populations, chains of each, and sweeps after each step."""

NUM_TEMPERATURES = 251
"""Of the annealing from the uniform distribution."""

STEP_VARIANCE = 0.1
"""Variance of the chains' log-weights that a step may have."""

MAX_STEPS = 1000
"""Of one move: further ones would be of more variance."""


class Follower(NamedTuple):
    """R weighted populations of C chains of a machine without batch dimensions.

    Attributes:
      machine: of which they are samples.
      state: of each block, float32 [R, C, n_k].
      log_weights: since the last resampling, float64 [R, C].
      resampled_log_z: log Z by each up to its last resampling, float64 [R].
    """

    machine: AnyMachine
    state: State
    log_weights: tf.Tensor
    resampled_log_z: tf.Tensor

    @property
    def run_log_z(self) -> np.ndarray:
        """Each population's estimate, float64 [R]."""
        count = np.log(self.log_weights.shape[-1])
        means = np.logaddexp.reduce(np.asarray(self.log_weights), -1) - count
        return np.asarray(self.resampled_log_z) + means

    @property
    def log_z(self) -> float:
        """log of the mean estimate of Z, in nats."""
        return float(result.log_mean(self.run_log_z)[0])

    @property
    def stderr(self) -> float:
        """The standard error of `log_z`, from the spread of R estimates."""
        return float(result.log_mean(self.run_log_z)[1])

    @property
    def ess(self) -> float:
        """Effective number of populations' estimates, between 1 and R."""
        weights = np.exp(self.run_log_z - self.run_log_z.max())
        return float(weights.sum() ** 2 / np.sum(weights**2))

    @property
    def samples(self) -> Samples:
        """All R C chains; their mean weight is exp(log_z)."""
        weights = self.log_weights + self.resampled_log_z[:, None]
        state = tuple(tf.reshape(x, [-1, x.shape[-1]]) for x in self.state)
        return Samples(state, tf.reshape(weights, [-1]))

    def warnings(self) -> list[str]:
        """What speaks against the estimate; empty when nothing does."""
        if self.stderr <= result.LARGEST_STDERR:
            return []
        return [
            f"populations disagree: standard error {self.stderr:.2g} of log Z; it is believed up "
            f"to {result.LARGEST_STDERR} (more chains, or a shorter way)"
        ]


def start(
    machine: AnyMachine,
    num_runs: int = NUM_RUNS,
    num_chains: int = NUM_CHAINS,
    seed: int | tf.Tensor = 0,
) -> Follower:
    """A follower at a machine, annealed to it from the uniform distribution.

    Of a machine that is not coupled it has exact samples.
    """
    machine, seed = machine.cast(), seeds.as_seed(seed)
    if np.any(machine.rms_coupling()):
        return _annealed(machine, num_runs, num_chains, seed)
    return Follower(machine, *of_fields(machine.copies(num_runs), num_chains, seed))


def renew(follower: Follower, seed: int | tf.Tensor) -> Follower:
    """The follower, or populations annealed anew, where these have found more or know it better.

    Both estimates are low on average: of two that contradict each other the larger is right.

    Args:
      seed: an integer, or int32 [2], not used before.
    """
    shape = follower.log_weights.shape
    new = _annealed(follower.machine, *shape, seeds.as_seed(seed))
    more, error = new.log_z - follower.log_z, np.hypot(new.stderr, follower.stderr)
    if abs(more) > CONTRADICTION * error:
        return new if more > 0 else follower
    return new if new.stderr < follower.stderr else follower


@tf.function(autograph=False, jit_compile=True)
def _annealed(machine: AnyMachine, num_runs: int, num_chains: int, seed: tf.Tensor) -> Follower:
    """Weighted chains by AIS from the uniform distribution."""
    bridge = bridges.from_uniform(machine.copies(num_runs))
    begun = chains.initial(bridge, num_chains, seeds.fold_in(seed, 0))
    betas = tf.constant(schedules.linear(NUM_TEMPERATURES))
    ended = chains.anneal(bridge, begun, betas, seeds.fold_in(seed, 1))
    state = bridge.complete(ended.state, tf.constant(1.0), seeds.fold_in(seed, 2))
    return Follower(machine, state, ended.log_weights, tf.zeros([num_runs], tf.float64))


@tf.function(autograph=False, jit_compile=True)
def follow(
    follower: Follower, machine: AnyMachine, seed: tf.Tensor, num_sweeps: int = NUM_SWEEPS
) -> Follower:
    """Carries a follower to other parameters: reweights, resamples where needed, sweeps.

    The parameters in between lie on a straight line, at equal distances, as many as bring the
    variance of a step's log-weights down to `STEP_VARIANCE`.

    Args:
      follower: at a machine of the same kind.
      machine: where to, without batch dimensions.
      seed: int32 [2], not used before.
      num_sweeps: after each step.
    """
    old, new = follower.machine, machine.cast()
    runs = follower.log_weights.shape[0]
    change = _log_change(old.copies(runs), new.copies(runs), follower.state)
    weights = tf.nn.softmax(follower.log_weights, -1)
    mean = tf.reduce_sum(weights * change, -1, keepdims=True)
    variance = tf.reduce_max(tf.reduce_sum(weights * (change - mean) ** 2, -1))
    count = tf.math.ceil(tf.sqrt(variance / STEP_VARIANCE))
    count = tf.cast(tf.clip_by_value(count, 1, MAX_STEPS), tf.int32)

    def at(i: tf.Tensor) -> AnyMachine:
        part = tf.cast(i, tf.float32) / tf.cast(count, tf.float32)
        return tf.nest.map_structure(lambda a, b: a + part * (b - a), old, new)

    def body(i: tf.Tensor, follower: Follower) -> tuple[tf.Tensor, Follower]:
        return i + 1, _step(follower, at(i), at(i + 1), seeds.fold_in(seed, i), num_sweeps)

    loop = (tf.constant(0), follower)
    _, follower = tf.while_loop(lambda i, _: i < count, body, loop)
    return follower._replace(machine=new)


def _step(
    follower: Follower, old: AnyMachine, new: AnyMachine, seed: tf.Tensor, num_sweeps: int
) -> Follower:
    """A follower's populations, at `old`, carried to `new`."""
    _, state, log_weights, log_z = follower
    old, new = (machine.copies(log_weights.shape[0]) for machine in (old, new))
    log_weights += _log_change(old, new, state)
    # a sweep redraws the first block before it reads it
    first = len(state) > 1
    kept = resample(state[first:], log_weights, seeds.fold_in(seed, 0), RESAMPLE_BELOW)
    begun = (None,) * first + kept.states
    state = gibbs.run(new, begun, num_sweeps, seeds.fold_in(seed, 1))
    return Follower(follower.machine, state, kept.log_weights, log_z + kept.log_mean)


def _log_change(old: AnyMachine, new: AnyMachine, state: State) -> tf.Tensor:
    """log of the ratio of p* at two machines, the first block summed out: float64, [..., C]."""
    difference = old.difference(new)
    summed = old.families[0].log_partition_change(
        old.natural(0, state), difference.natural(0, state)
    )
    total = tf.reduce_sum(summed, -1)
    if len(state) > 1:
        total += difference.interaction((None, *state[1:]))
    return tf.cast(total, tf.float64)
