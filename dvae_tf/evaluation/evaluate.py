"""The evaluation of a model on a set of images: NLL, bound, and the bracket of log Z_theta."""

from __future__ import annotations

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
        self.seed = seeds.fold_in(seeds.make_seed(seed), 2)

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
        prior_seed, image_seed = seeds.fold_in(self.seed, 0), seeds.fold_in(self.seed, 1)
        started = time.perf_counter()
        bracket = None
        if self.model.task.has_prior:
            bracket = prior_log_z(self.model, self.prior_temperatures, prior_seed, show_progress)
        images_started = time.perf_counter()
        hidden = not show_progress
        self.likelihood.choose_temperatures(images, seeds.fold_in(self.seed, 3))
        with Progress(count(images), description, "image", hidden=hidden) as bar:
            result = self.likelihood(images, image_seed, bar.update)
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
