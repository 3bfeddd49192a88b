"""The methods of `python -m sampler sample`, by name in `METHODS`; each answers with states."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from sampler import gibbs, seeds
from sampler.command_line import tasks
from sampler.command_line.tasks import Answer, Task
from sampler.io.errors import expect
from sampler.machines.machine import AnyMachine, State
from sampler.tempering import parallel_tempering

MIXED = 1.05
"""R-hat above which chains are said to disagree."""

_RECORDS = 20
_TUNING = 12


def by_enumeration(task: Task, num_samples: int) -> Answer:
    """Independent samples, exactly distributed."""

    def method(task: Task) -> Answer:
        exact = tasks.exactly(task.machine)
        return Answer({}, state=exact.sample(task.machine, num_samples, task.seed))

    return tasks.in_groups(task, num_samples, method)


def by_gibbs(task: Task, num_samples: int, num_sweeps: int) -> Answer:
    """The last states of independent chains, and R-hat over the second half of their sweeps."""

    def method(task: Task) -> Answer:
        task.bar.reset(total=num_sweeps)
        # starts spread over all states, so that chains which do not mix differ
        anywhere = task.machine.with_fields([tf.zeros_like(f) for f in task.machine.fields])
        state = gibbs.initial(anywhere, num_samples, seeds.fold_in(task.seed, 0))
        records, trace = min(_RECORDS, num_sweeps), []
        for i, part in enumerate(np.array_split(np.arange(num_sweeps), records)):
            seed = seeds.fold_in(task.seed, 1, i)
            state, observed = _sweep(task.machine, state, tf.constant(len(part)), seed)
            trace.append(observed)
            task.bar.update(len(part))
        values, warnings = _agreement(np.array(trace[records // 2 :]))
        return Answer(values, warnings, state)

    return tasks.in_groups(task, num_samples, method)


def by_parallel_tempering(
    task: Task, num_samples: int, num_chains: int, num_sweeps: int, **flags: Any
) -> Answer:
    """Equally spaced states of the target's replica, from independent ladders."""
    ladders = min(num_chains, num_samples)
    kept = -(-num_samples // ladders)
    accepted = f"at least {kept}, for --num_samples of {num_samples} from {ladders} chains"
    expect(kept <= num_sweeps, "--num_sweeps", num_sweeps, accepted)

    def method(task: Task) -> Answer:
        begin = _ladder(task, **flags)
        thinning, burn_in = num_sweeps // kept, num_sweeps // 5
        task.bar.reset(total=burn_in + kept * thinning)
        how = ladders, kept * thinning, task.seed, burn_in, thinning
        bridge, betas = begin.bridge, begin.betas
        found = parallel_tempering.run(bridge, betas, *how, progress_fn=task.bar.update)
        values = {
            "log_z": found.log_z,
            "log_z_stderr": found.stderr,
            "swap_rate": np.min(found.swap_rates, -1),
            "round_trips": found.round_trips,
        }
        # of the last draw of each ladder a few may be too many
        state = tuple(x[..., :num_samples, :] for x in found.samples.state)
        return begin.evidence(Answer(values, found.warnings(), state, found))

    return tasks.in_groups(task, ladders * max(flags["num_temperatures"], kept), method)


def _ladder(task: Task, base: str, schedule: str, num_temperatures: int) -> tasks.Start:
    if schedule != "adaptive":
        return tasks.start(task, base, schedule, num_temperatures)
    begin, seed = tasks.start_from(task, base), seeds.fold_in(task.seed, -1)
    task.bar.reset(total=_TUNING)
    betas = parallel_tempering.tune_schedule(
        begin.bridge, seed, max_rounds=_TUNING, progress_fn=task.bar.update
    )
    return begin._replace(betas=betas)


def by_population_annealing(
    task: Task, num_samples: int, num_chains: int, num_runs: int, **flags: Any
) -> Answer:
    """Chains of the final populations, drawn by their weights."""
    total = num_chains * num_runs
    accepted = f"at most --num_chains times --num_runs, {total}"
    expect(num_samples <= total, "--num_samples", num_samples, accepted)
    flags |= {"num_chains": num_chains, "num_runs": num_runs}

    def method(task: Task) -> Answer:
        found, begin = tasks.anneal_populations(task, **flags)
        state = found.samples.equally_weighted(seeds.fold_in(task.seed, -2))
        # resampling has put copies and relatives side by side
        numbers = seeds.uniform(seeds.fold_in(task.seed, -3), state[0].shape[:-1])
        chosen = tf.argsort(numbers, -1)[..., :num_samples]
        state = tuple(tf.gather(x, chosen, axis=-2, batch_dims=chosen.ndim - 1) for x in state)
        values = {"log_z": found.log_z, "log_z_stderr": found.stderr, "rho_t": found.rho_t}
        return begin.evidence(Answer(values, found.warnings(), state, found))

    return tasks.in_groups(task, total, method)


@tf.function(jit_compile=True, autograph=False)
def _sweep(
    machine: AnyMachine, state: State, num_sweeps: tf.Tensor, seed: tf.Tensor
) -> tuple[State, tf.Tensor]:
    """Some sweeps, and what is compared between chains afterwards: [2, ..., C].

    The energy, and a sum of all units, in which the states of a categorical one count 1, 2, ...
    """
    state = gibbs.run(machine, state, num_sweeps, seed)
    sums = [
        tf.reduce_sum(x * (1.0 + tf.cast(tf.range(x.shape[-1]) % family.width, x.dtype)), -1)
        for family, x in zip(machine.families, state, strict=True)
    ]
    return state, tf.stack([machine.energy(state), tf.add_n(sums)])


def _agreement(trace: np.ndarray) -> tuple[dict[str, np.ndarray], list[str]]:
    """The larger R-hat of both quantities, trace [S, 2, ..., C], and a warning by it."""
    if len(trace) < 4 or trace.shape[-1] < 2:
        return {}, ["too few sweeps or chains to tell whether chains agree"]
    from sampler import diagnostics  # loads TensorFlow Probability, which takes seconds

    # a quantity that never changes has none
    r_hat = np.fmax.reduce(np.asarray(diagnostics.r_hat(np.moveaxis(trace, -1, 1))))
    found = f"chains disagree: R-hat {np.max(r_hat):.3g}, trusted up to {MIXED}"
    found += " (more sweeps, or --method=pt)"
    return {"r_hat": r_hat}, [found] if np.any(r_hat > MIXED) else []


METHODS: dict[str, Callable[..., Answer]] = {
    "exact": by_enumeration,
    "gibbs": by_gibbs,
    "pt": by_parallel_tempering,
    "pa": by_population_annealing,
}
"""By name; each takes a `Task`, `num_samples` and the flags that `options.SAMPLE` lists for it."""
