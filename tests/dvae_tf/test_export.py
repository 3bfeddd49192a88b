"""The SavedModel, in a process that knows TensorFlow and nothing of this project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from dvae_tf import export as module
from dvae_tf.evaluation.likelihood import LikelihoodOfMany, likelihood
from dvae_tf.export import ExportedModel, ExportError
from sampler import seeds
from sampler.annealing import schedules

SAMPLES = 1000

STRANGER = """
import sys
sys.modules.update(dvae_tf=None, sampler=None)  # an editable installation would offer them
for name in ("dvae_tf", "sampler"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    sys.exit(f"{name} can be imported here")
import numpy as np
import tensorflow as tf

folder, inputs, outputs = sys.argv[1:]
loaded = tf.saved_model.load(folder)
run = loaded.signatures
x, z = (tf.constant(np.load(inputs)[name]) for name in "xz")
count, seed = tf.constant(SAMPLES), tf.constant(0)
results = {"signatures": sorted(run)}
calls = {
    "encode": run["encode"](x=x),
    "prior": run["prior"](),
    "decode": run["decode"](z=z),
    "reconstruct": run["reconstruct"](x=x, seed=seed),
    "one": run["reconstruct"](x=x[:1], seed=seed),
    "reseeded": run["reconstruct"](x=x, seed=seed + 1),
    "served": run["serving_default"](x=x),
    "log_likelihood": run["log_likelihood"](x=x, num_samples=count, seed=seed),
    "other": run["log_likelihood"](x=x, num_samples=count, seed=seed + 1),
}
for number, seed in ((1, 0), (7, 0), (1500, 0), (7, 1), (7, 0)):
    name = f"sample_{number}_{seed}" + "_again" * (f"sample_{number}_{seed}" in calls)
    calls[name] = run["sample"](num_samples=tf.constant(number), seed=tf.constant(seed))
for call, tensors in calls.items():
    results |= {f"{call}/{name}": tensor.numpy() for name, tensor in tensors.items()}
with tf.GradientTape() as tape:
    tape.watch(z)
    logits = loaded.signatures["decode"](z=z)["logits"]
results["gradient"] = tape.gradient(logits, z).numpy()
np.savez(outputs, **results)
""".replace("SAMPLES", str(SAMPLES))


@pytest.fixture(scope="module")
def folder(model, exact, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "saved_model"
    # an older export is replaced: a run that is stopped after it writes it again
    tf.saved_model.save(tf.Module(), str(folder))
    module.export(model, folder, exact.log_z, num_temperatures=20)
    return folder


@pytest.fixture(scope="module")
def latents() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2, (5, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def results(folder, images, latents, tmp_path_factory) -> dict[str, np.ndarray]:
    """What a stranger gets from each signature, as '<call>/<output>'."""
    away = tmp_path_factory.mktemp("away")
    np.savez(away / "inputs.npz", x=images, z=latents)
    command = [sys.executable, "-I", "-c", STRANGER, folder, "inputs.npz", "outputs.npz"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    subprocess.run([str(part) for part in command], cwd=away, env=environment, check=True)
    with np.load(away / "outputs.npz") as outputs:
        return dict(outputs)


def test_signatures(results):
    expected = ["decode", "draw", "encode", "log_likelihood", "prior", "reconstruct", "sample"]
    assert results["signatures"].tolist() == [*expected, "serving_default"]


def test_served_without_a_word_about_samples(results):
    assert results["served/log_likelihood"].shape == results["log_likelihood/log_likelihood"].shape
    # of 100 samples in place of 1000
    difference = results["served/log_likelihood"] - results["log_likelihood/log_likelihood"]
    assert 0 < np.abs(difference).max() < 1


def test_log_z_can_be_read(results, exact):
    assert results["prior/log_z"] == exact.log_z


@pytest.mark.parametrize("name", ["log_likelihood", "reconstruct", "encode", "draw"])
def test_pixels_of_another_range_are_refused(name, folder, images):
    signature = tf.saved_model.load(str(folder)).signatures[name]
    others = {"num_samples": tf.constant(3), "seed": tf.constant(0)}
    others |= (
        {"betas": tf.constant([0.0, 1.0]), "seed": tf.constant([0, 0])} if name == "draw" else {}
    )
    takes = signature.structured_input_signature[1]
    others_of = [16 * images, np.nan * images, np.where(images > 0, np.inf, 0), images / 2]
    for x in others_of[: 4 if name == "log_likelihood" else 3]:
        with pytest.raises(tf.errors.InvalidArgumentError, match="x: found .*; accepted are 0"):
            signature(
                **{
                    "x": tf.constant(x, tf.float32),
                    **{k: v for k, v in others.items() if k in takes},
                }
            )


def test_encode_equals_the_live_model(results, model, images):
    for name, value in model.phi(tf.constant(images)).binary()._asdict().items():
        assert results[f"encode/{name}"].shape == value.shape
        # float32 matrix products in another process
        np.testing.assert_allclose(results[f"encode/{name}"], value, rtol=1e-5, atol=1e-5)


def test_prior_equals_the_live_model(results, model):
    for name, value in model.prior_machine()._asdict().items():
        np.testing.assert_array_equal(results[f"prior/{name}"], value)


def test_decode_equals_the_live_model(results, model, latents):
    logits = model.decode(tf.constant(latents))
    np.testing.assert_allclose(results["decode/logits"], logits, rtol=1e-5, atol=1e-5)


def test_decoder_s_gradient(results, model, latents):
    z = tf.constant(latents)
    with tf.GradientTape() as tape:
        tape.watch(z)
        logits = model.decode(z)
    np.testing.assert_allclose(results["gradient"], tape.gradient(logits, z), rtol=1e-4, atol=1e-4)


def test_reconstructions_have_a_seed(results):
    assert np.any(results["reconstruct/images"] != results["reseeded/images"])


def test_reconstructions_are_probabilities(results, images):
    drawn = results["reconstruct/images"]
    assert drawn.shape == images.shape and drawn.dtype == np.float32
    assert results["one/images"].shape == (1, 64)
    assert 0 <= drawn.min() < 0.1 and 0.9 < drawn.max() <= 1


@pytest.mark.parametrize("count", [1, 7, 1500])
def test_samples_are_probabilities(count, results):
    drawn = results[f"sample_{count}_0/images"]
    assert drawn.shape == (count, 64) and drawn.dtype == np.float32
    assert drawn.min() >= 0 and drawn.max() <= 1
    # 4096 latent states, of which a few hundred have most of the weight
    assert len(np.unique(drawn, axis=0)) >= min(count, 100)


def test_samples_are_a_function_of_the_seed(results):
    first, again, other = (results[f"sample_7_{s}/images"] for s in ("0", "0_again", "1"))
    np.testing.assert_array_equal(first, again)
    assert abs(first - other).max() > 0.1


def test_log_likelihood_equals_the_enumerated_one(results, model, images, exact):
    values, others = results["log_likelihood/log_likelihood"], results["other/log_likelihood"]
    assert values.dtype == np.float64 and values.shape == (len(images),)
    # ess from a run of one's own: what it says of the standard error holds for any seed
    betas = tf.constant(schedules.linear(20))
    ess = likelihood(model, tf.constant(images), SAMPLES, betas, seeds.make_seed(9)).ess
    stderr = np.sqrt(1 / ess - 1 / SAMPLES)
    for estimate in (values, others):
        assert abs((estimate - exact.log_px) / stderr).max() < 5
    assert np.all(values != others)


def test_compiled_evaluation_of_an_export_equals_the_enumerated_one(folder, images, exact):
    evaluate = LikelihoodOfMany(ExportedModel(folder), SAMPLES, 20, len(images))
    result = evaluate(images.astype(np.uint8), seeds.make_seed(1))
    stderr = np.sqrt(1 / result.ess - 1 / SAMPLES)
    assert abs((result.log_marginal - exact.log_z - exact.log_px) / stderr).max() < 5


def test_exported_model_knows_its_pixels(folder):
    exported = ExportedModel(folder)
    assert exported.num_pixels == 64
    exported.check_pixels(64, "digits")
    with pytest.raises(ExportError, match="--dataset=binarized_mnist: found images of 784"):
        exported.check_pixels(784, "binarized_mnist")


def nothing(folder: Path) -> None:
    folder.mkdir()


def no_folder(folder: Path) -> None:
    del folder


def damaged(folder: Path) -> None:
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"no protocol buffer")


def foreign(folder: Path) -> None:
    tf.saved_model.save(tf.Module(), str(folder))


def foreign_with_our_names(folder: Path) -> None:
    other = tf.Module()
    other.double = tf.function(
        lambda y: {"y": 2 * y}, input_signature=[tf.TensorSpec([], name="y")]
    )
    names = ("draw", "decode", "log_likelihood")
    tf.saved_model.save(other, str(folder), signatures=dict.fromkeys(names, other.double))


@pytest.mark.parametrize("make", [nothing, no_folder, damaged, foreign, foreign_with_our_names])
def test_folder_that_is_no_export_of_ours(make, tmp_path):
    folder = tmp_path / "model"
    make(folder)
    with pytest.raises(ExportError) as caught:
        ExportedModel(folder)
    assert str(caught.value).startswith(f"{folder}: ") and "\n" not in str(caught.value)


def giving(outputs: set[str]) -> Callable:
    """A function of any inputs with these outputs."""
    return tf.function(
        lambda **inputs: dict.fromkeys(outputs, tf.add_n([tf.zeros([1, 12]), *inputs.values()]))
    )


def other_signatures(folder: Path, **changes: dict[str, set[str]] | None) -> None:
    """An export by its format, with the signatures of ours but for changes (None: it has none)."""
    other = tf.Module()
    other.format, other.task = tf.Variable(module.FORMAT), tf.Variable("vae")
    other.prior_kind = tf.Variable("rbm")
    expected = {**module._SIGNATURES, "prior": (set(), {"b1", "b2", "w"}), **changes}
    signatures = {}
    for name, names in expected.items():
        if names is not None:
            specs = {n: tf.TensorSpec([None, 12], name=n) for n in names[0]}
            signatures[name] = giving(names[1]).get_concrete_function(**specs)
    other.kept = list(signatures.values())
    tf.saved_model.save(other, str(folder), signatures=signatures)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decode": ({"z"}, {"y"})}, r"signature decode from \['z'\] to \['y'\], accepted is"),
        ({"decode": ({"y"}, {"logits"})}, r"signature decode from \['y'\] to \['logits'\], acc"),
        ({"prior": None}, r"found signatures .*, accepted is an export .*no prior"),
        ({"draw": None}, r"found signatures .*, accepted is an export .*no draw"),
    ],
)
def test_signatures_that_are_not_ours(changes, message, tmp_path):
    other_signatures(tmp_path / "model", **changes)
    with pytest.raises(ExportError, match=message):
        ExportedModel(tmp_path / "model")


def test_only_signatures_are_asked_for(tmp_path):
    """So that the test above fails for no other reason."""
    other_signatures(tmp_path / "model")
    assert ExportedModel(tmp_path / "model").num_pixels == 12


def cut_variables(folder: Path) -> None:
    path = folder / "variables" / "variables.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:-100])


def no_variables(folder: Path) -> None:
    shutil.rmtree(folder / "variables")


def graph(change) -> Callable[[Path], None]:
    """Damage to the graph, which stays a well-formed protocol buffer."""

    def damage(folder: Path) -> None:
        path = folder / "saved_model.pb"
        model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        change(model.meta_graphs[0])
        path.write_bytes(model.SerializeToString())

    return damage


def _unknown_operation(graph) -> None:
    graph.graph_def.library.function[0].node_def[0].op = "NoSuchOperation"


def _unknown_input(graph) -> None:
    nodes = [n for f in graph.graph_def.library.function for n in f.node_def if n.input]
    nodes[0].input[0] = "nonsense:out:0"


def _no_function(graph) -> None:
    graph.object_graph_def.concrete_functions.clear()


@pytest.mark.parametrize(
    "damage",
    [cut_variables, no_variables, *map(graph, [_unknown_operation, _unknown_input, _no_function])],
    ids=["cut variables", "no variables", "operation", "input", "no function"],
)
def test_damaged_export(damage, folder, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    damage(copy)
    with pytest.raises(ExportError) as caught:
        ExportedModel(copy)
    assert str(caught.value).startswith(f"{copy}: not a readable SavedModel (")
    assert str(caught.value).isprintable()
