"""Bennett's (1976) acceptance ratio: log Z along a ladder, from samples at every temperature.

Between neighbours the ratio r of their Z solves

    sum over samples of the hotter of s(a - log r) = sum over those of the colder of s(b + log r),

s the logistic function, a the log of the colder's unnormalised probability over the hotter's, and b
the reverse at the colder's samples. Of all estimates from both ends it has the least variance
(Meng and Wong 1996; Shirts and Chodera 2008).
"""

import tensorflow as tf

_TOLERANCE = 1e-9
_MAX_ITERATIONS = 1000
_LEAST_SLOPE = 0.1


@tf.function(autograph=False, reduce_retracing=True)
def log_ratio(forward: tf.Tensor, backward: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """log Z of the target less that of the base, and its standard error, float64, [...].

    The error compares independent ladders with one another, so that correlations in time, and of
    temperatures that exchange states, are in it; a ladder that is cut is not (see the swap rates).

    Args:
      forward: log-weights from each temperature to the next colder one, float64,
        [S, ..., T - 1, C]: S successive states of C independent ladders.
      backward: from that to the hotter one, of the same shape.

    Returns the sum over pairs of their log-ratios, and its standard error (NaN for C = 1).
    """
    samples = [0, -1]

    # midway between the two one-sided means, which bound the truth
    log_r = (tf.reduce_mean(forward, samples, True) - tf.reduce_mean(backward, samples, True)) / 2
    log_r = _solve(forward, backward, log_r)
    total = tf.reduce_sum(tf.squeeze(log_r, samples), -1)
    # to first order log r moves by the difference of the two means' relative errors
    hot, cold = (
        tf.reduce_mean(tf.sigmoid(x), 0) for x in (forward - log_r[0], backward + log_r[0])
    )
    errors = hot / tf.reduce_mean(hot, -1, True) - cold / tf.reduce_mean(cold, -1, True)
    of_ladder = tf.reduce_sum(errors, -2)
    count = tf.cast(tf.shape(of_ladder)[-1], tf.float64)
    return total, tf.math.reduce_std(of_ladder, -1) / tf.sqrt(count - 1)


def _solve(forward: tf.Tensor, backward: tf.Tensor, log_r: tf.Tensor) -> tf.Tensor:
    """The root of the equation's logarithm, [1, ..., T - 1, 1], by Newton's method.

    The logarithm's slope is 1 where neighbours overlap and 2 where they don't.
    """

    def side(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """log sum s(x), and the size of its slope in log r."""
        log_s = tf.math.log_sigmoid(x)
        total = tf.reduce_logsumexp(log_s, [0, -1], keepdims=True)
        slope = tf.reduce_sum(tf.exp(log_s - total) * tf.sigmoid(-x), [0, -1], keepdims=True)
        return total, slope

    def body(log_r: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        (hot, of_hot), (cold, of_cold) = side(forward - log_r), side(backward + log_r)
        step = (hot - cold) / tf.maximum(of_hot + of_cold, _LEAST_SLOPE)
        return log_r + step, tf.reduce_max(abs(step))

    return tf.while_loop(
        lambda _, moved: moved > _TOLERANCE,
        body,
        (log_r, tf.constant(1.0, tf.float64)),
        maximum_iterations=_MAX_ITERATIONS,
    )[0]
