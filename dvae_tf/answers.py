"""What a trained model answers, whether it is a `DVAE` or a loaded export."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from dvae_tf import generation
from dvae_tf.conditions import Condition, Labels, TopHalf
from dvae_tf.evaluation.evaluate import Evaluation, Evaluator
from dvae_tf.evaluation.likelihood import count
from dvae_tf.likelihoods import Likelihood
from dvae_tf.posteriors.posterior import Draws
from sampler import seeds
from sampler.annealing import schedules
from sampler.io.errors import expect_whole
from sampler.machines.rbm import RBM, LowRankRBM
from sampler.weights import resampling

FEWEST = 200
"""Weighted samples, from which equally weighted ones are chosen."""

PRIOR_TEMPERATURES = 2000
"""Of the annealing of the prior, each way, where none are asked for."""


class Answers:
    """Sampling, encoding and likelihoods, for a class that is an `evaluation.likelihood.Model`.

    Images are arrays [N, *shape]; `condition` is what the model's own condition takes, an array of
    N entries, and is left out elsewhere. A seed fixes every random number.
    """

    image_shape: tuple[int, ...] | None
    likelihood: Likelihood
    condition: Condition | None
    has_prior: bool

    def data(self: Any, x: Any, condition: Any = None, name: str = "x", **how: bool) -> Any:
        """Images, or a pair of these and conditions, checked and as they are kept.

        Args:
          name: of the argument, for messages.
          how: `binarises`, see `likelihoods.Likelihood.check`.

        Raises:
          ValueError: what the likelihood or the condition can't take, another shape, or one
            without the other; one line.
        """
        x = self.likelihood.check(x, name, **how)
        if x.ndim < 2:
            raise ValueError(f"{name}: found shape {x.shape}; accepted: images, [N, *shape]")
        self.create(tuple(x.shape[1:]), name)
        if self.condition is None or isinstance(self.condition, TopHalf):
            if condition is not None:
                raise ValueError("condition: found one; accepted by this model: none")
            return x
        if condition is None:
            kind = type(self.condition).__name__
            raise ValueError(f"condition: found none; accepted: {kind} for each image of {name}")
        c = self.condition.check(condition)
        if len(c) != len(x):
            raise ValueError(
                f"condition: found {len(c)}; accepted: one for each of {len(x)} images"
            )
        return x, c

    def sample(
        self: Any,
        num_samples: int,
        condition: Any = None,
        seed: int = 0,
        pixels: bool = False,
    ) -> np.ndarray:
        """Images [num_samples, *shape] of the model: means of p(x | z), z from the prior.

        Args:
          condition: of a conditional model, an entry for each sample, or one for all.
          pixels: whether pixels are drawn from p(x | z) instead.

        Raises:
          ValueError: no samples; a model without a prior.
        """
        if not self.has_prior:
            raise ValueError(
                "sample: this model has no prior; accepted: reconstruct, which predicts images "
                "from what is given"
            )
        expect_whole(num_samples, "num_samples", 1)
        given, root = self._given(num_samples, condition), seeds.as_seed(seed)
        draw = _function(self, "latents", partial(generation.latents, self))
        z = draw(tf.constant(num_samples), root, given)
        outputs = self.decode(z, given)
        if pixels:
            return self.likelihood.sample(outputs, seeds.fold_in(root, 1)).numpy()
        return self.likelihood.mean(outputs).numpy()

    def _given(self, num_samples: int, condition: Any) -> tf.Tensor | None:
        if self.condition is None:
            if condition is not None:
                raise ValueError("condition: found one; accepted by this model: none")
            return None
        if condition is None:
            raise ValueError("condition: found none; accepted: one for each sample, or for all")
        c = np.asarray(condition)
        whole = 0 if isinstance(self.condition, Labels) else len(self.condition.shape)
        if c.ndim == whole:
            c = np.repeat(c[None], num_samples, 0)
        c = self.condition.check(c)
        if len(c) != num_samples:
            raise ValueError(f"condition: found {len(c)}; accepted: {num_samples}, or one for all")
        return self.condition.features(tf.constant(c))

    def encode(self: Any, x: Any, condition: Any = None) -> Encoded:
        """The posteriors q(z | x) of images, or q(z | x, c)."""
        inputs, _, _ = self.split(_floats(self.data(x, condition)))
        return Encoded(self, inputs)

    def reconstruct(self: Any, x: Any, condition: Any = None, seed: int = 0) -> np.ndarray:
        """Means of p(x | z), z a sample of each image's posterior.

        Without a prior these are predictions, [N, *shape] of what the decoder predicts.
        """
        data = _floats(self.data(x, condition))
        reconstruct = _function(self, "reconstruct", partial(generation.reconstruct, self))
        return reconstruct(data, seeds.as_seed(seed)).numpy()

    def evaluate_nll(
        self: Any,
        x: Any,
        condition: Any = None,
        num_samples: int = 1000,
        seed: int = 0,
        verbose: bool = False,
        num_temperatures: int = 0,
        prior_temperatures: int = PRIOR_TEMPERATURES,
    ) -> Evaluation:
        """The NLL of images with its error, and log Z of the prior with its bracket.

        The command line's evaluation; see `Evaluation`.

        Args:
          num_samples: importance samples of each image.
          verbose: whether to show progress.
          num_temperatures: of each posterior's annealing; 0: as many as pay.
          prior_temperatures: of the prior's, each way.

        Raises:
          ValueError: as `data`; too few samples or temperatures.
        """
        data = self.data(x, condition)
        evaluator = self._evaluator(data, num_samples, seed, num_temperatures, prior_temperatures)
        return evaluator(data, show_progress=verbose)

    def log_likelihood(
        self: Any,
        x: Any,
        condition: Any = None,
        num_samples: int = 1000,
        seed: int = 0,
        num_temperatures: int = 0,
        prior_temperatures: int = PRIOR_TEMPERATURES,
    ) -> np.ndarray:
        """log p(x), or log p(x | c), of each image in nats, float64 [N].

        Minus what `evaluate_nll` with the same arguments has the mean of: an importance-weighted
        estimate, less log Z of the prior, an error of which moves all images alike.
        """
        data = self.data(x, condition)
        evaluator = self._evaluator(data, num_samples, seed, num_temperatures, prior_temperatures)
        return evaluator.log_likelihood(data)

    def _evaluator(
        self: Any,
        data: Any,
        num_samples: int,
        seed: int,
        num_temperatures: int = 0,
        prior_temperatures: int = PRIOR_TEMPERATURES,
    ) -> Evaluator:
        """What evaluates so many images so; compiled once, whatever the seed."""
        expect_whole(num_samples, "num_samples", 1)
        expect_whole(num_temperatures, "num_temperatures", 0)
        expect_whole(prior_temperatures, "prior_temperatures", 2)
        key = num_samples, num_temperatures, prior_temperatures, count(data)
        return _cached(self, key, lambda: Evaluator(self, *key)).with_seed(seed)


class Encoded:
    """The posteriors of B images.

    Attributes:
      rbm: the RBMs of bits, with batch dimension [B]; of an undirected posterior.
    """

    def __init__(self, model: Any, inputs: Any):
        self._model, self._inputs = model, inputs

    @property
    def rbm(self) -> Any:
        """The RBMs of bits, a machine of `sampler` with batch dimension [B].

        Raises:
          ValueError: the posterior is none.
        """
        parameters = self._model.encoded(self._inputs)
        if not parameters:
            raise ValueError("rbm: this posterior is no RBM; accepted: sample and mean")
        return (RBM if "w" in parameters else LowRankRBM)(**parameters)

    def weighted(self, num_samples: int, seed: int = 0, num_temperatures: int = 20) -> Draws:
        """Weighted samples, by annealed importance sampling where the posterior needs it."""
        expect_whole(num_samples, "num_samples", 1)
        expect_whole(num_temperatures, "num_temperatures", 2)
        model, betas = self._model, tf.constant(schedules.linear(num_temperatures))
        draw = _function(model, "draw", lambda *how: model.draw(*how))
        return draw(self._inputs, tf.constant(num_samples), betas, seeds.as_seed(seed))

    def sample(self, num_samples: int, seed: int = 0) -> np.ndarray:
        """Latents [B, num_samples, n] in {0, 1}: weighted ones, resampled by their weights."""
        expect_whole(num_samples, "num_samples", 1)
        draws, root = self.weighted(max(num_samples, FEWEST), seed), seeds.as_seed(seed)
        parents = resampling.systematic(draws.log_weights, seeds.fold_in(root, 1))
        order = tf.argsort(seeds.uniform(seeds.fold_in(root, 2), tf.shape(parents)))
        chosen = tf.gather(parents, order[:, :num_samples], batch_dims=1)
        return tf.gather(draws.z, chosen, batch_dims=1).numpy()

    def mean(self, num_samples: int = 1000, seed: int = 0) -> np.ndarray:
        """E[z | x], [B, n], by weighted samples."""
        draws = self.weighted(num_samples, seed)
        weights = tf.cast(tf.nn.softmax(draws.log_weights), tf.float32)
        return tf.einsum("bk,bkn->bn", weights, draws.z).numpy()


def _floats(data: Any) -> Any:
    return tf.nest.map_structure(lambda a: tf.constant(a, tf.float32), data)


def _function(model: Any, name: str, function: Callable) -> Callable:
    """The model's compiled function of this name, which is made at the first call."""
    return _cached(
        model, name, lambda: tf.function(function, autograph=False, reduce_retracing=True)
    )


def _cached(model: Any, key: Any, make: Callable[[], Any]) -> Any:
    """What `make` once returned for this model; kept out of Keras' sight."""
    known = model.__dict__.get("_answers")
    if known is None:
        known = {}
        object.__setattr__(model, "_answers", known)
    if key not in known:
        known[key] = make()
    return known[key]
