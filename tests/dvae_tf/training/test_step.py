from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf.factory import new_model
from dvae_tf.training.batches import batch_indices
from dvae_tf.training.schedules import learning_rate
from dvae_tf.training.state import State
from dvae_tf.training.step import TrainStep, new_optimizer, traces

BATCH = 50


def test_graphs_are_traced_once(whole_run):
    # whatever of the step is a tf.function, and whether details are wanted or not
    assert traces(whole_run.step_fn) == [1, 1]


def test_likelihood_improves(whole_run):
    # the exact NLL of test images; untrained, the pixels' means alone give 26.6 nats
    assert whole_run.nll_after < whole_run.nll_before - 2.5
    drawn = [info["train/log_likelihood"] for info in whole_run.infos]
    assert np.mean(drawn[-10:]) > np.mean(drawn[:5]) + 5


def test_info_is_finite_and_details_come_when_wanted(whole_run):
    assert all(np.all(np.isfinite(v)) for info in whole_run.infos for v in info.values())
    assert whole_run.infos[0]["outputs"].shape == (BATCH, 64)
    for name in ("train/gradient_norm", "posterior/rms_coupling"):
        wanted = [i for i, info in enumerate(whole_run.infos, 1) if info[name] > 0]
        assert wanted == [1, 100]


def test_learning_rate_is_the_paper_s(small_config):
    config = dataclasses.replace(small_config, num_steps=1000, learning_rate=3e-3)
    schedule = learning_rate(config)
    expected = {0: 0.1, 19: 0.1, 21: 1, 599: 1, 601: 1 / 3, 749: 1 / 3, 751: 0.1, 949: 0.1}
    for step, factor in {**expected, 951: 1 / 33, 999: 1 / 33}.items():
        np.testing.assert_allclose(schedule(step), 3e-3 * factor, rtol=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.4, 1.0])
def test_linear_schedule_falls_to_nothing_after_its_constant_part(small_config, constant):
    config = dataclasses.replace(
        small_config, num_steps=1000, learning_rate=6e-3, schedule="linear", constant_rate=constant
    )
    schedule = learning_rate(config)
    for step in (0, 19, 20, 399, 400, 700, 999):
        falling = 1.0 if step < 1000 * constant else (1000 - step) / (1000 * (1 - constant))
        expected = 6e-3 * (0.1 if step < 20 else 1) * falling
        np.testing.assert_allclose(schedule(step), expected, rtol=1e-5)


def test_adam_has_the_configuration_s_epsilon(small_config):
    config = dataclasses.replace(small_config, adam_epsilon=1e-4)
    assert new_optimizer(config).epsilon == 1e-4


def test_schedules_of_a_run(whole_run):
    # 150 steps: the rate rises after 3, the KL weight reaches 1 after 45
    rates = [info["train/learning_rate"] for info in whole_run.infos]
    np.testing.assert_allclose([rates[1], rates[10], rates[-1]], [3e-4, 3e-3, 3e-3 / 33], rtol=1e-6)
    weights = [info["train/kl_weight"] for info in whole_run.infos]
    np.testing.assert_allclose(weights, np.minimum(np.arange(150) / 45, 1), rtol=1e-6)


def test_chains_are_a_byte_a_unit(whole_run):
    chains = whole_run.step_fn.state.chains
    assert chains.dtype == tf.uint8
    assert whole_run.chains[0].nbytes == len(whole_run.step_fn.data) * 6
    assert set(np.unique(whole_run.chains[-1])) == {0, 1}


def test_only_the_batch_s_chains_move(whole_run):
    for step in range(3):
        before, after = whole_run.chains[step], whole_run.chains[step + 1]
        batch = batch_indices(len(before), BATCH, 0, step)
        others = np.setdiff1d(np.arange(len(before)), batch)
        np.testing.assert_array_equal(before[others], after[others])
        # six units redrawn: the chance that a chain stays as it was is about 2^-6
        assert np.mean(np.any(before[batch] != after[batch], (1, 2))) > 0.8


def test_population_follows_the_prior(whole_run):
    # after a step the population is one of the parameters before that step's update
    _, theta = whole_run.step_fn.state.read()
    prior = whole_run.step_fn.model.prior_machine()
    for old, new in zip(theta, prior, strict=True):
        difference = abs((old - new).numpy()).max()
        assert 0 < difference < 1e-2
    assert int(whole_run.step_fn.state.step) == 150


def build(config, images: np.ndarray) -> TrainStep:
    model = new_model(config, images.mean(0).astype(np.float32))
    state = State(model, len(images), config.num_samples, config.seed)
    return TrainStep(model, state, tf.constant(images), model.optimizer, model.settings)


def do_step(step_fn: TrainStep, step: int) -> dict[str, np.ndarray]:
    """Step number `step`, from 0, on the run's own batch."""
    indices = batch_indices(len(step_fn.data), BATCH, 0, step)
    info = step_fn(tf.constant(indices), tf.constant(False))
    return {name: np.asarray(value) for name, value in info.items()}


# The rest runs eagerly: a step of it costs less than to compile one.
@pytest.fixture
def eagerly():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def first_update(config, digits, weight_decay: float) -> dict[str, np.ndarray]:
    """Change of every trainable variable in the first step, all biases and gammas set to 1/2."""
    step_fn = build(dataclasses.replace(config, weight_decay=weight_decay), digits.train[:200])
    variables = step_fn.model.trainable_variables
    for variable in variables:
        if variable.name != "kernel":
            variable.assign(0.5 * np.ones(variable.shape))
    before = [v.numpy() for v in variables]
    do_step(step_fn, 0)
    return {v.path: v.numpy() - old for v, old in zip(variables, before, strict=True)}


def test_weight_decay_reaches_kernels_gammas_and_prior_couplings(eagerly, small_config, digits):
    # Adam's first step is -rate g / (|g| + eps), so that the decay shows wherever it is in g.
    without = first_update(small_config, digits, 0.0)
    with_it = first_update(small_config, digits, 1e3)
    for path, change in with_it.items():
        decayed = path.endswith(("/kernel", "/gamma")) or path == "prior/j"
        assert decayed != path.endswith(("/bias", "/beta", "prior/f1", "prior/f2"))
        if decayed:
            assert np.mean(abs(change - without[path]) > 1e-5) > 0.1
        else:
            np.testing.assert_allclose(change, without[path], atol=1e-7)


def test_weight_decay_shrinks_the_weights(eagerly, small_config, digits):
    # a decay that outweighs the gradient moves each element of 1/2 down, by the whole first rate
    change = first_update(small_config, digits, 1e3)["prior/j"]
    np.testing.assert_allclose(change, -3e-4, rtol=1e-3)


def test_weight_decay_is_the_gradient_of_the_penalty_on_what_acts(small_config, digits):
    # 1/2 ||v||^2 of kernels (the pixels' as the decoder applies it), gammas and the prior's W
    step_fn = build(dataclasses.replace(small_config, weight_decay=1.0), digits.train[:200])
    model = step_fn.model
    model.prior.j.assign(np.random.default_rng(0).normal(size=model.prior.j.shape))
    logits = model.decoder.get_layer("logits")
    features = logits.kernel.shape[0]
    with tf.GradientTape() as tape:
        pixels = logits(tf.eye(features)) - logits(tf.zeros([1, features]))
        others = [v for v in model.trainable_variables if v.name in ("kernel", "gamma")]
        acting = [v.value for v in others if "logits" not in v.path] + [pixels]
        acting.append(model.prior_machine().w)
        penalty = tf.add_n([tf.reduce_sum(v**2) / 2 for v in acting])
    truth = tape.gradient(
        penalty, [v.value for v in model.trainable_variables], unconnected_gradients="zero"
    )
    for variable, decay, gradient in zip(
        model.trainable_variables, step_fn.decay, truth, strict=True
    ):
        np.testing.assert_allclose(
            decay * variable.numpy(), gradient, rtol=1e-4, atol=1e-6, err_msg=variable.path
        )


def test_without_warm_up_the_kl_weight_is_one_at_once(eagerly, small_config, digits):
    step_fn = build(dataclasses.replace(small_config, kl_warmup=0.0), digits.train[:200])
    assert do_step(step_fn, 0)["train/kl_weight"] == 1.0


def test_probabilities_are_binarised_anew_for_each_batch(eagerly, small_config):
    step_fn = build(small_config, np.full((200, 64), 0.3, np.float32))
    seen = []
    task = step_fn.model.task

    def watched(model, x, *args):
        seen.append(x.numpy())
        return task.objective(model, x, *args)

    step_fn.model.task = task._replace(objective=watched)
    do_step(step_fn, 0)
    do_step(step_fn, 1)
    first, second = seen
    assert set(np.unique(seen)) == {0, 1}
    # 6400 bits: five standard errors
    assert abs(np.mean(seen) - 0.3) < 5 * np.sqrt(0.3 * 0.7 / np.size(seen))
    # independent bits differ with probability 2 x .3 x .7
    share = 0.42
    assert abs(np.mean(first != second) - share) < 5 * np.sqrt(share * (1 - share) / first.size)


def test_persistent_chains_as_prior_sampler(eagerly, small_config, digits):
    config = dataclasses.replace(small_config, prior_sampler="pcd")
    step_fn = build(config, digits.train[:200])
    info = do_step(step_fn, 0)
    assert info["prior/resampled"] == 0 and info["prior/ess"] == config.prior_chains
    assert np.isfinite(info["train/objective"])


KINDS = {
    "three samples": {"num_samples": 3},
    "three samples, plain gradient": {"num_samples": 3, "iw_gradient": "iwae"},
    "two relaxed sweeps": {"relaxed_sweeps": 2},
    "unequal sides": {"num_latents": 10, "num_latents_1": 7},
    "low rank": {"coupling_rank": 2, "num_latents_1": 5},
    "directed": {"posterior": "directed", "num_layers": 3, "num_samples": 2},
    "structured prediction, directed": {"task": "structured_prediction", "posterior": "directed"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_goes_through_the_same_step(eagerly, kind, small_config, digits):
    config = dataclasses.replace(small_config, weight_decay=0.0, kl_warmup=0.0, **KINDS[kind])
    step_fn = build(config, digits.train[:200])
    before = [v.numpy() for v in step_fn.model.trainable_variables]
    chains = step_fn.state.chains.numpy()
    info = do_step(step_fn, 0)
    assert all(np.all(np.isfinite(v)) for v in info.values())
    for variable, old in zip(step_fn.model.trainable_variables, before, strict=True):
        used = config.task == "vae" or not variable.path.startswith("prior/")
        assert np.any(variable.numpy() != old) == used, variable.path
    units = config.sides[1] if config.posterior == "undirected" else 0
    assert chains.shape == (200, config.num_samples, units)
    assert np.any(step_fn.state.chains.numpy() != chains) == (units > 0)
    assert 1 <= info["train/importance_ess"] <= config.num_samples + 1e-5


@pytest.mark.parametrize("factor", [16.0, float("nan"), -0.5])
def test_images_of_other_pixels_are_refused(factor, small_config, images):
    with pytest.raises(ValueError, match="images: found other pixels; accepted: 0 to 1"):
        build(small_config, images * np.float32(factor))
