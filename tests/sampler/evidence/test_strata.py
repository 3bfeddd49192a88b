"""Z in parts, on numbers made up in NumPy."""

import numpy as np

from sampler.evidence import strata
from sampler.evidence.assignment import apportioned, assign

PARTS = np.array([0.5, 2.0, 0.1])


def simulated(rng, num_chains):
    """Weights of chains from two bases, each of which finds two of three parts often and the rest
    rarely; the mean weight of a chain in a part, times how often it is reached, is the part's Z."""
    reach = np.array([[0.60, 0.38, 0.02], [0.02, 0.48, 0.50]])
    label = np.stack([rng.choice(3, size=num_chains, p=p) for p in reach])
    noise = rng.normal(scale=0.5, size=label.shape)
    mean = PARTS[label] / np.take_along_axis(reach, label, 1)
    return np.log(mean) + noise - 0.125, label, np.arange(2)


def test_the_mean_over_bases_is_unbiased_and_its_error_right():
    rng = np.random.default_rng(0)
    found = [strata.choose(*simulated(rng, 200), (2, 3)) for _ in range(1500)]
    ratios = np.exp([parts.log_z for parts in found]) / PARTS.sum()
    # 1500 estimates of about 5% each: the mean is known to 0.13%
    assert abs(ratios.mean() - 1) < 5 * ratios.std() / np.sqrt(len(ratios))
    said = np.median([parts.stderr for parts in found])
    assert 0.85 < ratios.std() / said < 1.2


def test_contributions_add_up():
    parts = strata.choose(*simulated(np.random.default_rng(1), 100), (2, 3))
    np.testing.assert_allclose(np.logaddexp.reduce(parts.contributions.ravel()), parts.log_z)
    np.testing.assert_allclose(parts.shares.sum(0), 1)


def test_a_base_that_misses_most_of_a_part_is_contradicted():
    """One base's weights of a part are even and far too small, as behind a transition."""
    rng = np.random.default_rng(2)
    log_weights = rng.normal(scale=0.1, size=(2, 200))
    log_weights[1] += 10
    parts = strata.choose(log_weights, np.zeros((2, 200), int), np.arange(2), (2, 1))
    assert abs(parts.log_z - 10) < 0.05
    assert parts.shares[0, 0] == 0


def test_runs_of_one_base_count_as_one():
    rng = np.random.default_rng(3)
    log_weights, label = rng.normal(size=(1, 400)), rng.integers(2, size=(1, 400))
    one = strata.table(log_weights, label, np.zeros(1, int), (1, 2))
    cut = strata.table(log_weights.reshape(4, 100), label.reshape(4, 100), np.zeros(4, int), (1, 2))
    for a, b in zip(one, cut, strict=True):
        np.testing.assert_allclose(a, b)


def even_and_narrow(rng, num_chains=400, hidden=0.0):
    """A base whose chains end in all of eight parts, and one for each part, which end there alone.

    The weights of the first are a little more even. Of a ninth part, of size `hidden`, it knows
    nothing.
    """
    ends, sizes, scales = [rng.integers(8, size=num_chains)], [1.0], [0.2]
    for part in range(9 if hidden else 8):
        ends.append(np.full(num_chains, part))
        sizes.append(1 / 8 if part < 8 else hidden)
        scales.append(0.3)
    size, scale = (np.array(x)[:, None] for x in (sizes, scales))
    log_weights = rng.normal(np.log(size) - scale**2 / 2, scale, (len(ends), num_chains))
    return log_weights, np.stack(ends), np.arange(len(ends)), (len(ends), len(ends) - 1)


def test_a_base_that_sees_everything_counts_everything():
    """Bases of the parts' own would each have an error to add."""
    data = even_and_narrow(np.random.default_rng(4))
    found = assign(strata.table(*data), to_come=True)
    assert np.all(found.base == 0)
    np.testing.assert_allclose(found.errors, [0.2, *[0] * 8], rtol=0.15)


def test_a_base_of_its_own_counts_what_the_others_miss():
    data = even_and_narrow(np.random.default_rng(5), hidden=3.0)
    found = assign(strata.table(*data), to_come=True)
    np.testing.assert_array_equal(found.base, [*[0] * 8, 9])
    parts = strata.choose(*data)
    assert abs(parts.log_z - np.log(4)) < 5 * parts.stderr < 0.1


def test_what_an_earlier_round_found_counts_against_a_base():
    log_weights, label, base, shape = even_and_narrow(np.random.default_rng(6))
    more = strata.table(log_weights + 1, label, base, shape)
    low = log_weights.copy()
    low[0] -= 0.5
    table = strata.table(low, label, base, shape)
    assert np.all(assign(table, to_come=True).base != 0)
    assert assign(table, [more], to_come=True).errors.sum() > 5 * assign(more).errors.sum()


def test_runs_are_apportioned():
    np.testing.assert_array_equal(apportioned(np.array([1.0]), 5), [5])
    np.testing.assert_array_equal(apportioned(np.array([6.0, 2.0, 0.0]), 9), [6, 2, 1])
    np.testing.assert_array_equal(apportioned(np.zeros(3), 3), [1, 1, 1])
    assert apportioned(np.array([1.0, *[1e-9] * 9]), 16).sum() == 16
