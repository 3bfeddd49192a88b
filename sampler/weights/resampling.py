"""Effective sample size and resampling of weighted populations.

A scheme draws each chain's number of copies with mean C w, w its normalised weight, and answers
with the parents of the C places, sorted: chains keep their order, so that families stay together.
Chosen by name from `SCHEMES`; float64 throughout, any batch shape.
"""

from collections.abc import Callable

import tensorflow as tf

from sampler import seeds


def effective_sample_size(log_weights: tf.Tensor) -> tf.Tensor:
    """(sum w)^2 / sum w^2 over the last axis (Kong 1992); between 1 and the number of chains."""
    return tf.exp(
        2 * tf.reduce_logsumexp(log_weights, -1) - tf.reduce_logsumexp(2 * log_weights, -1)
    )


def log_mean_exp(log_weights: tf.Tensor) -> tf.Tensor:
    """log of the mean weight over the last axis."""
    count = tf.cast(tf.shape(log_weights)[-1], log_weights.dtype)
    return tf.reduce_logsumexp(log_weights, -1) - tf.math.log(count)


def systematic(log_weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Parents by systematic resampling (Kitagawa 1996), in a time linear in C.

    One uniform number places a comb of C equidistant teeth on the cumulated weights, so that the
    number of copies of chain c is C w_c rounded up or down, and its mean is C w_c to within the
    uniform's resolution of 2^-24. For float64 `log_weights`, unnormalised, [..., C], the answer is
    sorted int32 indices [..., C].
    """
    num_chains = tf.shape(log_weights)[-1]
    count = tf.cast(num_chains, log_weights.dtype)
    offset = tf.cast(seeds.uniform(seed, tf.shape(log_weights[..., :1])), log_weights.dtype)
    # the number of teeth (k + offset) / C up to the end of each chain's part
    teeth = tf.math.ceil(count * _cumulated(tf.nn.softmax(log_weights, -1)) - offset)
    teeth = tf.clip_by_value(tf.cast(teeth, tf.int32), 0, num_chains)
    # tooth k is in the part of the chain with as many chains before it as have at most k teeth
    passed = _histogram(teeth[..., :-1], num_chains + 1)[..., :-1]
    return tf.reshape(tf.cumsum(passed, axis=-1), tf.shape(log_weights))


def multinomial(log_weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Parents drawn independently of one another, sorted; arguments as in `systematic`."""
    cumulated = _cumulated(tf.nn.softmax(log_weights, -1))
    return tf.sort(_find(cumulated, seeds.fine_uniform(seed, tf.shape(log_weights))), axis=-1)


def residual(log_weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Parents by residual resampling (Liu and Chen 1998); arguments as in `systematic`.

    Chain c has the integer part of C w_c copies; the places left are drawn independently, with
    probabilities proportional to the fractional parts.
    """
    shape = tf.shape(log_weights)
    places = tf.range(tf.cast(shape[-1], tf.float64), dtype=tf.float64)
    expected = tf.cast(shape[-1], tf.float64) * tf.nn.softmax(log_weights, -1)
    # integers to within rounding are integers: 2.999... copies are 3
    whole = tf.floor(expected + 1e-9)
    assigned = tf.cumsum(whole, axis=-1)
    certain = _find(assigned, tf.broadcast_to(places, shape))
    # where nothing is left nothing is drawn, but 0 / 0 would still be formed
    rest = tf.maximum(expected - whole, 0) + 1e-300
    drawn = _find(_cumulated(rest), seeds.fine_uniform(seed, shape))
    return tf.sort(tf.where(places < assigned[..., -1:], certain, drawn), axis=-1)


Scheme = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

SCHEMES: dict[str, Scheme] = {
    "systematic": systematic,
    "residual": residual,
    "multinomial": multinomial,
}
"""Resampling schemes: (log_weights [..., C], seed) -> parents [..., C]."""


def _cumulated(weights: tf.Tensor) -> tf.Tensor:
    """Cumulated weights that end at exactly 1."""
    cumulated = tf.cumsum(weights, axis=-1)
    return cumulated / cumulated[..., -1:]


def _histogram(values: tf.Tensor, num_bins: tf.Tensor) -> tf.Tensor:
    """How often each of 0 .. num_bins - 1 occurs along the last axis, [N, num_bins]."""
    rows = tf.reshape(values, [-1, tf.shape(values)[-1]])
    count = tf.shape(rows)[0]
    bins = rows + num_bins * tf.range(count)[:, None]
    counts = tf.math.unsorted_segment_sum(tf.ones_like(bins), bins, count * num_bins)
    return tf.reshape(counts, [count, num_bins])


def _find(cumulated: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """The number of entries of `cumulated` [..., C] up to each value [..., C], at most C - 1.

    A binary search: XLA's `tf.searchsorted` compares each value with each entry.
    """
    num_chains = tf.shape(cumulated)[-1]
    batch_dims = cumulated.shape.rank - 1

    def body(step: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        further = found + step
        last = tf.gather(cumulated, tf.minimum(further, num_chains) - 1, batch_dims=batch_dims)
        return step // 2, tf.where((further < num_chains) & (last <= values), further, found)

    start = tf.bitwise.left_shift(1, 30), tf.zeros_like(values, tf.int32)
    return tf.while_loop(lambda step, _: step > 0, body, start)[1]
