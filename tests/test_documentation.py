"""The lines that documentation shows are run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.md"))
CELL = re.compile(r"^```\{code-cell\}.*?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(code: str, folder: Path) -> str:
    """Runs code in a process of its own, on a screen that shows nothing; returns what it prints."""
    script = folder / "script.py"
    script.write_text("import matplotlib\nmatplotlib.use('agg')\n" + code)
    environment = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "HOME": str(folder)}
    command = [sys.executable, str(script)]
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-3000:]
    return found.stdout


def cells(path: Path) -> list[str]:
    """A notebook's code, cell by cell."""
    found = CELL.findall(path.read_text())
    return [re.sub(r"^:tags:.*\n", "", cell, flags=re.MULTILINE) for cell in found]


def readme() -> str:
    text = (ROOT / "README.md").read_text()
    return text.split("<!-- python -->\n```python\n")[1].split("```\n<!-- /python -->")[0]


def test_readme_in_short(tmp_path):
    # 2 epochs in place of 20: what is tried is that the lines run
    output = run(readme().replace("epochs=20", "epochs=2"), tmp_path)
    assert re.search(r"NLL .* nats .*\n.*\nlog Z .* within", output)
    # in a process that has seen nothing of the model
    load = "import dvae_tf\nimport keras\nprint(keras.models.load_model('digits.keras').built)"
    assert run(load, tmp_path).strip() == "True"


@pytest.mark.soak
def test_readme_as_it_stands(tmp_path):
    assert "NLL" in run(readme(), tmp_path)


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem == "foreign_rbm"], ids=["rbm"])
def test_short_notebook(path, tmp_path):
    assert "nats" in run("\n".join(cells(path)), tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, tmp_path):
    run("\n".join(cells(path)), tmp_path)


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    pages = [p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts]
    names = {str(p.relative_to(ROOT / "docs").with_suffix("")) for p in pages} - {"index"}
    assert names <= set(index.split())


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_within_the_repository(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text())
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing and (links or page != "README.md")


def test_the_sampler_alone_has_all_its_packages():
    text = (ROOT / "sampler" / "pyproject.toml").read_text()
    listed = re.search(r"packages = \[(.*?)\]", text, re.DOTALL)
    folders = {p.parent.relative_to(ROOT) for p in (ROOT / "sampler").rglob("__init__.py")}
    expected = {".".join(folder.parts) for folder in folders}
    assert listed and set(re.findall(r'"([\w.]+)"', listed[1])) == expected
