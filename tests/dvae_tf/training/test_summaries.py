"""What TensorBoard finds in a run's events."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from dvae_tf.data import Dataset
from dvae_tf.training.summaries import DESCRIPTIONS, Summaries
from sampler import seeds
from sampler.populations import population_annealing


@pytest.fixture(scope="module")
def events(whole_run) -> EventAccumulator:
    """Of a whole run, with its hyperparameters, a validation and a picture more."""
    found = EventAccumulator(
        str(whole_run.trainer.checkpoints.directory.parent), size_guidance={"tensors": 0}
    )
    found.Reload()
    return found


def test_every_tag_has_a_description(events):
    tags = [tag for tag in events.Tags()["tensors"] if not tag.startswith("_hparams_")]
    assert len(tags) > 20
    for tag in tags:
        text = events.SummaryMetadata(tag).summary_description
        assert len(text) > 8, tag
        known = {"configuration", "prior/b1", "prior/b2", "prior/w"} | DESCRIPTIONS.keys()
        assert tag in known, tag


def test_evaluation_comes_first(events):
    groups = [tag for tag in sorted(events.Tags()["tensors"]) if "/" in tag and tag[0] != "_"]
    assert groups[0].startswith("eval/valid") or groups[0].startswith("eval/running")


def test_configuration_is_text_and_hyperparameters(events, run_config):
    (text,) = events.Tensors("configuration")
    assert b'"num_latents": 12' in tf.make_ndarray(text.tensor_proto).item()
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert start["learning_rate"].number_value == run_config.learning_rate
    assert start["hidden_units"].string_value == "(20,)"
    content = events.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    experiment = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
    assert [info.name.tag for info in experiment.metric_infos][0] == "eval/test_nll"
    names = {info.name for info in experiment.hparam_infos}
    assert names == {f.name for f in dataclasses.fields(run_config)}


def test_spectrum_of_the_prior(whole_run, events):
    couplings = whole_run.trainer.model.prior_machine().w.numpy()
    largest = events.Tensors("prior/largest_singular_value")[-1]
    assert largest.step == 150
    np.testing.assert_allclose(
        tf.make_ndarray(largest.tensor_proto),
        np.linalg.svd(couplings, compute_uv=False)[0],
        rtol=1e-4,
    )


def images_of(events: EventAccumulator, tag: str) -> list[np.ndarray]:
    pictures = [tf.make_ndarray(e.tensor_proto)[2] for e in events.Tensors(tag)]
    return [tf.io.decode_png(picture).numpy() for picture in pictures]


def test_the_same_images_are_reconstructed_each_time(events):
    tables = images_of(events, "reconstructions")
    assert len(tables) > 10
    # rows of 8 + 1 pixels, images and reconstructions in turn
    rows = [table[:8] for table in tables]
    assert all(np.array_equal(row, rows[0]) for row in rows)
    assert any(np.any(table[9:17] != tables[0][9:17]) for table in tables)


@pytest.mark.parametrize("shape", [(1, 64), (8, 8)])
def test_rows_that_are_no_images_have_no_pictures(shape, model, digits, tmp_path):
    parts = {name: digits.split(name) for name in ("train", "valid", "test")}
    dataset = Dataset("rows", **parts, image_shape=shape, stochastic=False)
    summaries = Summaries(tmp_path, dataset)
    samples = population_annealing.initial(model.prior_machine(), 64, seeds.make_seed(0))
    summaries.details(model, samples, 1)
    summaries.close()
    found = EventAccumulator(str(tmp_path))
    found.Reload()
    assert ("reconstructions" in found.Tags()["tensors"]) == (shape == (8, 8))
    assert "prior/spectrum" in found.Tags()["tensors"]


def test_names_that_are_no_utf_8_do_no_harm(run_config, digits, tmp_path):
    """As `os.fsdecode` gives them."""
    summaries = Summaries(tmp_path, digits)
    summaries.configuration(dataclasses.replace(run_config, dataset="\udcff.npz"))
    summaries.close()
    assert list(tmp_path.glob("events*"))
