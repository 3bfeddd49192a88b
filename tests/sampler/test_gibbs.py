"""Gibbs sweeps against enumerated laws: of one, two, three sweeps, and of the stationary state."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import families, gibbs, seeds
from sampler.machines.rbm import RBM

SEED = seeds.make_seed(0)
SWEEPS = 40
CHAINS = 5000  # runs in groups of 500; one less does not

run_compiled = tf.function(gibbs.run, jit_compile=True)


def rbm_of(params):
    return RBM(*(tf.constant(p) for p in params))


def assert_law(z1, z2, table):
    """Independent chains' states have these probabilities: moments to 5 errors, and chi-square."""
    z1, z2 = np.asarray(z1), np.asarray(z2)
    n1, n2 = z1.shape[-1], z2.shape[-1]
    truth = np.einsum("ij,ijk->k", table, state_statistics(n1, n2))
    # a binary statistic of mean p has variance p (1 - p); p may be 1 up to its rounding
    stderr = np.sqrt(abs(truth * (1 - truth)) / len(z1))
    oracles.assert_within(oracles.statistics(z1, z2).mean(0), truth, stderr, 1e-12)
    assert oracles.chi_square(*grouped_counts(z1, z2, table)) < 5


def state_statistics(n1, n2):
    s1, s2 = oracles.states(n1)[:, None], oracles.states(n2)[None]
    shape = (2**n1, 2**n2)
    return oracles.statistics(np.broadcast_to(s1, (*shape, n1)), np.broadcast_to(s2, (*shape, n2)))


def grouped_counts(z1, z2, table):
    """Counts of states and what is expected, states of fewer than 5 expected taken together."""
    counts = np.zeros(table.shape)
    np.add.at(counts, (oracles.index(z1), oracles.index(z2)), 1)
    expected = table * len(z1)
    rare = expected < 5
    last = [a[rare].sum() for a in (counts, expected)]
    counts, expected = counts[~rare], expected[~rare]
    if last[1] < 5:  # too few even together: to a common state
        counts[0], expected[0] = counts[0] + last[0], expected[0] + last[1]
        return counts, expected
    return np.append(counts, last[0]), np.append(expected, last[1])


def assert_mixed(params):
    """SWEEPS sweeps forget their start: second eigenvalue of the enumerated kernel."""
    eigenvalues = np.sort(abs(np.linalg.eigvals(oracles.sweep_kernel(*params))))
    assert eigenvalues[-2] ** SWEEPS < 1e-4


# Stationary distribution


@pytest.mark.parametrize(
    "chains, n1, n2, scale",
    [(CHAINS, 4, 3, 0.3), (CHAINS - 1, 3, 4, 1.0), (CHAINS, 2, 5, 2.0), (CHAINS - 1, 5, 2, 2.0)],
)
def test_long_runs_have_the_enumerated_law(chains, n1, n2, scale):
    params = oracles.parameters(np.random.default_rng(n2), n1, n2, scale)
    assert_mixed(params)
    rbm = rbm_of(params)
    z1, z2 = gibbs.run(rbm, gibbs.initial(rbm, chains, SEED), SWEEPS, seeds.fold_in(SEED, 1))
    assert z1.shape == (chains, n1) and z2.shape == (chains, n2)
    assert_law(z1, z2, oracles.probabilities(*params))


@pytest.mark.parametrize(
    "batch, run", [((3,), run_compiled), ((2, 2), gibbs.run)], ids=["compiled", "eager"]
)
def test_each_of_a_batch_has_its_own_law(batch, run):
    params = oracles.parameters(np.random.default_rng(1), 3, 4, 0.8, batch)
    rbm = rbm_of(params)
    z1, z2 = run(rbm, gibbs.initial(rbm, 4000, SEED), SWEEPS, seeds.fold_in(SEED, 1))
    assert z1.shape == (*batch, 4000, 3) and z2.shape == (*batch, 4000, 4)
    for i in np.ndindex(*batch):
        member = [p[i] for p in params]
        assert_mixed(member)
        assert_law(z1[i], z2[i], oracles.probabilities(*member))


def test_a_sweep_leaves_exact_samples_exact():
    params = oracles.parameters(np.random.default_rng(2), 3, 3, 1.0)
    _, z2 = oracles.samples(*params, 100_000, np.random.default_rng(3))
    z1, z2 = gibbs.sweep(rbm_of(params), (None, tf.constant(z2, tf.float32)), SEED)
    assert_law(z1, z2, oracles.probabilities(*params))


@pytest.mark.parametrize("chains", [CHAINS, CHAINS - 1], ids=["grouped", "ungrouped"])
def test_without_couplings_units_are_independent(chains):
    b1, b2, w = oracles.parameters(np.random.default_rng(4), 4, 6, 2.0)
    z1, z2 = gibbs.run(rbm_of((b1, b2, 0 * w)), (None, tf.zeros([chains, 6])), 1, SEED)
    p1, p2 = (1 / (1 + np.exp(-np.float64(b))) for b in (b1, b2))
    truth = np.concatenate([p1, p2, np.outer(p1, p2).ravel()])
    stderr = np.sqrt(truth * (1 - truth) / chains)
    oracles.assert_within(oracles.statistics(z1, z2).mean(0), truth, stderr)


# The number of sweeps, and the order of chains


@pytest.mark.parametrize("chains", [CHAINS, CHAINS - 1], ids=["grouped", "ungrouped"])
@pytest.mark.parametrize("sweeps", [1, 2, 3])
def test_run_makes_exactly_the_sweeps_asked_for(sweeps, chains):
    """A strongly coupled RBM remembers its start, so k sweeps and k + 1 have different laws."""
    params = np.full(2, -3.6), np.full(3, -2.4), np.full((2, 3), 2.4)
    laws = [oracles.after_sweeps(*params, np.ones(3), k) for k in range(1, 5)]
    assert min(oracles.kl(laws[k], laws[k + 1]) for k in range(3)) > 0.01  # 50 nats of evidence
    rbm = rbm_of([p.astype(np.float32) for p in params])
    z1, z2 = gibbs.run(rbm, (None, tf.ones([chains, 3])), sweeps, SEED)
    assert_law(z1, z2, laws[sweeps - 1])


@pytest.mark.parametrize("chains", [1500, 1501], ids=["grouped", "ungrouped"])
def test_chains_keep_their_places(chains):
    """Couplings of 400 freeze chains in the all-on or all-off state where they began."""
    rbm = rbm_of([np.full(n, -600.0, np.float32) for n in (3, 3)] + [np.full((3, 3), 400, "f4")])
    on = np.random.default_rng(5).integers(0, 2, (chains, 1)).astype(np.float32)
    z1, z2 = gibbs.run(rbm, (None, tf.tile(tf.constant(on), [1, 3])), 3, SEED)
    np.testing.assert_array_equal(z1, np.tile(on, 3))
    np.testing.assert_array_equal(z2, np.tile(on, 3))


def test_groups_are_independent():
    """Units of probability 1/2: the 4 groups of 500 chains agree in half of their units."""
    rbm = rbm_of(oracles.parameters(np.random.default_rng(6), 20, 20, 0.0))
    z1, z2 = gibbs.run(rbm, (None, tf.zeros([2000, 20])), 1, SEED)
    groups = np.concatenate([z1, z2], -1).reshape(4, -1)
    agreement = [(groups[i] == groups[j]).mean() for i in range(4) for j in range(i)]
    oracles.assert_within(agreement, 0.5, 0.5 / np.sqrt(groups.shape[1]))


@pytest.mark.parametrize("num_sweeps", [0, -1])
def test_fewer_than_one_sweep_is_refused(num_sweeps):
    rbm = rbm_of(oracles.parameters(np.random.default_rng(0), 2, 2, 1.0))
    with pytest.raises(ValueError, match=f"num_sweeps: found {num_sweeps}; accepted: 1 or more"):
        gibbs.run(rbm, (None, tf.zeros([3, 2])), num_sweeps, SEED)


# The injected draw


def test_sweep_uses_the_injected_draw():
    """Threshold units, by hand: z1 from z2, then z2 from the new z1."""
    w = tf.constant([[2.0, -1.0], [-3.0, 1.0], [1.0, 1.0]])
    rbm = RBM(tf.constant([-1.0, 0.5, -1.5]), tf.constant([0.5, -0.5]), w)
    z2 = tf.constant([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    z1, new_z2 = gibbs.sweep(
        rbm, (None, z2), SEED, lambda _, eta, seed: tf.cast(eta > 0, "float32")
    )
    # eta of z1: (1, -2.5, -.5), (-1, .5, -1.5), (0, -1.5, .5)
    np.testing.assert_array_equal(z1, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    # eta of z2: (2.5, -1.5), (-2.5, .5), (1.5, .5)
    np.testing.assert_array_equal(new_z2, [[1, 0], [0, 1], [1, 1]])


def test_sweep_gives_each_block_its_own_seed():
    received = []

    def draw(family, eta, seed):
        assert family == families.Bernoulli()
        received.append(tuple(seed.numpy()))
        return tf.zeros_like(eta)

    rbm = rbm_of(oracles.parameters(np.random.default_rng(0), 2, 2, 1.0))
    gibbs.sweep(rbm, (None, tf.zeros([1, 2])), SEED, draw)
    gibbs.sweep(rbm, (None, tf.zeros([1, 2])), seeds.fold_in(SEED, 1), draw)
    assert len(set(received)) == 4


def test_a_relaxed_sweep_is_differentiable():
    """With draw = sigmoid the sweep is a function, whose gradient finite differences give."""
    b1, b2, w = (np.float64(p) for p in oracles.parameters(np.random.default_rng(7), 2, 2, 1.0))
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731

    def total(w):
        return sigmoid(sigmoid(np.ones(2) @ w.T + b1) @ w + b2).sum()

    rbm = rbm_of([p.astype(np.float32) for p in (b1, b2, w)])
    with tf.GradientTape() as tape:
        tape.watch(rbm.w)
        state = gibbs.sweep(
            rbm, (None, tf.ones([1, 2])), SEED, lambda _, eta, seed: tf.sigmoid(eta)
        )
        z2 = state[1]
        value = tf.reduce_sum(z2)
    gradient = tape.gradient(value, rbm.w).numpy()
    for i in np.ndindex(2, 2):
        step = np.zeros((2, 2))
        step[i] = 1e-5
        difference = (total(w + step) - total(w - step)) / 2e-5
        np.testing.assert_allclose(gradient[i], difference, atol=1e-5)


# Clamped units


def conditional(params, mask1, row1, mask2, row2):
    """p(z1, z2) given that masked units have the rows' values, [2^n1, 2^n2]."""
    fits1 = np.all((oracles.states(len(mask1)) == row1) | ~mask1, -1)
    fits2 = np.all((oracles.states(len(mask2)) == row2) | ~mask2, -1)
    table = oracles.probabilities(*params) * np.outer(fits1, fits2)
    return table / table.sum()


MASK1, ROW1 = np.array([True, False, False, True]), np.array([1.0, 0, 0, 0], np.float32)
MASK2, ROW2 = np.array([False, True, False]), np.array([0, 1.0, 0], np.float32)


@pytest.mark.parametrize(
    "clamp",
    [
        gibbs.Clamp((MASK1, None), (ROW1, None)),
        gibbs.Clamp((None, MASK2), (None, ROW2)),
        gibbs.Clamp((MASK1, MASK2), (ROW1, ROW2)),
    ],
    ids=["first", "second", "both"],
)
def test_free_units_follow_their_law_given_the_clamped_ones(clamp):
    params = oracles.parameters(np.random.default_rng(9), 4, 3, 1.0)
    rbm = rbm_of(params)
    start = gibbs.initial(rbm, CHAINS, SEED)
    z1, z2 = gibbs.run(rbm, start, SWEEPS, seeds.fold_in(SEED, 1), clamp)
    held1 = MASK1 & (clamp.masks[0] is not None)
    held2 = MASK2 & (clamp.masks[1] is not None)
    table = conditional(params, held1, ROW1, held2, ROW2)
    assert oracles.kl(table, oracles.probabilities(*params)) > 0.1
    assert_law(z1, z2, table)


def test_a_side_that_is_clamped_whole_holds_from_the_first_sweep():
    """z1 given z2, in closed form, though the sweep is handed another z2; each chain its own."""
    b1, b2, w = oracles.parameters(np.random.default_rng(10), 4, 3, 1.0)
    rows = np.repeat(oracles.states(3), 5000, 0).astype(np.float32)
    clamp = gibbs.Clamp((None, tf.ones([3], tf.bool)), (None, tf.constant(rows)))
    z1, z2 = run_compiled(rbm_of((b1, b2, w)), (None, tf.constant(1 - rows)), 1, SEED, clamp)
    np.testing.assert_array_equal(z2, rows)
    p = 1 / (1 + np.exp(-(oracles.states(3) @ np.float64(w).T + b1)))
    means = np.reshape(z1, (8, 5000, 4)).mean(1)
    oracles.assert_within(means, p, np.sqrt(p * (1 - p) / 5000))


def test_a_clamp_of_nothing_changes_nothing():
    rbm = rbm_of(oracles.parameters(np.random.default_rng(11), 4, 3, 1.0))
    start = gibbs.initial(rbm, 500, SEED)
    free = gibbs.run(rbm, start, 3, SEED)
    clamped = gibbs.run(rbm, start, 3, SEED, gibbs.Clamp((None, None), (None, None)))
    tf.nest.map_structure(np.testing.assert_array_equal, free, clamped)


# Bernoulli units and initial states


def test_bernoulli_frequencies():
    logits = np.array([-9.0, -3, -1, 0, 0.5, 2, 6], np.float32)
    z = families.Bernoulli().sample(tf.tile(tf.constant(logits)[None], [200_000, 1]), SEED)
    p = 1 / (1 + np.exp(-np.float64(logits)))
    assert z.dtype == tf.float32 and set(np.unique(z)) == {0, 1}
    oracles.assert_within(np.mean(z, 0), p, np.sqrt(p * (1 - p) / 200_000))


def test_bernoulli_of_certain_units():
    z = families.Bernoulli().sample(tf.tile([[-200.0, 200.0]], [10_000, 1]), SEED)
    np.testing.assert_array_equal(z, np.tile([0, 1], (10_000, 1)))


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
def test_initial_states_follow_the_biases(batch):
    params = oracles.parameters(np.random.default_rng(8), 2, 4, 1.5, batch)
    state = gibbs.initial(rbm_of(params), 10_000, SEED)
    for z, bias, n in zip(state, params, (2, 4), strict=False):
        assert z.shape == (*batch, 10_000, n)
        p = 1 / (1 + np.exp(-np.float64(bias)))
        oracles.assert_within(np.mean(z, -2), p, np.sqrt(p * (1 - p) / 10_000))
