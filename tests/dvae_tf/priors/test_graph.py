"""Graph priors: patches of annealers' graphs, and samplers that are handed in."""

from __future__ import annotations

from typing import Any

import dimod
import keras
import networkx as nx
import numpy as np
import pytest

import dvae_tf
from dvae_tf.config import Config
from dvae_tf.priors import annealers
from dvae_tf.priors.graph import GraphPrior
from dvae_tf.registry import PRIORS

EDGES = [(3, 5), (5, 8), (8, 3), (8, 21), (21, 34)]
layers = keras.layers


@pytest.mark.parametrize("name", ["chimera", "pegasus", "zephyr"])
@pytest.mark.parametrize("units", [7, 40, 300])
def test_patches(name, units):
    graph = annealers.patch(name, units)
    assert len(graph) == units and nx.is_connected(graph)
    # as dense as the whole graph but for its rim
    inside = {"chimera": 5.0, "pegasus": 13.0, "zephyr": 17.0}[name]
    assert units < 300 or 0.8 * inside < 2 * graph.number_of_edges() / units


def test_a_run_has_the_patch_that_its_flags_name():
    config = Config(prior="zephyr", num_latents=48, prior_chains=7, prior_sampler="pcd")
    prior = PRIORS.load("zephyr").of_run(config)
    assert (prior.num_nodes, prior.num_chains, prior.sampler) == (48, 7, "pcd")


def test_nodes_keep_their_names_where_they_are_numbers():
    lone = nx.Graph(EDGES)
    lone.add_node(4)
    prior = GraphPrior(lone)
    again = GraphPrior.from_config(prior.get_config())
    assert again.nodes == prior.nodes == [3, 4, 5, 8, 21, 34] and again.edges == prior.edges
    assert GraphPrior.from_config(GraphPrior([("a", "b")]).get_config()).edges == [[0, 1]]


class Exact(dimod.Sampler):
    """Independent samples of exp(-beta E) by listing the states."""

    properties: Any = {}
    parameters: Any = {"num_reads": [], "seed": [], "beta": []}

    def __init__(self) -> None:
        self.last: Any = None

    def sample(self, bqm, num_reads, seed, beta=1.0):
        every = dimod.ExactSolver().sample(bqm)
        log_p = -beta * every.record.energy
        p = np.exp(log_p - np.logaddexp.reduce(log_p))
        rows = np.random.default_rng(seed).choice(len(p), num_reads, p=p)
        self.last = bqm, every.record.sample[rows], list(every.variables)
        # as an annealer answers: each state once, with its number
        kept, counts = np.unique(rows, return_counts=True)
        return dimod.SampleSet.from_samples_bqm(
            (every.record.sample[kept], list(every.variables)), bqm, num_occurrences=counts
        )


def model_with(prior: GraphPrior) -> dvae_tf.DVAE:
    encoder = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    decoder = keras.Sequential([keras.Input((5,)), layers.Dense(4)])
    model = dvae_tf.DVAE(encoder, decoder, (3, 2), prior=prior)
    model.compile(keras.optimizers.SGD(1e-3), jit_compile=False)
    # a prior that is coupled from the start would be annealed to, eagerly
    model.fit(IMAGES, batch_size=20, epochs=1, verbose=0)
    noise = np.random.default_rng(0)
    prior.f.assign(noise.normal(size=5))
    prior.j.assign(noise.normal(size=5))
    return model


IMAGES = np.random.default_rng(1).integers(0, 2, (20, 4))


def test_a_sampler_that_is_handed_in_trains_the_prior():
    sampler = Exact()
    model = model_with(GraphPrior(EDGES, chains=4000, sampler=sampler))
    history = model.fit(IMAGES, batch_size=20, epochs=1, verbose=0)
    bqm, rows, names = sampler.last
    # the sampler is told of the machine under the nodes' names
    assert set(names) == {3, 5, 8, 21, 34} and bqm.num_interactions == 5
    assert abs(history.history["effective_beta"][0] - 1) < 0.1
    # and what it answered is what the prior's gradient is taken at
    state = model._training.states[0].read()[0].state
    found = np.asarray(model.prior_machine().to_units(state))
    order = [names.index(node) for node in model.prior.nodes]
    np.testing.assert_array_equal(found.mean(0), rows[:, order].astype(np.float32).mean(0))


def test_a_wrong_temperature_is_told_of_and_undone():
    wrong = {"sampler": Exact(), "parameters": {"beta": 0.5}, "chains": 4000}
    model = model_with(GraphPrior(EDGES, **wrong))
    with pytest.warns(UserWarning, match=r"beta = 0\.[45].*; GraphPrior\(beta=0\.[45]"):
        history = model.fit(IMAGES, batch_size=20, epochs=1, verbose=0)
    assert abs(history.history["effective_beta"][0] - 0.5) < 0.1
    model = model_with(GraphPrior(EDGES, beta=0.5, **wrong))
    history = model.fit(IMAGES, batch_size=20, epochs=1, verbose=0)
    assert abs(history.history["effective_beta"][0] - 1) < 0.1


def test_more_samples_than_chains_are_resampled():
    prior = GraphPrior(EDGES, chains=50, sampler=Exact(), parameters={"num_reads": 3000})
    model = model_with(prior)
    state, _ = prior.handed_in(model.prior_machine(), 50, np.array([1, 2], np.int32))
    _, rows, names = prior.handed_in.sampler.last
    found = np.asarray(model.prior_machine().to_units(state)).mean(0)
    order = [names.index(node) for node in prior.nodes]
    # systematic: half a row or so, of 50
    np.testing.assert_allclose(found, rows[:, order].mean(0), atol=0.08)


def test_a_beta_of_nothing():
    with pytest.raises(ValueError, match="beta: found 0; accepted: a positive number"):
        GraphPrior(EDGES, sampler=Exact(), beta=0)
