"""The piece-wise linear relaxation (Andriyash, Vahdat and Macready 2018)."""

from functools import partial

import tensorflow as tf

_SLOPE_FLOOR = 1e-2


def piecewise_linear(
    logits: tf.Tensor, rho: tf.Tensor, sharpness: float, stop_slope: bool = False
) -> tf.Tensor:
    """zeta = clip(1/2 + alpha (rho - (1 - q)), 0, 1), alpha = sharpness / (4 (q (1 - q) + 0.01)).

    With q = sigmoid(logits). For a sharpness of at least 2, E[zeta] = q for q in about [.01, .99].

    Args:
      logits: of the binary units.
      rho: uniform numbers in (0, 1), of the same shape.
      sharpness: the slope at q = 1/2; the paper's beta.
      stop_slope: no gradient through alpha, which makes the gradient of a function of one unit
        unbiased; the paper lets it flow.
    """
    q = tf.sigmoid(logits)
    slope = sharpness / (4 * (q * (1 - q) + _SLOPE_FLOOR))
    if stop_slope:
        slope = tf.stop_gradient(slope)
    return tf.clip_by_value(0.5 + slope * (rho - (1 - q)), 0, 1)


piecewise_linear_stop_slope = partial(piecewise_linear, stop_slope=True)
