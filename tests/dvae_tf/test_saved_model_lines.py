"""The documentation's lines about the SavedModel, on the export of a tiny model."""

from __future__ import annotations

import re

import numpy as np

from dvae_tf import export


def test_the_saved_model_s_lines_run(model, exact, tmp_path, project):
    export.export(model, tmp_path / "saved_model", exact.log_z, num_temperatures=5)
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (project / "docs/command_line.md").read_text(), re.M | re.S
    )
    (text,) = [block for block in blocks if "saved_model.load" in block]
    names: dict = {}
    exec(text.replace("runs/mnist/saved_model", str(tmp_path / "saved_model")), names)
    assert (
        names["drawn"]["images"].shape == names["again"].shape == names["logits"].shape == (16, 64)
    )
    assert names["nats"]["log_likelihood"].shape == (8,) and names["served"].shape == (16,)
    assert names["draws"]["log_weights"].shape == (16, 5) and names["rbms"]["w"].shape == (16, 6, 6)
    assert names["slope"].shape == names["z"].shape == (16, 12) and np.any(names["slope"])
    assert names["log_z"] == exact.log_z
