"""Kept results, and the documentation's table of them."""

import dataclasses
import json
from pathlib import Path

import pytest

from dvae_tf.config import ConfigError, resolve
from dvae_tf.paper import records

ROOT = Path(__file__).parents[3]


def test_the_documentation_shows_the_kept_results():
    text = (ROOT / records.DOCUMENT).read_text()
    assert text == records.collected(text, ROOT / records.RESULTS), (
        "python -m dvae_tf.paper --collect"
    )


def test_a_changed_number_changes_the_table(tmp_path):
    kept = sorted((ROOT / records.RESULTS).glob("mnist*.json"))[0]
    one = json.loads(kept.read_text())
    (tmp_path / kept.name).write_text(json.dumps(one))
    before = records.table(tmp_path)
    one["metrics"]["test_nll"] += 0.1
    (tmp_path / kept.name).write_text(json.dumps(one))
    assert records.table(tmp_path) != before
    assert before.count("\n") == 3


def test_flags_are_what_differs_from_the_paper():
    config = resolve("binarized_mnist", recipe="fast", coupling_rank=8)
    assert "--coupling_rank=8" in records.flags_of(config)
    assert "--batch_size=200" in records.flags_of(config)
    assert records.flags_of(resolve("omniglot")) == ""
    assert records.flags_of(dataclasses.replace(config, seed=3)).endswith("--seed=3")


def test_a_run_that_is_not_finished_is_not_kept(tmp_path):
    with pytest.raises(ConfigError, match="found no finished run"):
        records.keep(tmp_path, "it", tmp_path)


def test_a_document_without_marks_is_refused():
    with pytest.raises(ConfigError, match="found no lines"):
        records.collected("nothing")
