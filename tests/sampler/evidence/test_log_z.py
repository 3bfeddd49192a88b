"""log Z where a single base is wrong, against enumeration."""

import json

import numpy as np
import pytest

import sampler
from sampler import ais, bridge, exact, families, modes, schedules, seeds
from sampler.command_line import main as commands
from sampler.evidence import annealed, bases, search


def background(rng, off=200, on=40, hidden=8):
    """Background units inhibit a few hidden ones that foreground units and their bias excite."""
    w = np.where(np.arange(off + on) < off, -0.7, 1.2)[:, None]
    w = w + rng.normal(scale=0.05, size=(off + on, hidden))
    return sampler.RBM(rng.normal(scale=0.1, size=off + on), np.full(hidden, 5.0), w).cast()


def magnet(rng, n=40):
    """A ferromagnet in a small field: two modes of different weights."""
    j = np.full((n, 12), 1.6 / np.sqrt(12 * n))
    return sampler.IsingRBM(np.full(n, 0.02), np.zeros(12), j).cast()


def mixed(rng):
    """A machine of three blocks and families."""
    kinds = (families.Gaussian(1.5), families.Bernoulli(), families.Categorical(3))
    fields = (rng.normal(size=4), rng.normal(size=5), rng.normal(size=6))
    couplings = {(0, 1): rng.normal(size=(4, 5)), (1, 2): rng.normal(size=(5, 6))}
    return sampler.Machine(kinds, fields, couplings).cast()


def scattered(rng, visible=60, hidden=14):
    """Strong random couplings about the middle of the cube: more modes than there are runs."""
    w = rng.normal(size=(visible, hidden))
    return sampler.RBM(-w.sum(1) / 2, -w.sum(0) / 2, w).cast()


def by_annealing(machine, seed=0):
    return annealed.log_z(machine, seeds.make_seed(seed), 0.1, 0.02, 600.0, {}, lambda _: None)


@pytest.mark.parametrize("make", [background, magnet, mixed, scattered])
def test_annealing_from_many_bases(make):
    machine = make(np.random.default_rng(0))
    truth = float(exact.log_z(machine))
    found = by_annealing(machine)
    assert abs(found.log_z - truth) < 5 * found.stderr + 0.02
    assert found.lower <= found.log_z <= found.upper
    assert found.bound <= truth + 1e-4
    assert found.warnings() == []
    means = [np.mean(x, 0) for x in found.samples.state]
    for mean, expected in zip(means, exact.moments(machine).means, strict=True):
        # 2048 samples, of which fewer are independent
        np.testing.assert_allclose(mean, expected, atol=0.12)


def test_runs_go_to_a_base_that_sees_all_modes():
    """Of a machine with as many modes as bases, from which one each would leave all poor."""
    machine = scattered(np.random.default_rng(0))
    looked = search.Search(machine, seeds.make_seed(0), {})
    assert len(looked.names()) == search.ROWS
    base = np.arange(search.ROWS)
    for number in range(3):
        found = looked.forward(base, 251 * 2**number, number)
        base = looked.next_bases(found, number)
        assert len(base) == search.ROWS
    assert np.sum(base == 0) >= 10
    assert set(found.said) == set(looked.names())


def test_the_uniform_base_alone_is_wrong_and_its_weights_say_nothing():
    """What the rest is for: the case is not one that a single base gets right."""
    machine = background(np.random.default_rng(0))
    found = ais.run(bridge.from_uniform(machine), schedules.linear(501), 300, seed=0)
    assert found.log_z < float(exact.log_z(machine)) - 10
    assert found.doubts() == []
    assert "log Z is at least" in found.warnings()[0]


def test_a_base_is_chosen_by_what_it_finds():
    machine = background(np.random.default_rng(0))
    truth = float(exact.log_z(machine))
    found = bases.choose(machine)
    assert found.names[int(found.chosen)] != "uniform"
    right = ais.run(found.bridge, schedules.linear(101), 100, seed=0)
    assert abs(float(right.log_z) - truth) < 5 * float(right.stderr) + 1e-3
    assert "more than the answer" in found.doubts(np.array(truth - 10), np.array(0.1))[0]
    assert found.doubts(right.log_z.numpy(), right.stderr.numpy()) == []
    # a short run of hopeless weights that has found far more is proof all the same
    rough = found._replace(log_z=found.log_z[:1] + 20, stderr=np.array([3.0]), names=["rough"])
    assert "rough" in rough.doubts(rough.log_z[0] - 8, np.array(0.1))[0]
    assert rough.doubts(rough.log_z[0] - 5, np.array(0.1)) == []
    both = bases.choose(machine.copies(2))
    assert both.chosen.shape == (2,)
    assert np.all(np.array(both.names)[both.chosen] != "uniform")
    # two modes of a ferromagnet: a mean-field base would hide one of them
    assert bases.choose(magnet(None)).chosen == 0


@pytest.mark.parametrize("make", [background, magnet, mixed])
def test_mean_field_bounds_log_z(make):
    machine = make(np.random.default_rng(1))
    found = modes.explore(machine, seeds.make_seed(0))
    assert np.all(found.bounds <= float(exact.log_z(machine)) + 1e-4)
    assert np.all(np.diff(found.bounds) <= 0)


def test_what_is_exact_is_taken():
    found = sampler.log_z(background(np.random.default_rng(0)))
    assert (found.method, found.stderr, found.warnings()) == ("exact", 0, [])
    at = np.arange(64).reshape(8, 8)
    edges = np.concatenate(
        [
            np.stack([at[:, :-1], at[:, 1:]], -1).reshape(-1, 2),
            np.stack([at[:-1], at[1:]], -1).reshape(-1, 2),
        ]
    )
    lattice = sampler.from_graph(np.zeros(64), (edges, np.ones(len(edges))), "SPIN")
    assert sampler.log_z(lattice).method == "elimination"


def test_a_batch_is_refused():
    machine = background(np.random.default_rng(0)).copies(2)
    with pytest.raises(ValueError, match=r"batch shape \(2,\); accepted: no batch"):
        sampler.log_z(machine)


def test_the_command_line(tmp_path, capsys):
    """By default right, by a single base as well; by a base that is wrong, warned."""
    machine = background(np.random.default_rng(0))
    truth = float(exact.log_z(machine))
    path = str(tmp_path / "background.npz")
    sampler.save(machine, path)
    assert commands.main(["log_z", path]) == 0
    line = json.loads(capsys.readouterr().out)
    assert abs(line["log_z"] - truth) < 1e-6
    assert (line["method"], line["warnings"]) == ("exact", [])
    ais_flags = ["log_z", path, "--method=ais", "--num_temperatures=501"]
    assert commands.main(ais_flags) == 0
    line = json.loads(capsys.readouterr().out)
    assert abs(line["log_z"] - truth) < 5 * line["log_z_stderr"] + 1e-3
    assert line["base"].startswith("mean_field") and line["bases"]["uniform"][0] < truth - 10
    assert commands.main([*ais_flags, "--base=uniform"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["log_z"] < truth - 10
    assert "log Z is at least" in line["warnings"][0]
    # nor is a base that somebody names taken at its word
    assert line["base"] == "uniform" and line["bases"]["mean_field_0"][0] > truth - 1
    assert "more than the answer" in line["warnings"][-1]
