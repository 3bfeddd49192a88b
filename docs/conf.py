"""Sphinx: `make docs`. Warnings are errors there."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

from sampler import __version__  # noqa: E402

project, release = "dvae-tf", __version__
author = "The maintainers of dvae-tf"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
html_theme, html_title = "furo", f"dvae-tf {release}"
html_static_path: list[str] = []

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "docs" / "_build" / "notebooks")
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"  # what TensorFlow says of the machine that built the site

default_role = "code"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar = True
# their own lists of members have no docstrings of ours
autodoc_mock_imports: list[str] = []
suppress_warnings = ["mystnb.unknown_mime_type"]

_MARKUP = re.compile(r"([*|]|\w_(?=\W|$))")


def _plain(app, what, name, obj, options, lines: list[str]) -> None:
    """Docstrings are plain text with code in backticks: what else reads as markup is escaped."""
    del app, what, name, obj, options
    parts = ("\n".join(lines)).split("`")
    for i in range(0, len(parts), 2):
        parts[i] = parts[i].replace("\\", "\\\\")
        parts[i] = _MARKUP.sub(lambda m: m[1][:-1] + "\\" + m[1][-1], parts[i])
    lines[:] = "`".join(parts).split("\n")


def setup(app) -> None:
    """Connects the hook."""
    app.connect("autodoc-process-docstring", _plain, priority=400)
