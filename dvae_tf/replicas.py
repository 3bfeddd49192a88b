"""What code that runs in each replica of a `tf.distribute` strategy asks about the others.

With one replica nothing is added to the graph.
"""

import tensorflow as tf


def count() -> int:
    """How many replicas train together; 1 without a strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def average(values: tf.Tensor) -> tf.Tensor:
    """The mean of a tensor over all replicas; in a replica's own code."""
    if count() == 1:
        return values
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, values)
