"""How much memory there is."""

from __future__ import annotations

from pathlib import Path

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


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


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
