from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dvae_tf.config import ConfigError
from dvae_tf.training import memory


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 4000 kB\n"}, 4000 << 10),
        (
            {
                "proc/meminfo": "MemAvailable: 4000 kB\n",
                "sys/fs/cgroup/memory.max": "1000\n",
            },
            1000,
        ),
        ({"sys/fs/cgroup/memory.max": "max\n"}, None),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "77\n"}, 77),
        ({}, None),
    ],
)
def test_the_tightest_limit_counts(files, expected, tmp_path):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memory.available(tmp_path) == expected


def test_too_many_samples_are_refused_with_a_hint(small_config):
    config = dataclasses.replace(small_config, num_samples=100_000)
    images = np.zeros([1000, 64], np.uint8)
    memory.check(small_config, images, 2 << 30)
    memory.check(config, images, None)
    with pytest.raises(ConfigError, match="--num_samples=100000: a run is expected to need") as e:
        memory.check(config, images, 2 << 30)
    assert "accepted is what fits into the 2.1 GB of free memory: try a smaller" in str(e.value)
    assert "\n" not in str(e.value)


def test_probabilities_count_four_bytes_a_pixel(small_config):
    """Twice, as an array and as the step's tensor."""
    bits, probabilities = np.zeros([10_000, 64], np.uint8), np.zeros([10_000, 64], np.float32)
    more = memory.needed(small_config, probabilities) - memory.needed(small_config, bits)
    assert more == 2 * 3 * bits.size
    limit = memory.needed(small_config, bits)  # the array is there, a tensor of bits would fit
    memory.check(small_config, bits, limit)
    with pytest.raises(ConfigError, match="its 10000 training images 0.0 GB of them; accepted"):
        memory.check(small_config, probabilities, limit)
