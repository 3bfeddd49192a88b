"""Stateless random numbers: a value is a function of (seed, counter) and of nothing else.

A seed is an int32 tensor of shape [2]; arguments `seed` of public functions take an integer too.
Seeds for a run, a step, a purpose, a replica are folded from one another, so that a run that is
stopped and resumed draws what it would have drawn.

The generator is counter-based (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"):
element i of a draw is a keyed bijection of i, two rounds of a 32-bit mixing permutation with a key
word added before each. XLA fuses it into the comparison that uses the number, so that a Gibbs
half-sweep never writes its uniforms to memory; `benchmarks/random_numbers.py` streams it into the
usual test batteries, and the tests hold its frequencies and correlations.
"""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from sampler.io.errors import expect

RESOLUTION = 2.0**-23
"""Uniforms are odd multiples of half of this: P(u < q) is within half of it of q."""

_GOLDEN = 0x9E3779B9


def make_seed(seed: int) -> tf.Tensor:
    """A seed (int32, shape [2]) from a non-negative integer of any size."""
    words = np.random.SeedSequence(seed).generate_state(2, np.uint32)
    return tf.constant(words.view(np.int32))


def as_seed(seed: int | tf.Tensor) -> tf.Tensor:
    """A seed from an integer, or the tensor itself: what every public function takes."""
    if tf.is_tensor(seed) or isinstance(seed, np.ndarray):
        return tf.convert_to_tensor(seed, tf.int32)
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    accepted = "an integer, 0 or more, or an int32 [2] tensor"
    expect(whole and seed >= 0, "seed", repr(seed), accepted)
    return make_seed(int(seed))


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
      shape: of the result; fewer than 2^31 elements.
    """
    counter = tf.reshape(tf.range(tf.reduce_prod(shape)), shape)
    mantissa = tf.bitcast(_shift_right(raw_bits(seed, counter), 9), tf.int32)
    return (tf.cast(mantissa, tf.float32) + 0.5) * RESOLUTION


def normal(seed: tf.Tensor, shape: Sequence[int] | tf.Tensor) -> tf.Tensor:
    """Standard normal float32 numbers, by the inverse distribution function; none beyond 5.3."""
    return math.sqrt(2) * tf.math.erfinv(2 * uniform(seed, shape) - 1)


def fine_uniform(seed: tf.Tensor, shape: Sequence[int] | tf.Tensor) -> tf.Tensor:
    """Uniform float64 numbers of 46 random bits: float32's 23 would miss rare events."""
    coarse, fine = (tf.cast(uniform(fold_in(seed, i), shape), tf.float64) for i in range(2))
    return coarse + (fine - 0.5) * RESOLUTION


def shape_of(x: tf.Tensor) -> tf.Tensor | list[int]:
    """A tensor's shape: a list where it is static."""
    return x.shape.as_list() if x.shape.is_fully_defined() else tf.shape(x)


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
