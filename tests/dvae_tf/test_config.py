from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from dvae_tf import config as module
from dvae_tf.config import Config, ConfigError, resolve


def test_json_round_trip(tmp_path):
    config = Config(dataset="omniglot", hidden_units=(7, 8, 9), learning_rate=1e-7, seed=2**40)
    path = tmp_path / "config.json"
    path.write_text(config.to_json())
    assert Config.from_json(path) == config
    # a line for each field and two for the braces, and four more for the tuple's numbers
    assert len(config.to_json().splitlines()) == len(dataclasses.fields(Config)) + 2 + 4


def test_defaults_are_the_paper_s():
    # facts.md, section 2
    paper = Config(dataset="binarized_mnist")
    assert resolve("binarized_mnist") == paper
    assert (paper.num_steps, paper.batch_size, paper.learning_rate) == (1_000_000, 100, 3e-3)
    assert (paper.kl_warmup, paper.weight_decay, paper.hidden_units) == (0.3, 1e-4, (200, 200))
    assert (paper.posterior_sweeps, paper.relaxed_sweeps, paper.prior_sweeps) == (10, 1, 40)
    assert (paper.prior_chains, paper.prior_sampler, paper.coupling_scale) == (1000, "pa", 1.5)
    assert (paper.eval_every, paper.valid_samples, paper.eval_samples) == (20_000, 100, 4000)
    assert paper.prior_temperatures == 10_000
    assert paper.bound == "importance_weighted"
    assert (paper.schedule, paper.adam_epsilon) == ("paper", 1e-3)


@pytest.mark.parametrize(
    ("dataset", "relaxation", "sharpness"),
    [
        ("digits", None, 4),
        ("binarized_mnist", "pwl", 4),
        ("binarized_mnist", "pwl_stop_slope", 4),
        ("binarized_mnist", "concrete", 10),
        ("omniglot", None, 3),
        ("omniglot", "pwl_stop_slope", 3),
        ("omniglot", "concrete", 10),
        ("binarized_mnist", "power", 30),
        ("omniglot", "power", 30),
        ("omniglot", "uniform_exponential", 15),
        ("mine/omniglot.npz", None, 4),
    ],
)
def test_sharpness_follows_dataset_and_relaxation(dataset, relaxation, sharpness):
    assert resolve(dataset, relaxation=relaxation, posterior="directed").sharpness == sharpness


def test_what_is_given_comes_before_defaults():
    digits = resolve("digits")
    assert (digits.num_latents, digits.num_steps) == (64, 3000)
    given = resolve("digits", num_latents=10, sharpness=7.0, seed=None)
    assert given == dataclasses.replace(digits, num_latents=10, sharpness=7.0)
    assert resolve("omniglot", sharpness=5.0).sharpness == 5


def test_recipe_gives_way_to_the_task_s_and_dataset_s_defaults_and_to_what_is_given():
    assert resolve("binarized_mnist", recipe="paper") == resolve("binarized_mnist")
    fast = resolve("binarized_mnist", recipe="fast")
    assert dataclasses.asdict(fast).items() >= module.RECIPES["fast"].items()
    assert resolve("binarized_mnist", recipe="fast", batch_size=50).batch_size == 50
    assert resolve("digits", recipe="fast").prior_sweeps == 10
    task = {"task": "structured_prediction", "recipe": "fast"}
    assert resolve("binarized_mnist", **task).learning_rate == 3e-4
    with pytest.raises(ConfigError, match="--recipe: found slow, accepted is paper, fast"):
        resolve("digits", recipe="slow")


INVALID = [
    ("num_auxiliary", 0),
    ("num_latents", 7),
    ("num_latents", 0),
    ("num_latents", -2),
    ("sharpness", 0.0),
    ("sharpness", float("nan")),
    ("coupling_scale", -0.1),
    ("posterior_sweeps", 0),
    ("relaxed_sweeps", 0),
    ("prior_chains", 0),
    ("prior_sweeps", -1),
    ("num_steps", 0),
    ("batch_size", 0),
    ("learning_rate", 0.0),
    ("learning_rate", -1e-3),
    ("learning_rate", float("nan")),
    ("learning_rate", float("inf")),
    ("weight_decay", float("inf")),
    ("seed", 2**63),
    ("adam_epsilon", 0.0),
    ("constant_rate", -0.1),
    ("constant_rate", 1.1),
    ("kl_warmup", -0.1),
    ("kl_warmup", 1.1),
    ("weight_decay", -1e-4),
    ("seed", -1),
    ("eval_every", 0),
    ("valid_samples", 0),
    ("eval_samples", 0),
    ("num_temperatures", 1),
    ("prior_temperatures", 1),
    ("checkpoint_every", 0),
    ("num_layers", 0),
    ("num_samples", 0),
    ("num_latents_1", -1),
    ("num_latents_1", 64),
    ("coupling_rank", -1),
]


@pytest.mark.parametrize(("name", "value"), INVALID)
def test_invalid_value_names_the_flag(name, value):
    with pytest.raises(ConfigError) as caught:
        resolve("digits", **{name: value})
    message = str(caught.value)
    assert message.startswith(f"--{name}: found {value}, accepted is ")
    assert "\n" not in message


def test_every_number_is_checked():
    checked = {name for name, _ in INVALID}
    numbers = {f.name for f in dataclasses.fields(Config) if isinstance(f.default, int | float)}
    assert numbers - {"shared_context"} == checked


@pytest.mark.parametrize(
    "name", ["task", "posterior", "relaxation", "bound", "iw_gradient", "prior_sampler", "schedule"]
)
def test_unknown_name_is_a_config_error(name):
    with pytest.raises(ConfigError, match=f"--{name}: found nonsense"):
        resolve("digits", **{name: "nonsense"})


def test_sides():
    assert resolve("digits").sides == (32, 32)
    assert resolve("digits", num_latents=7, num_latents_1=3).sides == (3, 4)


def test_groups_cut_the_latents_evenly():
    assert resolve("digits", posterior="directed", num_layers=64).num_layers == 64
    with pytest.raises(ConfigError, match="--num_layers: found 5, accepted is a divisor of the 64"):
        resolve("digits", posterior="directed", num_layers=5)


def test_sweeps_take_relaxations_without_a_density():
    with pytest.raises(ConfigError, match="--relaxation: found power, accepted is pwl, concrete"):
        resolve("digits", relaxation="power")


@pytest.mark.parametrize(
    ("posterior", "field", "value"),
    [
        ("undirected", "num_layers", 2),
        ("undirected", "shared_context", False),
        ("directed", "coupling_rank", 8),
    ],
)
def test_what_would_have_no_effect_is_refused(posterior, field, value):
    with pytest.raises(ConfigError, match=f"--{field}: found {value}, accepted is only with"):
        resolve("digits", posterior=posterior, **{field: value})


def test_constant_rate_is_the_linear_schedule_s():
    with pytest.raises(ConfigError, match="--constant_rate: found 0.3, accepted is only with"):
        resolve("digits", constant_rate=0.3)
    assert resolve("digits", schedule="linear", constant_rate=0.3).constant_rate == 0.3


def test_structured_prediction_has_the_paper_s_settings():
    config = resolve("binarized_mnist", task="structured_prediction")
    assert (config.learning_rate, config.hidden_units) == (3e-4, (200,))
    assert resolve("binarized_mnist").hidden_units == (200, 200)


def test_limits_are_accepted():
    resolve("digits", num_latents=2, kl_warmup=0.0, weight_decay=0.0, coupling_scale=0.0)
    resolve("digits", kl_warmup=1.0, num_temperatures=2, num_steps=1)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[1, 2]",
        b"{}",
        b"\xff\xfe\x00",
        json.dumps({"hidden_units": [200], "no_such_field": 1}).encode(),
        json.dumps({"hidden_units": 200}).encode(),
        json.dumps({"hidden_units": [200], "num_latents": "many"}).encode(),
        json.dumps({"hidden_units": [200], "num_latents": 7}).encode(),
    ],
)
def test_broken_file_is_named(text, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        Config.from_json(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ('"seed": true', "seed: found True, accepted is the like of 0"),
        ('"seed": 1.5', "seed: found 1.5, accepted is the like of 0"),
        ('"seed": null', "seed: found None, accepted is the like of 0"),
        ('"seed": "7"', "seed: found '7', accepted is the like of 0"),
        ('"seed": 9223372036854775808', "seed: found 9223372036854775808, accepted"),
        ('"learning_rate": 1e999', "learning_rate: found inf, accepted is the like of 0.003"),
        ('"learning_rate": NaN', "learning_rate: found nan, accepted is the like of 0.003"),
        ('"shared_context": 1', "shared_context: found 1, accepted is the like of True"),
        ('"dataset": ["digits"]', "dataset: found ['digits'], accepted is the like of 'digits'"),
        ('"seed": 1, "seed": 2', "a name is there twice"),
        ('"a\\nb\\u001b[2J": 1', "unknown field 'a"),
    ],
)
def test_fields_are_checked_before_they_are_used(field, message, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(f'{{"hidden_units": [200], {field}}}')
    with pytest.raises(ConfigError) as caught:
        Config.from_json(path)
    assert f"not a configuration of this program ({message}" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("units", ["[0]", "[true]", "[1.5]", '["200"]', "[[200]]"])
def test_sizes_of_layers_are_checked(units, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(f'{{"hidden_units": {units}}}')
    with pytest.raises(ConfigError, match="hidden_units: found"):
        Config.from_json(path)


def test_differences():
    config = Config()
    assert config.differences(Config()) == []
    other = dataclasses.replace(config, seed=3, hidden_units=(200,))
    assert config.differences(other) == ["hidden_units: (200, 200), not (200,)", "seed: 0, not 3"]


def test_images_count_and_not_their_name():
    known = dict(zip(module.IMAGES, "abc", strict=True))
    ours = Config(dataset="own.npz", **known)
    assert ours.differences(Config(dataset="./own.npz", **known)) == []
    changed = Config(dataset="own.npz", **{**known, "valid_images": "x"})
    assert ours.differences(changed) == ["the valid images of own.npz are not the same"]
    # of a run of an older version they are not known
    assert ours.differences(Config(dataset="own.npz")) == []
    assert ours.differences(Config(dataset="x")) == ["dataset: own.npz, not x"]
    assert ours.differences(changed, but=module.IMAGES) == []


def test_differences_survive_json(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(Config().to_json())
    assert Config().differences(Config.from_json(path)) == []


def test_command_line_sets_every_field_but_the_networks_sizes():
    others = {"hidden_units", "initial_model", *module.IMAGES}
    assert set(module.FIELDS) == {f.name for f in dataclasses.fields(Config)} - others
