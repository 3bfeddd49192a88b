"""Stateless random numbers: a value is a function of (seed, counter) and of nothing else.

A seed is an int32 tensor of shape [2]. Seeds for a run, a step, a purpose, a replica are folded
from one another, so that a run that is stopped and resumed draws what it would have drawn.

The generator is counter-based (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"):
element i of a draw is a keyed bijection of i, two rounds of a 32-bit mixing permutation with a key
word added before each. XLA fuses it into the comparison that uses the number, so that a Gibbs
half-sweep never writes its uniforms to memory; `benchmarks/random_numbers.py` streams it into the
usual test batteries, and the tests hold its frequencies and correlations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

RESOLUTION = 2.0**-23
"""Uniforms are odd multiples of half of this: P(u < q) is within half of it of q."""

_GOLDEN = 0x9E3779B9


def make_seed(seed: int) -> tf.Tensor:
    """A seed (int32, shape [2]) from a non-negative integer of any size."""
    words = np.random.SeedSequence(seed).generate_state(2, np.uint32)
    return tf.constant(words.view(np.int32))


def fold_in(seed: tf.Tensor, *data: int | tf.Tensor) -> tf.Tensor:
    """The seed for `data` (integers, scalar tensors or Python's) below `seed`."""
    for item in data:
        key0, key1 = _key(seed)
        word = tf.bitcast(tf.cast(item, tf.int32), tf.uint32)
        first = _bits(word, key0, key1)
        second = _bits(word + _word(_GOLDEN), key1, first)
        seed = tf.bitcast(tf.stack([first, second]), tf.int32)
    return seed


def uniform(seed: tf.Tensor, shape: Sequence[int] | tf.Tensor) -> tf.Tensor:
    """Uniform float32 numbers in the open interval (0, 1), on a grid of `RESOLUTION`.

    Args:
      seed: int32, shape [2].
      shape: of the result; fewer than 2^31 elements.
    """
    counter = tf.reshape(tf.range(tf.reduce_prod(shape)), shape)
    mantissa = tf.bitcast(_shift_right(raw_bits(seed, counter), 9), tf.int32)
    return (tf.cast(mantissa, tf.float32) + 0.5) * RESOLUTION


def raw_bits(seed: tf.Tensor, counter: tf.Tensor) -> tf.Tensor:
    """The generator's 32 bits for each counter (int32, any shape), as uint32."""
    return _bits(tf.bitcast(counter, tf.uint32), *_key(seed))


def _key(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    words = tf.bitcast(seed, tf.uint32)
    return words[0], words[1]


def _bits(counter: tf.Tensor, key0: tf.Tensor, key1: tf.Tensor) -> tf.Tensor:
    return _mix(_mix(tf.bitwise.bitwise_xor(counter, key0)) + key1)


def _mix(x: tf.Tensor) -> tf.Tensor:
    """A bijection of 32-bit words (Wellons' `lowbias32`: xorshift, multiply, twice)."""
    x = tf.bitwise.bitwise_xor(x, _shift_right(x, 16)) * _word(0x7FEB352D)
    x = tf.bitwise.bitwise_xor(x, _shift_right(x, 15)) * _word(0x846CA68B)
    return tf.bitwise.bitwise_xor(x, _shift_right(x, 16))


def _shift_right(x: tf.Tensor, places: int) -> tf.Tensor:
    return tf.bitwise.right_shift(x, _word(places))


def _word(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint32)
