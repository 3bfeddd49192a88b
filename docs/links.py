"""Checks external links with Sphinx; says which the network did not let it reach."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).parent / "_build"
UNREACHABLE = ("Max retries", "timed out", "Connection", "resolve", "403", "ProxyError")


def main() -> int:
    """0 unless a link is there to be reached and broken."""
    command = ["-b", "linkcheck", "-q", "-d", BUILD / "doctrees", BUILD.parent, BUILD / "links"]
    # the exit status is 1 for unreachable ones too
    subprocess.run([sys.executable, "-m", "sphinx", *map(str, command)], capture_output=True)
    lines = (BUILD / "links" / "output.json").read_text().splitlines()
    links = [json.loads(line) for line in lines]
    bad = [link for link in links if link["status"] in ("broken", "timeout")]
    unreachable = [k for k in bad if any(word in k["info"] for word in UNREACHABLE)]
    broken = [link for link in bad if link not in unreachable]
    external = [link for link in links if link["uri"].startswith("http")]
    print(f"links: {len(external)} external, {len(broken)} broken, {len(unreachable)} NOT CHECKED")
    for link in unreachable:
        print(f"  not reached from here: {link['uri']}")
    for link in broken:
        print(f"  broken: {link['filename']} line {link['lineno']}: {link['uri']}")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
