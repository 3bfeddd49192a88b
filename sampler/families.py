"""Exponential families of single units: what a block of a Boltzmann machine is made of.

A unit x with natural parameter eta has p(x) = base(x) exp(eta x - A(eta)), A the log-partition
function. A block's state [..., n] holds `width` numbers for each unit: one, or the one-hot vector
of a categorical unit, of which eta and x are vectors too. Families are static values: they can be
compared and hashed, and a `tf.function` is traced once for each.
"""

import dataclasses
import math
from typing import ClassVar

import numpy as np
import tensorflow as tf

from sampler import seeds
from sampler.io.errors import expect

_LARGE = 20.0
"""A change of eta from which differences of A are subtracted: exp of it may overflow."""


class Family:
    """What all families have in common; a subclass brings the formulas."""

    width: ClassVar[int] = 1
    discrete: ClassVar[bool] = True

    @property
    def values(self) -> tuple:
        """The states of a discrete unit, numbers or one-hot vectors."""
        raise NotImplementedError

    def sample(self, eta: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """States x of eta's shape, float32; `seed` is int32 [2]."""
        raise NotImplementedError

    def mean(self, eta: tf.Tensor) -> tf.Tensor:
        """E[x], of eta's shape."""
        raise NotImplementedError

    def natural(self, mean: tf.Tensor, clip: float) -> tf.Tensor:
        """The eta with the given mean, which is kept `clip` (a probability) away from its ends."""
        raise NotImplementedError

    def log_partition(self, eta: tf.Tensor) -> tf.Tensor:
        """A(eta) = log sum_x base(x) exp(eta x) of each unit, [..., units]."""
        raise NotImplementedError

    def log_partition_change(
        self, eta: tf.Tensor, change: tf.Tensor, gentle: bool = False
    ) -> tf.Tensor:
        """A(eta + change) - A(eta), [..., units], with an error relative to `change`.

        `gentle` promises that all changes lie within 1.
        """
        raise NotImplementedError

    def entropy(self, mean: tf.Tensor) -> tf.Tensor:
        """-E[log p(x) / base(x)] of each unit with the given mean, in nats, [..., units]."""
        raise NotImplementedError

    def log_base(self, x: tf.Tensor) -> tf.Tensor:
        """log base(x) of each unit, [..., units]; 0 for discrete units."""
        return tf.zeros_like(x[..., :: self.width])

    def check_units(self, count: int, name: str) -> None:
        """Raises ValueError unless the family can be that of `count` units, the argument `name`."""

    def valid(self, mean: np.ndarray) -> bool:
        """Whether all of the numbers are means that the family can have."""
        return bool(np.isfinite(mean).all())


@dataclasses.dataclass(frozen=True)
class Bernoulli(Family):
    """Bits x in {0, 1}; eta is the logit, A = softplus."""

    values: ClassVar[tuple[int, ...]] = (0, 1)  # type: ignore[misc]

    def sample(self, eta: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Bits; P(x = 1) is exact to 2^-24."""
        draws = seeds.uniform(seed, seeds.shape_of(eta))
        return tf.cast(draws < tf.sigmoid(eta), tf.float32)

    def mean(self, eta: tf.Tensor) -> tf.Tensor:
        """P(x = 1)."""
        return tf.sigmoid(eta)

    def natural(self, mean: tf.Tensor, clip: float) -> tf.Tensor:
        """The logit of the mean."""
        mean = tf.clip_by_value(mean, clip, 1 - clip)
        return tf.math.log(mean) - tf.math.log1p(-mean)

    def log_partition(self, eta: tf.Tensor) -> tf.Tensor:
        """softplus(eta)."""
        return tf.nn.softplus(eta)

    def log_partition_change(
        self, eta: tf.Tensor, change: tf.Tensor, gentle: bool = False
    ) -> tf.Tensor:
        """softplus(eta + change) - softplus(eta) = log1p(sigmoid(eta) (e^change - 1)).

        Where changes are large that would cancel, and with s = sign(change), d = |change| it is
        min(change, 0) + log1p(sigmoid(s eta) (e^d - 1)): all terms in the logarithm are positive.
        """
        mean = tf.sigmoid(eta)  # what eta is sampled by: one for both

        def small() -> tf.Tensor:
            return tf.math.log1p(mean * tf.math.expm1(change))

        def large() -> tf.Tensor:
            size = tf.minimum(abs(change), _LARGE)
            share = tf.sigmoid(tf.where(change < 0, -eta, eta))
            signed = tf.minimum(change, 0) + tf.math.log1p(share * tf.math.expm1(size))
            plain = self.log_partition(eta + change) - self.log_partition(eta)
            return tf.where(size < _LARGE, signed, plain)

        return small() if gentle else tf.cond(tf.reduce_max(abs(change)) > 1, large, small)

    def entropy(self, mean: tf.Tensor) -> tf.Tensor:
        """-m log m - (1 - m) log(1 - m); 0 at 0 and at 1."""
        return -tf.math.xlogy(mean, mean) - tf.math.xlog1py(1 - mean, -mean)

    def valid(self, mean: np.ndarray) -> bool:
        """Whether all lie in [0, 1]."""
        return bool(np.all((mean >= 0) & (mean <= 1)))


@dataclasses.dataclass(frozen=True)
class Spin(Family):
    """Spins x in {-1, +1}; eta is the field, the bit (1 + x) / 2 has the logit 2 eta."""

    values: ClassVar[tuple[int, ...]] = (-1, 1)  # type: ignore[misc]

    def sample(self, eta: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Spins; P(x = 1) is exact to 2^-24."""
        return 2 * Bernoulli().sample(2 * eta, seed) - 1

    def mean(self, eta: tf.Tensor) -> tf.Tensor:
        """tanh(eta)."""
        return tf.tanh(eta)

    def natural(self, mean: tf.Tensor, clip: float) -> tf.Tensor:
        """artanh(mean)."""
        return Bernoulli().natural((1 + mean) / 2, clip) / 2

    def log_partition(self, eta: tf.Tensor) -> tf.Tensor:
        """log(2 cosh(eta))."""
        return tf.nn.softplus(2 * eta) - eta

    def log_partition_change(
        self, eta: tf.Tensor, change: tf.Tensor, gentle: bool = False
    ) -> tf.Tensor:
        """That of the bit with logit 2 eta, less the change of eta."""
        return Bernoulli().log_partition_change(2 * eta, 2 * change, gentle) - change

    def entropy(self, mean: tf.Tensor) -> tf.Tensor:
        """That of the bit (1 + x) / 2."""
        return Bernoulli().entropy((1 + mean) / 2)

    def valid(self, mean: np.ndarray) -> bool:
        """Whether all lie in [-1, 1]."""
        return bool(np.all(abs(mean) <= 1))


@dataclasses.dataclass(frozen=True)
class Gaussian(Family):
    """Real x; base is the normal density of mean 0 and variance 1 / precision, A = eta^2 / 2 of it.

    Args:
      precision: of every unit, or a tuple of one for each unit; positive.

    Raises:
      ValueError: a precision that is not positive and finite.
    """

    precision: float | tuple[float, ...] = 1.0
    discrete: ClassVar[bool] = False

    def __post_init__(self) -> None:
        values = np.asarray(self.precision, np.float64)
        fit = values.ndim < 2 and np.all((values > 0) & np.isfinite(values))
        accepted = "a positive finite number, or a tuple of one for each unit"
        expect(fit, "precision", repr(self.precision), accepted)
        found = tuple(values.tolist()) if values.ndim else float(values)
        object.__setattr__(self, "precision", found)

    def check_units(self, count: int, name: str) -> None:
        """Raises ValueError unless there is one precision, or one for each unit."""
        if isinstance(self.precision, tuple):
            accepted = f"{len(self.precision)}, as many as precision of their family has numbers"
            expect(len(self.precision) == count, name, f"{count} units", accepted)

    def _of(self, like: tf.Tensor) -> tf.Tensor:
        return tf.constant(self.precision, like.dtype)

    def sample(self, eta: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """eta / precision + noise, differentiable in eta."""
        precision = self._of(eta)
        return eta / precision + seeds.normal(seed, seeds.shape_of(eta)) * tf.math.rsqrt(precision)

    def mean(self, eta: tf.Tensor) -> tf.Tensor:
        """eta / precision."""
        return eta / self._of(eta)

    def natural(self, mean: tf.Tensor, clip: float) -> tf.Tensor:
        """precision * mean."""
        del clip
        return mean * self._of(mean)

    def log_partition(self, eta: tf.Tensor) -> tf.Tensor:
        """eta^2 / (2 precision)."""
        return eta**2 / (2 * self._of(eta))

    def log_partition_change(
        self, eta: tf.Tensor, change: tf.Tensor, gentle: bool = False
    ) -> tf.Tensor:
        """change (2 eta + change) / (2 precision)."""
        return change * (2 * eta + change) / (2 * self._of(eta))

    def entropy(self, mean: tf.Tensor) -> tf.Tensor:
        """-precision mean^2 / 2: minus the KL divergence from the base."""
        return -self._of(mean) * mean**2 / 2

    def log_base(self, x: tf.Tensor) -> tf.Tensor:
        """The normal log-density."""
        precision = self._of(x)
        return (tf.math.log(precision / (2 * math.pi)) - precision * x**2) / 2


@dataclasses.dataclass(frozen=True)
class Categorical(Family):
    """One of q states, as a one-hot vector (Potts units); A is the logsumexp of q numbers.

    Args:
      num_states: q, at least 2.

    Raises:
      ValueError: q is no integer of at least 2.
    """

    num_states: int

    def __post_init__(self) -> None:
        fit = type(self.num_states) is int and self.num_states >= 2
        expect(fit, "num_states", repr(self.num_states), "2 or more")

    @property
    def width(self) -> int:  # type: ignore[override]
        """q."""
        return self.num_states

    @property
    def values(self) -> tuple[tuple[int, ...], ...]:
        """The q unit vectors."""
        return tuple(map(tuple, np.eye(self.num_states, dtype=int).tolist()))

    def _split(self, x: tf.Tensor) -> tf.Tensor:
        """[..., units q] as [..., units, q]."""
        shape = tf.concat([tf.shape(x)[:-1], [-1, self.num_states]], 0)
        static = x.shape[-1]
        split = tf.reshape(x, shape)
        units = None if static is None else static // self.num_states
        return tf.ensure_shape(split, [*x.shape[:-1], units, self.num_states])

    def _joined(self, x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.reshape(x, tf.shape(like)), like.shape)

    def sample(self, eta: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """One-hot states, by inverting the distribution function at one number for each unit."""
        probabilities = tf.nn.softmax(self._split(eta))
        below = tf.cumsum(probabilities, -1)[..., :-1]
        draws = seeds.uniform(seed, seeds.shape_of(probabilities[..., 0]))
        index = tf.reduce_sum(tf.cast(draws[..., None] >= below, tf.int32), -1)
        return self._joined(tf.one_hot(index, self.num_states), eta)

    def mean(self, eta: tf.Tensor) -> tf.Tensor:
        """The probabilities, softmax of each unit's q numbers."""
        return self._joined(tf.nn.softmax(self._split(eta)), eta)

    def natural(self, mean: tf.Tensor, clip: float) -> tf.Tensor:
        """Logarithms of the probabilities."""
        return tf.math.log(tf.clip_by_value(mean, clip / self.num_states, 1.0))

    def log_partition(self, eta: tf.Tensor) -> tf.Tensor:
        """logsumexp over each unit's q numbers."""
        return tf.reduce_logsumexp(self._split(eta), -1)

    def log_partition_change(
        self, eta: tf.Tensor, change: tf.Tensor, gentle: bool = False
    ) -> tf.Tensor:
        """log sum_i p_i e^d_i = max d + log1p(sum_i p_i (e^(d_i - max d) - 1)) of changes d."""
        probabilities, change = tf.nn.softmax(self._split(eta)), self._split(change)
        largest = tf.reduce_max(change, -1, keepdims=True)
        less = tf.reduce_sum(probabilities * tf.math.expm1(change - largest), -1)
        # a logarithm of what has all but cancelled is of no use: the plain difference then
        plain = self.log_partition(eta + self._joined(change, eta)) - self.log_partition(eta)
        stable = largest[..., 0] + tf.math.log1p(tf.maximum(less, -0.5))
        return tf.where(less < -0.5, plain, stable)

    def entropy(self, mean: tf.Tensor) -> tf.Tensor:
        """-sum_i m_i log m_i."""
        return -tf.reduce_sum(tf.math.xlogy(self._split(mean), self._split(mean)), -1)

    def valid(self, mean: np.ndarray) -> bool:
        """Whether each unit's numbers are probabilities that add up to 1."""
        sums = mean.reshape(*mean.shape[:-1], -1, self.num_states).sum(-1)
        return bool(np.all(mean >= 0) and np.all(abs(sums - 1) < 1e-3))
