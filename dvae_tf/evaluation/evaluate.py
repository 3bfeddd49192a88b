"""The evaluation of a model on a set of images: NLL, bound, and the bracket of log Z_theta."""

from __future__ import annotations

import copy
import dataclasses
import time
from typing import Any

import numpy as np
import tensorflow as tf

from dvae_tf.evaluation import doubts
from dvae_tf.evaluation.likelihood import LikelihoodOfMany, Model, count
from dvae_tf.files import to_json
from dvae_tf.priors import prior
from dvae_tf.progress import Progress
from dvae_tf.tasks import Likelihood
from sampler import seeds
from sampler.annealing import ais


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Results in nats, averaged over images.

    Attributes:
      nll: minus the estimate of log p(x), which is not below the truth on average; in structured
        prediction of log p(x2 | x1).
      nll_stderr: standard deviation over the images / sqrt(number of images); NaN of one image.
      neg_elbo: minus the variational bound of the discrete model.
      num_images, num_samples: images and importance samples for each.
      num_temperatures: of each posterior's annealing.
      log_z_prior: the forward AIS estimate of log Z_theta, which `nll` and `neg_elbo` contain.
      log_z_prior_lower, log_z_prior_upper: the bracket; `nll` moves with log Z_theta one to one.
        None, all three, where the prior plays no part.
      ess: mean effective sample size of the importance weights.
      found: reasons not to believe the numbers.
      seconds: of the whole evaluation.
      images_per_second: without the prior's part.
    """

    nll: float
    nll_stderr: float
    neg_elbo: float
    num_images: int
    num_samples: int
    num_temperatures: int
    log_z_prior: float | None
    log_z_prior_lower: float | None
    log_z_prior_upper: float | None
    ess: float
    seconds: float
    images_per_second: float
    found: tuple[str, ...] = ()

    def warnings(self) -> list[str]:
        """Reasons not to believe the numbers, or none (see `evaluation.doubts`)."""
        return list(self.found)

    @property
    def stderr(self) -> float:
        """`nll_stderr`, by the name that all results have."""
        return self.nll_stderr

    @property
    def bracket(self) -> tuple[float, float] | None:
        """log Z_theta from below and from above."""
        if self.log_z_prior_lower is None or self.log_z_prior_upper is None:
            return None
        return self.log_z_prior_lower, self.log_z_prior_upper

    def report(self) -> str:
        """The results in a few lines."""
        lines = [
            f"NLL      {self.nll:.3f} ± {self.nll_stderr:.3f} nats ({self.num_images} images, "
            f"{self.num_samples} samples at {self.num_temperatures} temperatures each, mean ESS "
            f"{self.ess:.0f})",
            f"-ELBO    {self.neg_elbo:.3f} nats",
        ]
        if self.log_z_prior is not None:
            lines.append(
                f"log Z    {self.log_z_prior:.3f}, within {self.log_z_prior_lower:.3f} and "
                f"{self.log_z_prior_upper:.3f} (NLL moves with it one to one)"
            )
        lines.append(f"Speed    {self.images_per_second:.1f} images/s, {self.seconds:.0f} s in all")
        return "\n".join(lines + [f"Warning: {text}" for text in self.found])

    def to_json(self) -> str:
        """JSON text, one field a line."""
        fields = dataclasses.asdict(self)
        return to_json({**fields, "warnings": fields.pop("found")})


def binary(images: np.ndarray) -> np.ndarray:
    """Images [N, D] as 0 and 1; probabilities are binarised once, with a fixed seed."""
    if images.dtype == np.uint8:
        return images
    return (np.random.default_rng(0).random(images.shape) < images).astype(np.uint8)


def subset(images: np.ndarray, num_images: int) -> np.ndarray:
    """`num_images` images (0: all), a fixed random choice, as test sets come sorted by class."""
    if num_images == 0 or num_images >= len(images):
        return images
    return images[np.random.default_rng(0).permutation(len(images))[:num_images]]


def prior_log_z(
    model: Model, num_temperatures: int, seed: tf.Tensor, show_progress: bool
) -> ais.Bracket:
    """log Z_theta by forward and backward AIS, with a progress bar."""
    total = 2 * (num_temperatures - 1)
    hidden = not show_progress
    with Progress(total, "log Z of the prior", "temperature", hidden=hidden) as bar:
        return prior.log_z_bracket(model.prior_machine(), num_temperatures, seed, bar.update)


class Evaluator:
    """Evaluates a model on binary images; compiled once, used as often as its parameters change.

    Args:
      model: the model.
      num_samples: importance samples per image.
      num_temperatures: of each posterior's annealing; 0: as many as pay, chosen at each call.
      prior_temperatures: of the prior's annealing, each way.
      num_images: how many images a call will bring, at most.
      seed: of the run.
    """

    def __init__(
        self,
        model: Model,
        num_samples: int,
        num_temperatures: int,
        prior_temperatures: int,
        num_images: int,
        seed: int = 0,
    ):
        self.model = model
        self.prior_temperatures = prior_temperatures
        self.likelihood = LikelihoodOfMany(model, num_samples, num_temperatures, num_images)
        self.seed = _seed(seed)
        self._known: dict[tuple, ais.Bracket] = {}

    def with_seed(self, seed: int) -> Evaluator:
        """The same with another seed."""
        other = copy.copy(self)
        other.seed = _seed(seed)
        return other

    def log_likelihood(self, images: Any) -> np.ndarray:
        """log p(x) of each of the images, nats, float64 [N]; see `__call__`."""
        bracket = self._bracket(show_progress=False)
        self.likelihood.choose_temperatures(images, seeds.fold_in(self.seed, 3))
        log_z = 0.0 if bracket is None else float(bracket.forward.log_z)
        return self.log_marginal(images) - log_z

    def log_marginal(self, images: Any) -> np.ndarray:
        """log p(x) of each of the images, but for - log Z of the prior, float64 [N].

        At the temperatures last chosen.
        """
        return self.likelihood(images, seeds.fold_in(self.seed, 1)).log_marginal

    def _bracket(self, show_progress: bool) -> ais.Bracket | None:
        """Of log Z of the prior; the last one is kept, for as long as the parameters are equal."""
        if not self.model.task.has_prior:
            return None
        seed = seeds.fold_in(self.seed, 0)
        tensors = (*tf.nest.flatten(self.model.prior_machine()), seed)
        key = tuple(t.numpy().tobytes() for t in tensors)
        if key not in self._known:
            self._known.clear()
            self._known[key] = prior_log_z(self.model, self.prior_temperatures, seed, show_progress)
        return self._known[key]

    def __call__(
        self,
        images: Any,
        description: str = "test images",
        show_progress: bool = True,
        with_doubts: bool = True,
    ) -> Evaluation:
        """The `Evaluation` of images [N, *shape], or of a pair of these and c, as the model has it.

        Progress bars go to standard error.

        Args:
          with_doubts: whether to look for reasons not to believe it, which takes some seconds.

        Raises:
          ValueError: pixels that the likelihood can't take.
        """
        started = time.perf_counter()
        bracket = self._bracket(show_progress)
        images_started = time.perf_counter()
        hidden = not show_progress
        self.likelihood.choose_temperatures(images, seeds.fold_in(self.seed, 3))
        with Progress(count(images), description, "image", hidden=hidden) as bar:
            result = self.likelihood(images, seeds.fold_in(self.seed, 1), bar.update)
        images_done = time.perf_counter()
        found: list[str] = []
        if with_doubts:
            found = doubts.of_samples(result.ess, self.likelihood.num_samples)
            seed = seeds.fold_in(self.seed, 2)
            found += doubts.of_annealing(
                self.model, images, self.likelihood.num_samples, self.likelihood.betas, seed
            )
        finished = time.perf_counter()
        rate = count(images) / (images_done - images_started)
        summary = _summarise(result, bracket, self.likelihood, finished - started, rate)
        return dataclasses.replace(summary, found=tuple(found))


def _seed(seed: int) -> tf.Tensor:
    return seeds.fold_in(seeds.as_seed(seed), 2)


def _summarise(
    result: Likelihood,
    bracket: ais.Bracket | None,
    likelihood: LikelihoodOfMany,
    seconds: float,
    images_per_second: float,
) -> Evaluation:
    ends: list[float | None] = [None, None, None]
    if bracket is not None:
        ends = [float(t) for t in (bracket.forward.log_z, bracket.lower, bracket.upper)]
    log_z = ends[0] or 0.0
    nll = log_z - result.log_marginal
    spread = np.std(nll, ddof=1) if len(nll) > 1 else float("nan")
    return Evaluation(
        nll=float(np.mean(nll)),
        nll_stderr=float(spread / np.sqrt(len(nll))),
        neg_elbo=float(log_z - np.mean(result.elbo)),
        num_images=len(nll),
        num_samples=likelihood.num_samples,
        num_temperatures=len(likelihood.betas),
        log_z_prior=ends[0],
        log_z_prior_lower=ends[1],
        log_z_prior_upper=ends[2],
        ess=float(np.mean(result.ess)),
        seconds=seconds,
        images_per_second=images_per_second,
    )
