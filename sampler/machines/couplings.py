"""What couples two blocks: a matrix [..., n, m], or its two factors."""

from typing import Any, NamedTuple

import tensorflow as tf


class LowRank(NamedTuple):
    """Couplings W = u v', of which no function forms W; the cost is linear in the units.

    Attributes:
      u, v: [..., n, r] and [..., m, r].
    """

    u: tf.Tensor
    v: tf.Tensor


def parts(w: Any) -> tuple[tf.Tensor, ...]:
    """The tensors that couplings are made of: the matrix, or u and v."""
    return w if isinstance(w, LowRank) else (w,)


def couple(x: tf.Tensor, w: Any, transpose: bool = False) -> tf.Tensor:
    """Rows x times W, or its transpose: [..., C, m]."""
    if not isinstance(w, LowRank):
        return product(x, w, transpose)
    first, second = (w.v, w.u) if transpose else (w.u, w.v)
    return product(product(x, first), second, transpose_w=True)


def product(x: tf.Tensor, w: tf.Tensor, transpose_w: bool = False) -> tf.Tensor:
    """Rows x times w or its transpose; for one machine all rows in one product, as its gradient."""
    if w.shape.rank == 2:
        return tf.tensordot(x, w, [[-1], [int(transpose_w)]])
    return tf.matmul(x, w, transpose_b=transpose_w)


def difference(old: Any, new: Any) -> Any:
    """New couplings less old ones of the same kind; of factors, factors of rank 2r.

    These are (u_new - u) v_new' + u (v_new - v)': each term is as small as the change, where
    [u_new, u] [v_new, -v]' would subtract couplings of full size.
    """
    if not isinstance(old, LowRank):
        return new - old
    u = tf.concat([new.u - old.u, old.u], -1)
    return LowRank(u, tf.concat([new.v, new.v - old.v], -1))


def mean_square(w: Any) -> tf.Tensor:
    """The mean of W^2 over units and batch; of factors, tr(WW') = sum of (u'u) * (v'v)."""
    if not isinstance(w, LowRank):
        return tf.reduce_mean(w**2)
    grams = tf.matmul(w.u, w.u, transpose_a=True) * tf.matmul(w.v, w.v, transpose_a=True)
    squares = tf.reduce_mean(tf.reduce_sum(grams, [-2, -1]))
    # rounding leaves a sum that cancels anywhere near 0
    return tf.nn.relu(squares) / float(w.u.shape[-2] * w.v.shape[-2])


def sums(w: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Row sums [..., n] and column sums [..., m] of W."""
    if not isinstance(w, LowRank):
        return tf.reduce_sum(w, -1), tf.reduce_sum(w, -2)
    of_rows = tf.reduce_sum(w.u * tf.reduce_sum(w.v, -2, keepdims=True), -1)
    return of_rows, tf.reduce_sum(w.v * tf.reduce_sum(w.u, -2, keepdims=True), -1)


def of_outer_products(w: Any, left: tf.Tensor, right: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """The gradient of sum(left * (W right)) in what W is made of, for left and right [..., C, n].

    That of a matrix is dW = left'right; those of factors are dW v and dW'u, with dW never formed.
    """
    if not isinstance(w, LowRank):
        return (tf.matmul(left, right, transpose_a=True),)
    u = tf.matmul(left, product(right, w.v), transpose_a=True)
    return u, tf.matmul(right, product(left, w.u), transpose_a=True)
