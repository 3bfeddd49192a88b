"""The bridge of RBMs that annealing follows, from independent units to the target."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from sampler import checks, gibbs, mean_field, seeds
from sampler.machines.rbm import AnyRBM

_LARGE = 20.0


class Bridge(NamedTuple):
    """RBMs with biases base + beta (b - base) and couplings beta W, for beta in [0, 1].

    At beta = 0 the units are independent, so that exact samples and log Z are at hand; at beta = 1
    stands the target. A base equal to the target's biases leaves them alone and anneals the
    couplings only: short work for posteriors, whose biases are strong.

    Attributes:
      rbm: the target, any batch shape.
      base1, base2: the base's biases, [..., n1] and [..., n2].
    """

    rbm: AnyRBM
    base1: tf.Tensor
    base2: tf.Tensor

    def log_z_base(self) -> tf.Tensor:
        """log Z at beta = 0, float64, [...]."""
        base = tf.concat([self.base1, self.base2], -1)
        return tf.reduce_sum(tf.nn.softplus(tf.cast(base, tf.float64)), -1)

    def sample_base(self, num_chains: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Exact samples z1 at beta = 0, [..., num_chains, n1]."""
        logits = self.base1[..., None, :]
        shape = tf.concat([tf.shape(logits)[:-2], [num_chains], tf.shape(logits)[-1:]], 0)
        return gibbs.bernoulli(tf.broadcast_to(logits, shape), seed)

    def logits1(self, z2: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        """Logits of p_beta(z1 = 1 | z2), [..., C, n1]; `beta` a scalar, or [C] for each chain's."""
        return _blend(self.base1, self.rbm.b1, self.rbm.coupling1(z2), beta)

    def logits2(self, z1: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        """Logits of p_beta(z2 = 1 | z1), [..., C, n2]; `beta` as in `logits1`."""
        return _blend(self.base2, self.rbm.b2, self.rbm.coupling2(z1), beta)

    def log_weight(self, z1: tf.Tensor, beta: tf.Tensor, new_beta: tf.Tensor) -> tf.Tensor:
        """log of the ratio of unnormalised p(z1) at the two temperatures, float64, [..., C].

        Inverse temperatures are scalars, or [C] for each chain's own.
        The second side is summed out: log p*(z1) = b1'z1 + sum softplus(b2 + W'z1). The rounding
        is relative to the step, however small: see `_softplus_change`.
        """
        step = tf.convert_to_tensor(new_beta - beta, tf.float32)
        bias = tf.reduce_sum((self.rbm.b1 - self.base1)[..., None, :] * z1, -1)
        slope = (self.rbm.b2 - self.base2)[..., None, :] + self.rbm.coupling2(z1)
        change = _softplus_change(self.logits2(z1, beta), step[..., None] * slope)
        return tf.cast(step * bias + tf.reduce_sum(change, -1), tf.float64)

    def transposed(self) -> Bridge:
        """The bridge with the sides exchanged: weights along it have the first side summed out."""
        return Bridge(self.rbm.transposed(), self.base2, self.base1)

    def sweep(self, z1: tf.Tensor, beta: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """A Gibbs sweep z2 ~ p(z2 | z1), z1 ~ p(z1 | z2): reversible with respect to p(z1)."""
        z2 = gibbs.bernoulli(self.logits2(z1, beta), seeds.fold_in(seed, 2))
        return gibbs.bernoulli(self.logits1(z2, beta), seeds.fold_in(seed, 1))


def _blend(base: tf.Tensor, bias: tf.Tensor, coupling: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    """base + beta (bias - base + coupling), for couplings [..., C, n] and a beta of each chain."""
    beta = tf.convert_to_tensor(beta, tf.float32)[..., None]
    return base[..., None, :] + beta * (bias - base)[..., None, :] + beta * coupling


def _softplus_change(x: tf.Tensor, change: tf.Tensor) -> tf.Tensor:
    """softplus(x + change) - softplus(x), elementwise, with an error relative to `change`.

    With s = sign(change), d = |change| it is min(change, 0) + log1p(sigmoid(s x) (e^d - 1)): all
    terms in the logarithm are positive. Large changes, where e^d may overflow, are subtracted.
    """

    def subtracted() -> tf.Tensor:
        return tf.nn.softplus(x + change) - tf.nn.softplus(x)

    def small() -> tf.Tensor:
        share = tf.sigmoid(tf.where(change < 0, -x, x))
        return tf.minimum(change, 0) + tf.math.log1p(share * tf.math.expm1(abs(change)))

    return tf.cond(tf.reduce_max(abs(change)) > _LARGE, subtracted, small)


def from_biases(rbm: AnyRBM) -> Bridge:
    """The bridge from the RBM's own biases: only the couplings are annealed.

    Short work where the biases decide, as for posteriors. Where strong biases balance strong
    couplings (a ferromagnet of two modes), the base sits in one mode and the other is never seen,
    without a trace in the weights: take `from_uniform`, or see `ais.log_z_bracket`.
    """
    rbm = rbm.cast()
    return Bridge(rbm, rbm.b1, rbm.b2)


def from_uniform(rbm: AnyRBM) -> Bridge:
    """The bridge from the uniform distribution over all states."""
    rbm = rbm.cast()
    return Bridge(rbm, tf.zeros_like(rbm.b1), tf.zeros_like(rbm.b2))


def from_means(rbm: AnyRBM, mean1: tf.Tensor, mean2: tf.Tensor, clip: float = 0.01) -> Bridge:
    """The bridge from independent units with the given means (of samples of the RBM, or of data).

    Salakhutdinov and Murray (2008) fit the base to the data's means. Means are clipped to
    [clip, 1 - clip], so that a unit that was never seen on or off can still change.

    Args:
      rbm: the target.
      mean1, mean2: in [0, 1], [..., n1] and [..., n2].
      clip: in (0, 1/2).

    Raises:
      ValueError: shapes that don't fit, means outside [0, 1] or NaN, a clip out of range.
    """
    rbm = rbm.cast()
    checks.check_rbm(rbm)
    if not 0 < clip < 0.5:
        raise ValueError(f"clip: found {clip!r}; accepted: between 0 and 1/2, both excluded")
    mean1 = checks.check_means(mean1, rbm.b1.shape, "mean1")
    mean2 = checks.check_means(mean2, rbm.b2.shape, "mean2")

    def logit(mean: tf.Tensor) -> tf.Tensor:
        mean = tf.clip_by_value(mean, clip, 1 - clip)
        return tf.math.log(mean) - tf.math.log1p(-mean)

    return Bridge(rbm, logit(mean1), logit(mean2))


def from_mean_field(rbm: AnyRBM, num_sweeps: int = 5) -> Bridge:
    """The bridge from the independent units that mean field fits to the RBM.

    Where one mode holds nearly all, as in posteriors, a few temperatures do. A distribution of
    several modes is annealed from one of them: `from_uniform` is the safer base then.

    Args:
      rbm: the target.
      num_sweeps: alternating updates m1 = sigmoid(b1 + W m2), m2 = sigmoid(b2 + W'm1), which need
        not converge: any base is exact.
    """
    rbm = rbm.cast()
    mean1 = tf.sigmoid(rbm.logits1(tf.sigmoid(rbm.b2)[..., None, :]))
    for _ in range(num_sweeps - 1):
        mean1, _ = mean_field.update(rbm, mean1)
    logits2 = rbm.logits2(mean1)
    return Bridge(rbm, rbm.logits1(tf.sigmoid(logits2))[..., 0, :], logits2[..., 0, :])
