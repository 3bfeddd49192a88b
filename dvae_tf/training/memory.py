"""Whether a run fits into memory: an estimate, made before anything large is allocated."""

from pathlib import Path

from dvae_tf.config import Config, ConfigError
from dvae_tf.registry import POSTERIORS

_FLOAT = 4
_COPIES = 5
"""Of each activation, with gradients and what XLA keeps beside them; chosen with `_PROGRAM` so that
estimates are 0.99 to 1.1 times the peaks that `benchmarks/train_step.py` shows for K = 1 and 25,
batches of 100 and 400, 100+100 and 200+200 latents."""
_PROGRAM = 1150 << 20
"""What TensorFlow takes for itself, and for compiling a step."""

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def needed(config: Config, num_images: int, num_pixels: int) -> int:
    """Bytes that training takes at its peak, about.

    Args:
      num_images, num_pixels: of the training images.
    """
    samples = config.batch_size * config.num_samples
    per_image, per_chain = POSTERIORS.load(config.posterior).memory(config)
    activations = samples * (num_pixels + sum(config.hidden_units) + config.num_latents)
    activations += config.batch_size * (per_image + num_pixels)
    kept = num_images * (num_pixels + config.num_samples * per_chain)
    parameters = 4 * config.hidden_units[-1] * (per_image + 2 * num_pixels)
    return _PROGRAM + _FLOAT * (_COPIES * activations + parameters) + kept


def available(root: Path = Path("/")) -> int | None:
    """Bytes that this process may take, by the kernel and by a container's limit; None if unknown.

    Args:
      root: of the file system.
    """
    found = []
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) << 10)
    for name in _LIMITS:
        found += [int(line) for line in _lines(root / name.lstrip("/")) if line.isdecimal()]
    return min(found, default=None)


def check(config: Config, num_images: int, num_pixels: int, limit: int | None) -> None:
    """Raises ConfigError if a run is expected to need more than `limit` bytes (None: any)."""
    expected = needed(config, num_images, num_pixels)
    if limit is not None and expected > limit:
        raise ConfigError(
            f"--batch_size={config.batch_size} --num_samples={config.num_samples}: a run is "
            f"expected to need {expected / 1e9:.1f} GB; accepted is what fits into the "
            f"{limit / 1e9:.1f} GB of free memory: try a smaller --num_samples or --batch_size"
        )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
