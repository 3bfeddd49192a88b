"""Z in parts, on numbers made up in NumPy."""

import numpy as np

from sampler.evidence import strata

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
