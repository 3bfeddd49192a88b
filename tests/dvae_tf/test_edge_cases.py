"""Odd but readable images: they train, with the NLL that they must have, or are refused at once."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from dvae_tf import data, experiment
from dvae_tf.config import Config, ConfigError
from dvae_tf.data import Dataset
from dvae_tf.factory import new_model
from dvae_tf.files import to_json

BITS = np.random.default_rng(0).integers(0, 2, [30, 16], np.uint8)
CONSTANT = np.concatenate([np.zeros([30, 4]), np.ones([30, 4]), BITS[:, 8:]], 1).astype(np.uint8)
ONE_EACH = {"train": BITS[:1], "valid": BITS[1:2], "test": BITS[2:3]}

CONFIG = Config(
    num_latents=4,
    hidden_units=(4,),
    posterior_sweeps=1,
    prior_chains=20,
    prior_sweeps=1,
    num_steps=20,
    batch_size=7,  # does not divide 30
    eval_every=20,
    valid_samples=5,
    eval_samples=100,
    num_temperatures=3,
    prior_temperatures=50,
    checkpoint_every=20,
)


def run(folder, arrays, **fields) -> dict[str, float]:
    """The metrics of a run on such images, which must be valid JSON and printable."""
    np.savez(folder / "own.npz", **arrays)
    config = dataclasses.replace(CONFIG, dataset=str(folder / "own.npz"), **fields)
    experiment.run(config, data.load(config.dataset, folder), folder / "run")
    text = (folder / "run" / "metrics.json").read_text()
    metrics = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert "Test NLL" in experiment.report(metrics, folder)
    return metrics


@pytest.mark.soak
def test_one_black_image_to_test(tmp_path):
    black = np.zeros([30, 16], np.uint8)
    metrics = run(tmp_path, {"train": black, "valid": black[:1], "test": black[:1]})
    # No pixel was ever seen white: the decoder starts at a probability of .001 for each of 16.
    assert 0 < metrics["test_nll"] < 0.1
    assert metrics["test_nll_stderr"] is None


@pytest.mark.soak
@pytest.mark.parametrize(
    ("arrays", "fields", "low", "high"),
    [
        ({"train": np.ones([30, 16])}, {}, 0, 0.1),
        # 8 random pixels and 8 that never change
        ({"train": CONSTANT}, {}, 7 * math.log(2), 12 * math.log(2)),
        ({"train": BITS[:, :1]}, {}, 0.5 * math.log(2), 2 * math.log(2)),
        # nothing to learn from one image of another: only finite
        (ONE_EACH, {"batch_size": 1}, 0, 16 * math.log(1000)),
        ({"train": BITS, "valid": BITS[:1], "test": BITS[:3]}, {"batch_size": 30}, 0, 100),
        ({"train": BITS / 2}, {"task": "structured_prediction"}, 0, 100),
        ({"train": BITS[:, :2]}, {"task": "structured_prediction"}, 0, 100),
    ],
    ids=["white", "constant", "one pixel", "one image", "one batch", "halves", "two pixels"],
)
def test_odd_images_train(tmp_path, arrays, fields, low, high):
    metrics = run(tmp_path, arrays, **fields)
    assert low <= metrics["test_nll"] <= high


def test_more_images_in_a_batch_than_there_are(tmp_path):
    with pytest.raises(ConfigError, match="--batch_size: found 7, accepted is at most the 1"):
        run(tmp_path, ONE_EACH)


def test_half_of_one_pixel_cannot_be_predicted():
    config = dataclasses.replace(CONFIG, task="structured_prediction")
    with pytest.raises(ConfigError, match="found images of 1 pixel, accepted is 2 or more"):
        new_model(config, np.full([1], 0.5, np.float32))


@pytest.mark.parametrize("task", ["vae", "structured_prediction"])
def test_pictures_of_a_single_image(tmp_path, task):
    config = dataclasses.replace(CONFIG, task=task)
    dataset = Dataset("own", BITS, BITS[:1], BITS[:1], (4, 4), stochastic=False)
    model = new_model(config, dataset.train_mean)
    experiment.save_pictures(model, dataset, tmp_path, seed=0)
    names = {"vae": {"samples.png", "reconstructions.png"}}.get(task, {"completions.png"})
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_spread_that_is_not_a_number_is_null(tmp_path):
    text = to_json({"test_nll": 1.5, "test_nll_stderr": math.nan, "num_images": 1})
    metrics = json.loads(text, parse_constant=pytest.fail)
    assert metrics == {"test_nll": 1.5, "test_nll_stderr": None, "num_images": 1}
    others = {"test_neg_elbo": 2.0, "log_z_prior": None, "num_samples": 3}
    assert "1.50 ± nan nats" in experiment.report({**metrics, **others}, tmp_path)
