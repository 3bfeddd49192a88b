"""What a model is trained for: everything in which one task differs from another."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf


class Likelihood(NamedTuple):
    """Per image, float64, [B]; where there is a prior, the first two lack - log Z_theta.

    Attributes:
      log_marginal: log of the estimate of p(x) Z_theta, or of p(x2 | x1).
      elbo: the variational bound of the discrete model, + log Z_theta.
      ess: effective sample size of the importance weights.
    """

    log_marginal: tf.Tensor
    elbo: tf.Tensor
    ess: tf.Tensor


class Task(NamedTuple):
    """What a run maximises, and how the model that comes of it is evaluated.

    Attributes:
      objective: (model, data of B images, chains [B, K, width], population of the prior, weight,
        seed, iw_gradient, bound) -> (scalar to maximise, `objectives.terms.Terms`).
      weight: how far its warm-up is, in [0, 1] -> the annealed weight that the objective takes.
      likelihood: (model, log p(x | z_k) [B, K], the posterior's `Draws`) -> `Likelihood`.
      has_prior: whether the prior plays a part, so that there are samples of the model; without
        one, images are completed.
    """

    objective: Callable[..., tuple[tf.Tensor, Any]]
    weight: Callable[[tf.Tensor], tf.Tensor]
    likelihood: Callable[..., Likelihood]
    has_prior: bool
