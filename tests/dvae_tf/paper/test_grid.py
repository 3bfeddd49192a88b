from __future__ import annotations

import pytest

from dvae_tf.config import ConfigError
from dvae_tf.paper.grid import Selection, integers, make_run, parse_settings, row_name, stem
from dvae_tf.paper.layout import Cell


def names(**selection):
    return [run.name for run in Selection(**selection).runs()]


def test_whole_tables():
    # Table 4's nine cells of L = 1 for each dataset and size are three models, those of Table 1
    assert [len(names(table=table)) for table in (1, 2, 3, 4)] == [40, 48, 24, 36]
    assert len(names(table=1, seeds=(0, 1, 2))) == 120
    for table in (1, 2, 3, 4):
        assert len(set(names(table=table))) == len(names(table=table))


def test_tables_share_the_models_that_are_the_same():
    one, two, four = (set(names(table=table)) for table in (1, 2, 4))
    assert len(one & two) == 2 * 2 * 4  # K = 1: PWL with L = 1, 2, 4 and DVAE##
    assert len(one & four) == 2 * 2 * 3  # L = 1 has nothing to share a context with
    assert not set(names(table=3)) & (one | two | four)


def test_selection():
    assert names(table=1, rows=("dvae##", "pwl_l2"), data=("mnist",), sizes=(100,)) == [
        "mnist_100_undirected_k1_seed0",
        "mnist_100_pwl_l2_k1_seed0",
    ]
    assert names(table=3, rows=("dvae##",), data=("omniglot",), samples=(5,), seeds=(3, 1)) == [
        "omniglot_100_undirected_k5_structured_seed3",
        "omniglot_100_undirected_k5_structured_seed1",
    ]
    assert names(table=4, rows=("dvae#",), data=("mnist",), sizes=(200,)) == [
        "mnist_200_power_l1_k1_seed0",
        "mnist_200_power_l2_k1_separate_seed0",
        "mnist_200_power_l4_k1_separate_seed0",
    ]


def test_beyond_the_paper():
    assert names(table=2, rows=("dvae##",), data=("digits",), sizes=(32,), samples=(10,)) == [
        "digits_32_undirected_k10_seed0"
    ]
    assert len({c.num_samples for c in Selection(table=2, samples=(10,)).cells()}) == 4


@pytest.mark.parametrize(
    ("cell", "fields"),
    [
        (
            Cell("mnist", 100, "dvae##"),
            {"dataset": "binarized_mnist", "posterior": "undirected", "relaxation": "pwl"}
            | {"num_latents": 200, "sharpness": 4, "num_samples": 1, "task": "vae"},
        ),
        (
            Cell("mnist", 200, "dvae#", 2),
            {"posterior": "directed", "relaxation": "power", "num_layers": 2, "num_latents": 400}
            | {"sharpness": 30, "shared_context": True},
        ),
        (
            Cell("omniglot", 100, "concrete", 4, 1, False),
            {"dataset": "omniglot", "posterior": "directed", "relaxation": "concrete"}
            | {"num_layers": 4, "shared_context": False, "sharpness": 10},
        ),
        (
            Cell("omniglot", 100, "pwl", 1, 25, True, "structured_prediction"),
            {"posterior": "directed", "relaxation": "pwl", "num_samples": 25, "sharpness": 3}
            | {"task": "structured_prediction", "learning_rate": 3e-4, "hidden_units": (200,)},
        ),
    ],
)
def test_configuration(cell, fields):
    config = make_run(cell, 7, {"num_steps": 50}).config
    assert {name: getattr(config, name) for name in fields} == fields
    assert (config.seed, config.num_steps, config.prior_sweeps, config.eval_samples) == (
        *(7, 50),
        *(40, 4000),
    )


def test_names_of_rows_and_folders():
    assert row_name(Cell("mnist", 100, "dvae#", 2)) == "dvae#_l2"
    assert row_name(Cell("mnist", 100, "dvae##")) == "dvae##"
    assert stem(Cell("mine/faces.npz", 50, "pwl", 2)) == "faces_50_pwl_l2_k1"


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"table": 2, "rows": ("dvae#",)}, "--rows: found dvae#; accepted: dvae##, pwl, pwl_l1"),
        ({"table": 1, "samples": (5,)}, "--k: found 5 with --table=1; accepted: none"),
        ({"table": 1, "seeds": ()}, "--table=1: the flags given leave no run"),
        ({"table": 1, "settings": {"batch_size": 0}}, "--batch_size: found 0"),
    ],
)
def test_mistaken_selection(selection, message):
    with pytest.raises(ConfigError) as caught:
        Selection(**selection).runs()
    assert str(caught.value).startswith(message)


def test_settings():
    texts = ["batch_size=50", "learning_rate=1e-3", "prior_sampler=pcd"]
    assert parse_settings(texts) == {
        "batch_size": 50,
        "learning_rate": 1e-3,
        "prior_sampler": "pcd",
    }
    assert integers("sizes", ["100", "20"]) == (100, 20)


@pytest.mark.parametrize(
    "text", ["batch_size", "batch_size=1.5", "seed=1", "hidden_units=5", "nonsense=1"]
)
def test_mistaken_setting(text):
    with pytest.raises(ConfigError) as caught:
        parse_settings([text])
    assert str(caught.value).startswith(f"--set: found {text}; accepted: ")


@pytest.mark.parametrize("text", ["x", "-1", "1.5", ""])
def test_mistaken_number(text):
    with pytest.raises(ConfigError, match=f"--seeds: found {text}; accepted"):
        integers("seeds", ["0", text])
