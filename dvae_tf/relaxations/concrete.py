"""The Concrete (Gumbel-softmax) relaxation (Maddison et al. 2016; Jang et al. 2016)."""

import tensorflow as tf

_MARGIN = 1e-5


def concrete(logits: tf.Tensor, rho: tf.Tensor, sharpness: float) -> tf.Tensor:
    """zeta = sigmoid(sharpness (logits + logit(rho))), the temperature being 1 / sharpness.

    Args:
      logits: of the binary units.
      rho: uniform numbers in (0, 1), of the same shape; clipped to [1e-5, 1 - 1e-5].
      sharpness: inverse temperature.
    """
    rho = tf.clip_by_value(rho, _MARGIN, 1 - _MARGIN)
    return tf.sigmoid(sharpness * (logits + tf.math.log(rho) - tf.math.log1p(-rho)))


def gumbel_softmax(logits: tf.Tensor, rho: tf.Tensor, sharpness: float) -> tf.Tensor:
    """softmax(sharpness (logits + Gumbel noise)) over the last axis: relaxed one-hot vectors.

    Arguments are as for `concrete`, logits those of categorical units, [..., q].
    """
    rho = tf.clip_by_value(rho, _MARGIN, 1 - _MARGIN)
    return tf.nn.softmax(sharpness * (logits - tf.math.log(-tf.math.log(rho))))
