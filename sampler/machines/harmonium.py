r"""Exponential family harmoniums (Welling, Rosen-Zvi and Hinton 2004): blocks of two kinds.

In parameters to learn: fields and couplings of centred units c(x) = a (x - m), for which a change
of couplings leaves the mean of a unit without field alone, as spins do for bits:

  log p*(x1, x2) = f1'c(x1) + f2'c(x2) + c(x1)' J c(x2) + log base(x1) + log base(x2).
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from sampler.families import Bernoulli, Categorical, Family, Gaussian
from sampler.io.errors import expect
from sampler.machines.general import Machine


def named(name: str) -> Family:
    """The family of 'binary', 'gaussian' (of variance 1 given the others) or 'pottsQ', Q states.

    Raises:
      ValueError: another name.
    """
    if name.startswith("potts") and name[5:].isdecimal():
        return Categorical(int(name[5:]))
    families: dict[str, Family] = {"binary": Bernoulli(), "gaussian": Gaussian()}
    expect(name in families, "family", repr(name), "binary, gaussian, or potts3, potts4, ...")
    return families[name]


def pair(names: Sequence[str]) -> tuple[Family, ...]:
    """The families of two blocks, each by `named`; ValueError for anything else."""
    is_pair = isinstance(names, (list, tuple)) and len(names) == 2
    is_pair = is_pair and all(isinstance(name, str) for name in names)
    expect(is_pair, "families", repr(names), "two names, as ('binary', 'gaussian')")
    return tuple(map(named, names))


def centre(family: Family) -> tuple[float, float]:
    """a and m: of bits, spins; of one-hot vectors, less their mean; real numbers as they are."""
    if isinstance(family, Bernoulli):
        return 2.0, 0.5
    return 1.0, 1 / family.num_states if isinstance(family, Categorical) else 0.0


def from_centred(families: Sequence[Family], f1: tf.Tensor, f2: tf.Tensor, j: tf.Tensor) -> Machine:
    """The machine of fields [..., n_k] and couplings [..., n1, n2] of centred units.

    Its energy differs from the formula's by a constant. Where both blocks are real, J is first made
    one of which no singular value reaches 1, so that p can be normalised: see `bounded`.
    """
    if all(isinstance(family, Gaussian) for family in families):
        j = bounded(j)
    (a1, m1), (a2, m2) = map(centre, families)
    fields = [
        a1 * (f1 - a2 * m2 * tf.reduce_sum(j, -1)),
        a2 * (f2 - a1 * m1 * tf.reduce_sum(j, -2)),
    ]
    return Machine(families, fields, {(0, 1): a1 * a2 * j})


def bounded(j: tf.Tensor) -> tf.Tensor:
    """J L^-T with L L' = I + J'J, [..., n1, n2]: singular values s / sqrt(1 + s^2), all below 1."""
    gram = tf.matmul(j, j, transpose_a=True) + tf.eye(j.shape[-1], dtype=j.dtype)
    solved = tf.linalg.triangular_solve(tf.linalg.cholesky(gram), tf.linalg.matrix_transpose(j))
    return tf.linalg.matrix_transpose(solved)


def check(families: Sequence[Family], sizes: Sequence[int]) -> None:
    """Raises ValueError unless there are two blocks, of whole units, and the families say which."""
    expect(len(families) == 2, "families", families, "two, one for each block")
    expect(len(sizes) == 2, "num_latents", tuple(sizes), "two blocks, (n1, n2)")
    for family, size in zip(families, sizes, strict=True):
        accepted = f"a multiple of {family.width} for units of {family}"
        expect(not size % family.width, "num_latents", size, accepted)
