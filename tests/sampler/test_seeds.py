"""The random numbers: range, frequencies, correlations, avalanche, seeds."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import seeds

COUNT = 1 << 20
SEEDS = (0, 1, 2, 12345, 2**80 + 7)


@tf.function(jit_compile=True)
def draw(seed):
    return seeds.uniform(seed, [COUNT])


@tf.function(jit_compile=True)
def draw_of_each(seed, count, length):
    """[count, length]: row i is drawn with fold_in(seed, i)."""
    rows = tf.range(count)
    return tf.map_fn(lambda i: seeds.uniform(seeds.fold_in(seed, i), [length]), rows, tf.float32)


@pytest.fixture(scope="module", params=SEEDS)
def numbers(request):
    return draw(seeds.make_seed(request.param)).numpy().astype(np.float64)


def mantissas(u):
    """The 23 random bits of each uniform number."""
    return np.floor(np.asarray(u, np.float64) / seeds.RESOLUTION).astype(np.int64)


def flip_rates(before, after):
    """How often each of the 23 bits of two arrays of `mantissas` differs, [23]."""
    changed = before ^ after
    return np.array([(changed >> bit & 1).mean() for bit in range(23)])


# The range


def test_extremes_are_inside_the_open_interval():
    @tf.function(jit_compile=True)
    def extremes(seed):
        u = seeds.uniform(seed, [1 << 26])
        return tf.reduce_min(u), tf.reduce_max(u)

    # each end of the grid of 2^23 numbers is missed by 2^26 draws once in exp(8) = 3000
    low, high = extremes(seeds.make_seed(0))
    assert float(low) == seeds.RESOLUTION / 2
    assert float(high) == 1 - seeds.RESOLUTION / 2


def test_numbers_lie_on_the_grid(numbers):
    np.testing.assert_array_equal(numbers, (mantissas(numbers) + 0.5) * seeds.RESOLUTION)


# The same numbers however they are computed


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 4), (0,), (2, 0)])
def test_eager_graph_and_xla_agree_bit_for_bit(shape):
    seed = seeds.make_seed(3)
    eager = seeds.uniform(seed, shape)
    assert eager.dtype == tf.float32 and eager.shape == shape
    for jit_compile in (False, True):
        compiled = tf.function(lambda s: seeds.uniform(s, shape), jit_compile=jit_compile)  # noqa: B023
        np.testing.assert_array_equal(eager, compiled(seed))


def test_a_shape_known_only_when_run_gives_the_same_numbers():
    seed = seeds.make_seed(3)
    signature = [tf.TensorSpec([2], tf.int32), tf.TensorSpec([None], tf.int32)]
    dynamic = tf.function(seeds.uniform, input_signature=signature)
    np.testing.assert_array_equal(dynamic(seed, [3, 5]), seeds.uniform(seed, [3, 5]))


def test_a_number_depends_on_its_index_alone():
    seed = seeds.make_seed(3)
    long = seeds.uniform(seed, [60]).numpy()
    np.testing.assert_array_equal(long[:12], seeds.uniform(seed, [12]))
    np.testing.assert_array_equal(long.reshape(3, 4, 5), seeds.uniform(seed, [3, 4, 5]))


def test_a_large_draw_agrees_in_graph_and_xla():
    seed = seeds.make_seed(3)
    np.testing.assert_array_equal(draw(seed), tf.function(seeds.uniform)(seed, [COUNT]))


def test_numbers_of_known_seeds():
    """Pinned, so that a checkpoint resumed by a later version continues the same run."""
    expected = mantissas(seeds.uniform(tf.constant([1, -2]), [3]))
    reference = [reference_bits(counter, 1, 2**32 - 2) >> 9 for counter in range(3)]
    np.testing.assert_array_equal(expected, reference)


def reference_bits(counter, key0, key1):
    """The generator in Python's integers."""

    def mix(x):
        x = (x ^ x >> 16) * 0x7FEB352D % 2**32
        x = (x ^ x >> 15) * 0x846CA68B % 2**32
        return x ^ x >> 16

    return mix((mix(counter ^ key0) + key1) % 2**32)


# Moments and frequencies


def test_mean_and_variance(numbers):
    mean, stderr = oracles.mean_and_stderr(numbers)
    oracles.assert_within(mean, 0.5, stderr)
    mean, stderr = oracles.mean_and_stderr((numbers - 0.5) ** 2)
    oracles.assert_within(mean, 1 / 12, stderr)


@pytest.mark.parametrize("q", [1e-4, 0.01, 0.3, 0.5, 0.9, 1 - 1e-4])
def test_frequency_below_a_threshold(numbers, q):
    oracles.assert_within((numbers < q).mean(), q, np.sqrt(q * (1 - q) / COUNT), seeds.RESOLUTION)


def test_histogram(numbers):
    counts = np.bincount((numbers * 256).astype(int), minlength=256)
    # two-sided: numbers that fill the bins too evenly are not random either
    assert abs(oracles.chi_square(counts, np.full(256, COUNT / 256))) < 5


def test_low_bits_are_random_too(numbers):
    counts = np.bincount(mantissas(numbers) & 255, minlength=256)
    assert abs(oracles.chi_square(counts, np.full(256, COUNT / 256))) < 5


def test_pairs_of_neighbours_fill_the_square(numbers):
    cells = (numbers.reshape(-1, 2) * 16).astype(int) @ [16, 1]
    counts = np.bincount(cells, minlength=256)
    assert abs(oracles.chi_square(counts, np.full(256, COUNT / 512))) < 5


# Correlations


def correlation(x, y):
    return 12 * np.mean((x - 0.5) * (y - 0.5), -1)


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5, 7, 8, 16, 32, 64, 100, 128, 200, 256, 1000, 1024])
def test_no_correlation_between_lags(numbers, lag):
    # a mean of COUNT - lag products of sd 1 (nearly independent: sums of pairs share a factor only)
    oracles.assert_within(correlation(numbers[lag:], numbers[:-lag]), 0, (COUNT - lag) ** -0.5)


def test_no_correlation_between_streams_of_neighbouring_seeds():
    u = draw_of_each(seeds.make_seed(0), 512, 4096).numpy().astype(np.float64)
    neighbours = correlation(u[1:], u[:-1])
    oracles.assert_within(neighbours, 0, 4096**-0.5)
    # all 511 pairs together: 64 * 8 times as many products
    oracles.assert_within(neighbours.mean(), 0, (511 * 4096) ** -0.5)


def test_the_same_element_of_many_seeds_is_uniform_and_uncorrelated():
    """What a Gibbs chain sees: one number of each of the sweeps' seeds."""
    u = draw_of_each(seeds.make_seed(1), 1 << 16, 4).numpy().astype(np.float64)
    for i in range(4):
        counts = np.bincount((u[:, i] * 256).astype(int), minlength=256)
        assert abs(oracles.chi_square(counts, np.full(256, 256.0))) < 5
        lags = [correlation(u[lag:, i], u[:-lag, i]) for lag in (1, 2, 4, 16)]
        oracles.assert_within(lags, 0, 2.0**-8)
    oracles.assert_within(correlation(u[:, 0], u[:, 1]), 0, 2.0**-8)


# Avalanche: a flipped bit of the input flips each bit of the output half of the time


def test_avalanche_of_the_counter():
    drawn, rates = mantissas(draw(seeds.make_seed(3))), []
    for bit in range(20):
        pairs = drawn.reshape(-1, 2, 1 << bit)
        rates.append(flip_rates(pairs[:, 0], pairs[:, 1]))
    oracles.assert_within(rates, 0.5, 0.5 * (COUNT / 2) ** -0.5)


@pytest.mark.parametrize("word", [0, 1])
def test_avalanche_of_the_key(word):
    count = 1 << 16
    draw_some = tf.function(lambda seed: seeds.uniform(seed, [count]), jit_compile=True)
    seed = seeds.make_seed(4).numpy()
    before = mantissas(draw_some(seed))
    rates = []
    for bit in range(32):
        flipped = seed.copy()
        flipped.view(np.uint32)[word] ^= np.uint32(1) << np.uint32(bit)
        rates.append(flip_rates(before, mantissas(draw_some(flipped))))
    # half of the count: the first word is xored to the counter, so a pair may occur twice
    oracles.assert_within(rates, 0.5, 0.5 * (count / 2) ** -0.5)


@pytest.mark.parametrize("bit", range(0, 32))
def test_avalanche_of_folded_data(bit):
    """Each bit of both words of a folded seed changes half of the time with a bit of the data."""
    count = 1 << 14
    data = np.arange(count, dtype=np.int64) * 262147 % 2**32
    before = folded(0, data)
    changed = before ^ folded(0, data ^ 1 << bit)
    rates = [(changed >> np.uint32(k) & 1).mean(0) for k in range(32)]
    oracles.assert_within(rates, 0.5, 0.5 * (count / 2) ** -0.5)


# Seeds


@tf.function(jit_compile=True)
def fold_each(seed, data):
    return tf.map_fn(lambda item: seeds.fold_in(seed, item), data)


def folded(seed, data):
    """fold_in(make_seed(seed), item) of each item, uint32, [len(data), 2]."""
    words = np.asarray(data).astype(np.uint32).view(np.int32)
    return fold_each(seeds.make_seed(seed), words).numpy().view(np.uint32)


def test_the_same_seed_gives_the_same_numbers():
    np.testing.assert_array_equal(
        seeds.uniform(seeds.make_seed(5), [100]), seeds.uniform(seeds.make_seed(5), [100])
    )


def test_different_seeds_give_different_numbers():
    first = {tuple(seeds.uniform(seeds.make_seed(s), [4]).numpy()) for s in range(50)}
    children = {
        tuple(seeds.uniform(seeds.fold_in(seeds.make_seed(0), i), [4]).numpy()) for i in range(50)
    }
    assert len(first | children) == 100


def test_make_seed_takes_integers_of_any_size():
    words = {tuple(seeds.make_seed(n).numpy()) for n in (0, 1, 2**31, 2**32, 2**64, 2**64 + 1)}
    assert len(words) == 6
    assert seeds.make_seed(2**64).dtype == tf.int32 and seeds.make_seed(0).shape == [2]


def test_make_seed_refuses_a_negative_integer():
    with pytest.raises(ValueError, match="non-negative"):
        seeds.make_seed(-1)


def test_fold_in_is_distinct_for_a_hundred_thousand_values():
    for seed in (0, 1):
        words = folded(seed, np.arange(100_000))
        assert len(np.unique(words, axis=0)) == 100_000
        # 10^5 draws of 2^32 values leave 1.16 collisions on average: 5 standard errors are 5.4
        assert all(len(np.unique(words[:, i])) > 100_000 - 7 for i in (0, 1))


def test_fold_in_of_two_levels_is_distinct_and_ordered():
    parents = folded(0, np.arange(300))
    words = [fold_each(parent.view(np.int32), np.arange(300, dtype=np.int32)) for parent in parents]
    assert len(np.unique(np.concatenate([*words, parents.view(np.int32)]), axis=0)) == 300 * 301


def test_fold_in_takes_several_data_at_once():
    seed = seeds.make_seed(0)
    at_once = seeds.fold_in(seed, 3, 4)
    np.testing.assert_array_equal(at_once, seeds.fold_in(seeds.fold_in(seed, 3), 4))
    assert np.any(at_once != seeds.fold_in(seed, 4, 3))


@pytest.mark.parametrize("value", [0, 7, 2**31 - 1])
def test_fold_in_takes_python_numpy_and_tensor_integers(value):
    seed = seeds.make_seed(0)
    expected = seeds.fold_in(seed, value)
    for data in np.int32(value), np.int64(value), tf.constant(value), tf.constant(value, tf.int64):
        np.testing.assert_array_equal(seeds.fold_in(seed, data), expected)
    np.testing.assert_array_equal(fold_each(seed, tf.constant([value]))[0], expected)
