"""Two ways to the same NLL: a table, a figure, and whether they agree."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from dvae_tf import report
from dvae_tf.analysis.options import FromPriorSettings as Settings
from dvae_tf.config import ConfigError
from dvae_tf.evaluation.evaluate import prior_log_z
from dvae_tf.evaluation.from_prior import FromPrior
from dvae_tf.evaluation.likelihood import LikelihoodOfMany
from dvae_tf.files import to_json, write_atomically
from dvae_tf.progress import Progress
from sampler import seeds

_STATES = 1024
"""Chains at once: fewer leave cores idle, more make no difference."""

AGREE = 0.1
"""Nats, of the mean difference."""


def write(
    model: Any, images: np.ndarray, settings: Settings, seed: tf.Tensor, output_dir: Path
) -> None:
    """Evaluates images both ways, and images of the model itself from both sides; writes it all."""
    if not model.has_prior:
        raise ConfigError("--export_dir: found a model without a prior; accepted is one with it")
    annealing = FromPrior(model, settings.num_chains, settings.num_temperatures)
    z = annealing.prior_samples(1000, seeds.fold_in(seed, 0))
    own_z = annealing.prior_samples(settings.num_simulated, seeds.fold_in(seed, 1))
    own = model.likelihood.sample(model.decode(own_z), seeds.fold_in(seed, 2)).numpy()

    both = np.concatenate([images, own]).astype(np.float32)
    below = _of_all(annealing.forward, model, both, z, seeds.fold_in(seed, 3), "from the prior")
    above = _of_all(
        annealing.backward, model, own, own_z, seeds.fold_in(seed, 4), "back to the prior", True
    )
    bracket = prior_log_z(model, settings.prior_temperatures, seeds.fold_in(seed, 5), True)
    many = LikelihoodOfMany(model, settings.num_samples, settings.posterior_temperatures, len(both))
    log_z = float(bracket.forward.log_z)
    weighted = many(both, seeds.fold_in(seed, 6)).log_marginal - log_z

    count = len(images)
    columns = zip(below, weighted, [*[""] * count, *above], strict=True)
    rows = [
        {
            "images": "data" if i < count else "simulated",
            "log_px_from_prior": float(low),
            "log_px_importance_weighted": float(iw),
            "log_px_back_to_prior": high,
        }
        for i, (low, iw, high) in enumerate(columns)
    ]
    summary = _summary(below, weighted, above, count)
    ends = {"log_z_lower": float(bracket.lower), "log_z_upper": float(bracket.upper)}
    how = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    write_atomically(output_dir / "from_prior.json", to_json({**summary, **ends, **how}))
    figure = _figure(below, weighted, above, count)
    report.save(output_dir, "from_prior", rows, figure, _reading(summary, ends, settings, count))


def _of_all(
    estimate: Any,
    model: Any,
    images: np.ndarray,
    z: tf.Tensor,
    seed: tf.Tensor,
    description: str,
    own_z: bool = False,
) -> np.ndarray:
    """An estimate of all images, chunk by chunk; each image has a z of its own, or all have all."""
    size = min(len(images), max(1, _STATES // estimate.__self__.num_chains))
    found = []
    with Progress(len(images), description, "image") as bar:
        for first in range(0, len(images), size):
            # the last chunk is filled up, so that one graph serves all
            places = np.arange(first, first + size) % len(images)
            _, targets, given = model.split(tf.constant(images[places]))
            start = tf.gather(z, places) if own_z else z
            values = estimate(targets, given, start, seeds.fold_in(seed, first))
            done = min(size, len(images) - first)
            found.append(values[:done])
            bar.update(done)
    return np.concatenate(found)


def _summary(
    below: np.ndarray, weighted: np.ndarray, above: np.ndarray, count: int
) -> dict[str, float]:
    """Means in nats with their standard errors, those of differences image by image."""
    own = slice(count, None)
    values = {
        "nll_from_prior": -below[:count],
        "nll_importance_weighted": -weighted[:count],
        "difference": weighted[:count] - below[:count],
        "simulated_gap": above - below[own],
        "simulated_weighted_less_below": weighted[own] - below[own],
        "simulated_above_less_weighted": above - weighted[own],
    }
    found = {}
    for name, x in values.items():
        found[name] = float(np.mean(x))
        found[f"{name}_stderr"] = float(np.std(x, ddof=1) / np.sqrt(len(x))) if len(x) > 1 else 0.0
    return found


def _figure(below: np.ndarray, weighted: np.ndarray, above: np.ndarray, count: int) -> Any:
    figure, (scatter, sides) = report.panels(
        (9, 4),
        ("images of the data", "NLL, importance-weighted", "less NLL from the prior, nats"),
        ("images of the model itself", "image", "log p(x) less that from the prior, nats"),
    )
    scatter.plot(-weighted[:count], below[:count] - weighted[:count], ".", color="#3b6ea8")
    scatter.axhline(0, color="#555555", linewidth=0.8)
    order = np.argsort(above - below[count:])
    x = np.arange(len(order))
    sides.plot(x, (above - below[count:])[order], ".", label="back to the prior", color="#b5483a")
    sides.plot(
        x, (weighted - below)[count:][order], ".", label="importance-weighted", color="#3b6ea8"
    )
    sides.axhline(0, color="#555555", linewidth=0.8)
    sides.legend()
    return figure


def _reading(s: dict[str, float], ends: dict[str, float], settings: Settings, count: int) -> str:
    difference, error = s["difference"], s["difference_stderr"]
    agree = abs(difference) <= AGREE + 2 * error
    verdict = "They agree" if agree else "They do not agree"
    lower = min(s["nll_importance_weighted"], s["nll_from_prior"])
    why = "" if agree else f" Both are too large on average, so that {lower:.2f} is the better one."

    def value(name: str, sign: str = "") -> str:
        return f"{s[name]:{sign}.2f} ± {s[f'{name}_stderr']:.2f}"

    return (
        f"NLL of {count} images: {value('nll_from_prior')} nats by annealing from the prior "
        f"({settings.num_chains} chains, {settings.num_temperatures} temperatures), "
        f"{value('nll_importance_weighted')} by {settings.num_samples} weighted samples of the "
        f"posterior, log Z within {ends['log_z_lower']:.2f} and {ends['log_z_upper']:.2f}. The "
        f"latter is lower by {value('difference', '+')} nats, image by image. {verdict} to "
        f"{AGREE:g} nats and twice the error.{why} On {settings.num_simulated} images drawn from "
        f"the model, where the truth lies on average between log p(x) from the prior and back to "
        f"it, these are {value('simulated_gap')} nats apart, and the importance-weighted estimate "
        f"is {value('simulated_weighted_less_below', '+')} above the first."
    )
