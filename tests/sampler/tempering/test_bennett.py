"""Bennett's acceptance ratio against normal work distributions, where the answer is known."""

import numpy as np
import oracles
import tensorflow as tf

from sampler.tempering import bennett


def works(log_r, spread, shape, generator):
    """Forward and backward log-weights of variance `spread` squared whose true log-ratio is log_r.

    Normal with means log_r - spread^2 / 2 and -log_r - spread^2 / 2 (Crooks' relation).
    """
    forward, backward = spread * generator.normal(size=(2, *shape))
    half = spread**2 / 2
    return tf.constant(forward + log_r - half), tf.constant(backward - log_r - half)


def test_log_ratios_add_and_the_error_is_calibrated():
    """z-scores of 300 batch members; Student's t of 39 degrees has a deviation of 1.03."""
    log_r = np.array([-3.0, 0.5, 1000.0])[:, None]
    shape = (5, 300, 3, 40)
    total, stderr = bennett.log_ratio(*works(log_r, 1.5, shape, np.random.default_rng(0)))
    assert total.shape == (300,) and stderr.shape == (300,) and total.dtype == tf.float64
    z_scores = (total - log_r.sum()) / stderr
    assert abs(np.mean(z_scores)) < 5 / np.sqrt(300)
    assert abs(np.std(z_scores, ddof=1) - 1.03) < 5 / np.sqrt(600)


def test_correlated_steps_are_in_the_error():
    """Each ladder's 10 steps are copies of one: the error is that of the one."""
    forward, backward = works(1.0, 1.0, (1, 2, 1000), np.random.default_rng(1))
    once = bennett.log_ratio(forward, backward)
    copies = bennett.log_ratio(tf.repeat(forward, 10, 0), tf.repeat(backward, 10, 0))
    np.testing.assert_allclose(once, copies, rtol=1e-9)


def test_it_solves_bennetts_equation():
    """One pair without overlap of the one-sided means: the root by bisection."""
    forward, backward = (x.numpy() for x in works(5.0, 3.0, (4, 1, 6), np.random.default_rng(2)))
    low, high = -50.0, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        hot = (1 / (1 + np.exp(middle - forward))).sum()
        cold = (1 / (1 + np.exp(-middle - backward))).sum()
        low, high = (middle, high) if hot > cold else (low, middle)
    total, _ = bennett.log_ratio(tf.constant(forward), tf.constant(backward))
    oracles.assert_within(total, low, 0, 1e-6)


def test_a_single_ladder_has_no_error_to_tell():
    _, stderr = bennett.log_ratio(*works(0.0, 1.0, (10, 2, 1), np.random.default_rng(3)))
    assert np.isnan(stderr)
