"""Whether a run fits into memory: an estimate, made before anything large is allocated."""

import numpy as np

from dvae_tf.config import Config, ConfigError
from dvae_tf.registry import POSTERIORS
from sampler.io.memory import available

__all__ = ["available", "check", "needed"]

_FLOAT = 4
_COPIES = 5
"""Of each activation, with gradients and what XLA keeps beside them; chosen with `_PROGRAM` so that
estimates are 0.99 to 1.1 times the peaks that `benchmarks/train_step.py` shows for K = 1 and 25,
batches of 100 and 400, 100+100 and 200+200 latents."""
_PROGRAM = 1150 << 20
"""What TensorFlow takes for itself, and for compiling a step."""


def needed(config: Config, images: np.ndarray) -> int:
    """Bytes that training takes at its peak, about, with the training images [N, D] themselves.

    They are there twice, as an array and as the step's tensor; probabilities take 4 bytes a pixel.
    """
    num_images, num_pixels = images.shape
    samples = config.batch_size * config.num_samples
    per_image, per_chain = POSTERIORS.load(config.posterior).memory(config)
    activations = samples * (num_pixels + sum(config.hidden_units) + config.num_latents)
    activations += config.batch_size * (per_image + num_pixels)
    kept = 2 * images.nbytes + num_images * config.num_samples * per_chain
    parameters = 4 * config.hidden_units[-1] * (per_image + 2 * num_pixels)
    return _PROGRAM + _FLOAT * (_COPIES * activations + parameters) + kept


def check(config: Config, images: np.ndarray, limit: int | None) -> None:
    """Raises ConfigError if a run is expected to need more than `limit` bytes (None: any).

    The array of the training images [N, D] is taken to be there already, and not in the limit.
    """
    expected = needed(config, images)
    if limit is not None and expected - images.nbytes > limit:
        raise ConfigError(
            f"--batch_size={config.batch_size} --num_samples={config.num_samples}: a run is "
            f"expected to need {expected / 1e9:.1f} GB, its {len(images)} training images "
            f"{2 * images.nbytes / 1e9:.1f} GB of them; accepted is what fits into the "
            f"{limit / 1e9:.1f} GB of free memory: try a smaller --num_samples or --batch_size"
        )
