"""Enumeration of the smaller side against enumeration of all pairs of states."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from sampler import exact, seeds
from sampler.exact import enumeration
from sampler.machines.rbm import RBM

SEED = seeds.make_seed(0)
SHAPES = pytest.mark.parametrize("n1, n2", [(1, 1), (2, 5), (5, 2), (4, 4)])


def case(n1, n2, scale=1.0, batch=(2, 3)):
    params = oracles.parameters(np.random.default_rng(n1), n1, n2, scale, batch)
    return RBM(*(tf.constant(p) for p in params)), params


def each(params):
    """(index, b1, b2, w) of each member of a batch."""
    for i in np.ndindex(*params[0].shape[:-1]):
        yield i, [p[i] for p in params]


@pytest.fixture(params=[None, 24], ids=["one chunk", "many chunks"])
def chunks(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(enumeration, "_ELEMENTS", request.param)


@SHAPES
@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 10.0])
def test_log_z(chunks, n1, n2, scale):
    rbm, params = case(n1, n2, scale)
    log_z = exact.log_z(rbm)
    assert log_z.dtype == tf.float64 and log_z.shape == (2, 3)
    for i, member in each(params):
        np.testing.assert_allclose(log_z[i], oracles.log_z(*member), rtol=1e-12)


def test_log_z_without_batch_dimensions():
    rbm, params = case(3, 4, batch=())
    assert exact.log_z(rbm).shape == ()
    np.testing.assert_allclose(exact.log_z(rbm), oracles.log_z(*params), rtol=1e-12)


def test_log_z_in_a_graph():
    rbm, _ = case(3, 4)
    np.testing.assert_array_equal(tf.function(exact.log_z)(rbm), exact.log_z(rbm))


def test_energies_of_thousands_do_not_overflow():
    """All units on has the energy -6000, beside which nothing counts."""
    rbm = RBM(tf.fill([3], 1e3), tf.fill([2], -1e3), tf.fill([3, 2], 1e3))
    np.testing.assert_allclose(exact.log_z(rbm), 3e3 - 2e3 + 6e3, rtol=1e-15)
    np.testing.assert_allclose(exact.moments(rbm).pairs[0, 1], np.ones([3, 2]), rtol=1e-12)


@SHAPES
def test_moments(chunks, n1, n2):
    rbm, params = case(n1, n2)
    moments = exact.moments(rbm)
    values = *moments.means, moments.pairs[0, 1]
    assert [m.shape for m in values] == [(2, 3, n1), (2, 3, n2), (2, 3, n1, n2)]
    assert all(m.dtype == tf.float64 for m in values) and list(moments.pairs) == [(0, 1)]
    for i, member in each(params):
        truth = oracles.mean1(*member), oracles.mean2(*member), oracles.pairs(*member)
        for value, expected in zip(values, truth, strict=True):
            np.testing.assert_allclose(value[i], expected, rtol=1e-10)


@SHAPES
def test_log_prob(n1, n2):
    rbm, params = case(n1, n2)
    s1, s2 = oracles.states(n1), oracles.states(n2)
    z1, z2 = np.repeat(s1, len(s2), 0), np.tile(s2, (len(s1), 1))
    z1, z2 = (np.broadcast_to(z, (2, 3, *z.shape)).astype(np.float32) for z in (z1, z2))
    log_prob = exact.log_prob(rbm, (tf.constant(z1), tf.constant(z2)))
    assert log_prob.dtype == tf.float64 and log_prob.shape == z1.shape[:-1]
    for i, member in each(params):
        truth = np.log(oracles.probabilities(*member)).ravel()
        np.testing.assert_allclose(log_prob[i], truth, rtol=1e-10, atol=1e-12)


@SHAPES
def test_samples_follow_the_law(chunks, n1, n2):
    count = 100_000
    rbm, params = case(n1, n2, scale=0.5, batch=(2,))
    z1, z2 = exact.sample(rbm, count, SEED)
    assert z1.shape == (2, count, n1) and z2.shape == (2, count, n2)
    assert z1.dtype == z2.dtype == tf.float32
    for i, member in each(params):
        pairs = oracles.index(z1[i]) * 2**n2 + oracles.index(z2[i])
        expected = count * oracles.probabilities(*member).ravel()
        assert oracles.chi_square(np.bincount(pairs, minlength=2 ** (n1 + n2)), expected) < 5
    assert np.any(z1[0] != z1[1]) or np.any(z2[0] != z2[1])


def test_samples_repeat_with_their_seed_and_without_batch_dimensions():
    rbm, _ = case(4, 3, batch=())
    first, again, other = (exact.sample(rbm, 50, s) for s in (SEED, SEED, seeds.make_seed(1)))
    assert first[0].shape == (50, 4)
    np.testing.assert_array_equal(first[0], again[0])
    assert np.any(first[0] != other[0])


def test_twenty_units_against_independence():
    """Without couplings all is known in closed form, for 2^20 states too."""
    rng = np.random.default_rng(0)
    b1, b2 = rng.normal(size=(2, 20)).astype(np.float32)
    rbm = RBM(tf.constant(b1), tf.constant(b2), tf.zeros([20, 20]))
    both = np.concatenate([b1, b2]).astype(np.float64)
    np.testing.assert_allclose(exact.log_z(rbm), np.log1p(np.exp(both)).sum(), rtol=1e-12)
    z1, _ = exact.sample(rbm, 10_000, SEED)
    mean = 1 / (1 + np.exp(-b1.astype(np.float64)))
    oracles.assert_within(np.mean(z1, 0), mean, np.sqrt(mean * (1 - mean) / 10_000))


def test_enumeration_over_twenty_units_is_refused():
    rbm = RBM(tf.zeros([21]), tf.zeros([30]), tf.zeros([21, 30]))
    for call in exact.log_z, exact.moments, lambda rbm: exact.sample(rbm, 1, SEED):
        with pytest.raises(ValueError, match=r"machine: found blocks of \(21, 30\).*at most 20"):
            call(rbm)


def test_malformed_arguments_are_refused():
    rbm, _ = case(3, 2, batch=())
    with pytest.raises(ValueError, match="b1 .3,. with 1 values that are NaN"):
        exact.log_z(rbm._replace(b1=tf.constant([0, np.nan, 1])))
    with pytest.raises(ValueError, match="machine: found b1 .4,., b2 .2,., w .3, 2."):
        exact.moments(rbm._replace(b1=tf.zeros([4])))
    with pytest.raises(ValueError, match="num_samples: found 0"):
        exact.sample(rbm, 0, SEED)
