"""The command line: what it prints, writes and refuses. In-process, but for a few real starts."""

import inspect
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import oracles
import pytest
from matplotlib import image

from sampler import LowRank, Machine, exact, families, from_graph, load
from sampler import save as save_machine
from sampler.command_line import log_z, options, sample, tasks
from sampler.command_line import main as commands

ROOT = Path(__file__).parents[2]
SMALL = oracles.parameters(np.random.default_rng(0), 6, 5, 1.0)
BATCH = oracles.parameters(np.random.default_rng(1), 4, 5, 0.7, (2, 3))
WIDE = oracles.parameters(np.random.default_rng(2), 21, 22, 0.1)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32) / 2


MIXED = Machine(
    (families.Spin(), families.Gaussian(2.0), families.Categorical(3)),
    (normal(3, 4), normal(4, 2), normal(5, 6)),
    {(0, 1): normal(6, 4, 2), (0, 2): LowRank(normal(7, 4, 1), normal(8, 6, 1))},
)
TRIANGLES = from_graph(
    dict(zip("dcba", normal(9, 4).tolist(), strict=True)),
    {("a", "b"): 0.7, ("b", "c"): -0.9, ("a", "c"): 0.4, ("c", "d"): 1.1},
    "SPIN",
)


def save(path, params):
    np.savez(path, **dict(zip(("b1", "b2", "w"), params, strict=True)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with RBMs in it."""
    monkeypatch.chdir(tmp_path)
    save("small.npz", SMALL)
    save("batch.npz", BATCH)
    save("wide.npz", WIDE)
    save_machine(MIXED, "mixed.npz")
    save_machine(TRIANGLES, "triangles.npz")
    return tmp_path


@pytest.fixture
def run(folder, capsys):
    """Runs a command line: its status, the parsed lines of standard output, those of error."""

    def run(line):
        status = commands.main(line.split())
        out, err = capsys.readouterr()
        return status, [json.loads(each) for each in out.splitlines()], err.splitlines()

    return run


def log_z_of(params):
    """Enumerated log Z of an RBM or of each of a batch."""
    batch = params[0].shape[:-1]
    values = [oracles.log_z(*(p[i] for p in params)) for i in np.ndindex(*batch)]
    return np.reshape(values, batch)


# log_z


def test_lines_come_in_the_files_order(run):
    status, lines, errors = run("log_z batch.npz small.npz --method=exact")
    assert (status, errors) == (0, [])
    assert [line["file"] for line in lines] == ["batch.npz", "small.npz"]
    assert list(lines[1]) == ["file", "log_z", "seconds", "warnings"]
    np.testing.assert_allclose(lines[0]["log_z"], log_z_of(BATCH), rtol=1e-12)
    np.testing.assert_allclose(lines[1]["log_z"], log_z_of(SMALL), rtol=1e-12)
    assert lines[1]["seconds"] > 0 and lines[1]["warnings"] == []


def test_flags_may_stand_between_files(run):
    status, lines, _ = run("log_z small.npz --method exact batch.npz --seed=3")
    assert status == 0 and len(lines) == 2


def test_a_bad_file_is_named_and_the_others_are_done(run):
    status, lines, errors = run("log_z none.npz small.npz wide.npz batch.npz --method=exact")
    assert status == 1
    assert [line["file"] for line in lines] == ["small.npz", "batch.npz"]
    assert errors[0].startswith("sampler: none.npz: cannot be read (No such file")
    assert errors[1].startswith("sampler: wide.npz: ") and "at most 20 binary units" in errors[1]
    assert len(errors) == 2


def test_a_file_of_integers_will_do(run):
    save("ones.npz", (np.ones(3, int), np.zeros(2, bool), np.ones((3, 2), np.int8)))
    _, (line,), _ = run("log_z ones.npz --method=exact")
    expected = oracles.log_z(np.ones(3), np.zeros(2), np.ones((3, 2)))
    np.testing.assert_allclose(line["log_z"], expected, rtol=1e-12)


# The other methods against enumeration

FLAGS = {
    "ais": "--num_chains=500 --num_temperatures=51 --schedule=sigmoid --base=fields",
    "pa": "--num_chains=200 --num_temperatures=11 --num_runs=10 --base=biases",
    "bracket": "--num_chains=500 --num_temperatures=51 --tolerance=0.3 --base=uniform",
}
KEYS = {
    "ais": ["log_z", "log_z_stderr", "ess"],
    "pa": ["log_z", "log_z_stderr", "ess"],
    "bracket": ["log_z", "log_z_stderr", "log_z_lower", "log_z_upper", "ess"],
}


@pytest.mark.parametrize("method", FLAGS)
def test_log_z_of_any_machine(method, run):
    status, lines, errors = run(f"log_z mixed.npz triangles.npz --method={method} {FLAGS[method]}")
    assert (status, errors) == (0, [])
    for line, machine in zip(lines, (MIXED, TRIANGLES), strict=True):
        truth, slack = exact.log_z(machine), 2.0 if method == "pa" else 1.0
        oracles.assert_within(line["log_z"], truth, slack * line["log_z_stderr"])


def test_beta_multiplies_the_energy(run):
    _, lines, _ = run("log_z small.npz triangles.npz --method=exact --beta=0.5")
    expected = oracles.log_z(*(parameter / 2 for parameter in SMALL))
    np.testing.assert_allclose(lines[0]["log_z"], expected, rtol=1e-12)
    half = TRIANGLES.map(lambda t: t / 2)
    np.testing.assert_allclose(lines[1]["log_z"], exact.log_z(half), rtol=1e-6)


def test_a_graph_too_large_for_enumeration_is_solved_by_elimination(run):
    """A chain of 60 spins without fields: Z = 2 (2 cosh J)^59."""
    save_machine(from_graph(np.zeros(60), {(i, i + 1): 0.8 for i in range(59)}, "SPIN"), "c.npz")
    _, (line,), _ = run("log_z c.npz --method=exact")
    expected = np.log(2) + 59 * np.log(2 * np.cosh(0.8))
    np.testing.assert_allclose(line["log_z"], expected, rtol=1e-6)
    status, _, _ = run("sample c.npz --method=exact --output=x.npz --num_samples=10")
    assert status == 0


def test_what_a_file_holds_beside_its_machine_is_named(run):
    names = dict(zip(("b1", "b2", "w"), SMALL, strict=True))
    np.savez("more.npz", **names, epochs=3, costs=np.ones(9))
    _, (line,), errors = run("log_z more.npz --method=exact")
    assert line["warnings"] == ["not read: 'costs', 'epochs' (a machine of b1, b2, w)"]
    assert errors == []


@pytest.mark.parametrize("method", FLAGS)
def test_log_z_is_within_its_errors(method, run):
    status, lines, errors = run(f"log_z small.npz batch.npz --method={method} {FLAGS[method]}")
    assert (status, errors) == (0, [])
    for line, params in zip(lines, (SMALL, BATCH), strict=True):
        bases = ["base"] if params is BATCH else ["base", "bases"]
        assert list(line) == ["file", *KEYS[method], *bases, "seconds", "warnings"]
        truth = log_z_of(params)
        assert np.shape(line["log_z"]) == np.shape(line["ess"]) == truth.shape
        # the spread of 10 runs knows the error to a quarter of itself
        slack = 2.0 if method == "pa" else 1.0
        oracles.assert_within(line["log_z"], truth, slack * np.asarray(line["log_z_stderr"]))
        assert np.all(np.asarray(line["log_z_stderr"]) < 0.1)
        if method == "bracket":
            assert np.all(line["log_z_lower"] <= truth) and np.all(truth <= line["log_z_upper"])
            assert line["warnings"] == []


def test_a_bracket_that_stays_wide_says_so(run):
    flags = "--method=bracket --num_chains=50 --num_temperatures=3 --max_temperatures=5"
    flags += " --base=uniform"
    status, (line,), _ = run(f"log_z small.npz {flags} --tolerance=0.001")
    gap = line["log_z_upper"] - line["log_z_lower"]
    assert status == 0  # the numbers stand; what they are worth is said
    assert line["warnings"][0] == (
        f"the gap is {gap:.3g} nats with 5 temperatures, more than --tolerance=0.001"
    )


def test_the_seed_decides_alone(run):
    """Not the other files of the command line, nor the run before."""
    flags = f"--method=ais {FLAGS['ais']}"
    _, (first, _), _ = run(f"log_z small.npz batch.npz {flags} --seed=1")
    _, (_, again), _ = run(f"log_z batch.npz small.npz {flags} --seed=1")
    _, (other,), _ = run(f"log_z small.npz {flags} --seed=2")
    assert first["log_z"] == again["log_z"] != other["log_z"]


def test_a_batch_in_groups(run, monkeypatch):
    """Groups of 2, 2 and 2 of the 6 RBMs: each with numbers of its own, in their places."""
    monkeypatch.setattr(tasks, "CHAINS_AT_ONCE", 4500)
    _, (line,), _ = run(f"log_z batch.npz --method=pa {FLAGS['pa']}")
    oracles.assert_within(line["log_z"], log_z_of(BATCH), 2 * np.asarray(line["log_z_stderr"]))


# Pictures


@pytest.mark.parametrize("method, kinds", [("ais", "weights ess"), ("pa", "families energy")])
def test_pictures(method, kinds, run, folder):
    status, _, errors = run(
        f"log_z small.npz batch.npz --method={method} {FLAGS[method]} --plot=p/q"
    )
    assert (status, errors) == (0, [])
    names = {f"{stem}_{kind}.png" for stem in ("small", "batch") for kind in kinds.split()}
    assert {path.name for path in (folder / "p/q").iterdir()} == names
    for name in names:
        assert image.imread(folder / "p/q" / name).shape[1] > 900


def test_a_picture_that_fails_costs_no_result(run, monkeypatch):
    def fail(*_):
        raise ValueError("no backend")

    monkeypatch.setattr("sampler.plots.save", fail)
    status, lines, errors = run(f"log_z small.npz --method=ais {FLAGS['ais']} --plot=p")
    assert (status, len(lines)) == (1, 1)
    assert errors[-1].startswith("sampler: --plot=p: a picture could not be made (no backend)")


def test_pictures_of_files_with_one_name():
    paths = ["a/rbm.npz", "b/rbm.npz", "other.npz", "/x/rbm.npz"]
    assert commands._names(paths) == ["a_rbm", "b_rbm", "other", "x_rbm"]


# sample

SAMPLING = {
    "exact": "",
    "gibbs": "--num_sweeps=50",
    "pa": "--num_chains=400 --num_temperatures=11 --num_runs=10",
    "pt": "--num_chains=400 --num_sweeps=60 --num_temperatures=4 --schedule=linear",
}


@pytest.mark.parametrize("method", SAMPLING)
def test_samples_have_the_moments_of_the_rbm(method, run, folder):
    """2000 samples; those of pt and pa are a little correlated, which 2 times the error covers."""
    flags = f"--method={method} --num_samples=2000 {SAMPLING[method]}"
    status, (line,), errors = run(f"sample small.npz --output=z.npz {flags}")
    assert (status, errors, line["warnings"]) == (0, [], [])
    assert line["output"] == "z.npz" and line["num_samples"] == 2000
    if "log_z" in line:
        oracles.assert_within(line["log_z"], log_z_of(SMALL), 2 * line["log_z_stderr"])
    with np.load(folder / "z.npz") as arrays:
        assert arrays["z1"].shape == (2000, 6) and arrays["z2"].shape == (2000, 5)
        assert arrays["z1"].dtype == arrays["z2"].dtype == np.uint8
        values = oracles.statistics(arrays["z1"], arrays["z2"])
    assert set(np.unique(values)) == {0, 1}
    mean, stderr = oracles.mean_and_stderr(values)
    oracles.assert_within(mean, oracles.moments(*SMALL), 2 * stderr)


@pytest.mark.parametrize("method", SAMPLING)
def test_samples_of_any_machine(method, run, folder):
    """A file of blocks of several families: each block has an array of its own."""
    flags = f"--method={method} --num_samples=2000 {SAMPLING[method]}"
    status, _, errors = run(f"sample mixed.npz --output=x.npz {flags}")
    assert (status, errors) == (0, [])
    moments = exact.moments(MIXED)
    with np.load(folder / "x.npz") as arrays:
        x = [arrays[f"x_{k}"] for k in range(3)]
    assert [(b.shape, b.dtype) for b in x] == [
        ((2000, 4), np.int8),
        ((2000, 2), np.float32),
        ((2000, 6), np.int8),
    ]
    assert set(np.unique(x[0])) == {-1, 1} and np.all(x[2].reshape(-1, 3).sum(-1) == 1)
    mean, stderr = oracles.mean_and_stderr(np.concatenate(x, -1))
    oracles.assert_within(mean, np.concatenate(moments.means), 2 * stderr)
    pairs = x[0][:, :, None] * x[1][:, None, :]
    mean, stderr = oracles.mean_and_stderr(pairs)
    oracles.assert_within(mean, moments.pairs[0, 1], 2 * stderr)


def test_samples_of_a_graph_are_in_the_order_of_its_units(run, folder):
    run("sample triangles.npz --output=x.npz --method=exact --num_samples=4000")
    with np.load(folder / "x.npz") as arrays:
        x = arrays["x"]
    assert x.shape == (4000, 4) and x.dtype == np.int8
    means = TRIANGLES.to_units(exact.moments(TRIANGLES).means)
    mean, stderr = oracles.mean_and_stderr(x)
    oracles.assert_within(mean, means, stderr)


@pytest.mark.parametrize("method", ["exact", "gibbs"])
def test_samples_of_a_batch(method, run, folder):
    run(f"sample batch.npz --output=z.npz --method={method} --num_samples=1500")
    with np.load(folder / "z.npz") as arrays:
        assert arrays["z1"].shape == (2, 3, 1500, 4)
        values = oracles.statistics(arrays["z1"], arrays["z2"])
    for i in np.ndindex(2, 3):
        mean, stderr = oracles.mean_and_stderr(values[i])
        oracles.assert_within(mean, oracles.moments(*(p[i] for p in BATCH)), stderr)


def test_gibbs_warns_of_chains_in_different_states_of_potts_units(run):
    """Two units that take the same of three states: sums over all numbers are the same there."""
    potts = families.Categorical(3)
    machine = Machine((potts, potts), (np.zeros(3), np.zeros(3)), {(0, 1): 25 * np.eye(3)})
    save_machine(machine, "potts.npz")
    _, (line,), _ = run("sample potts.npz --output=x.npz --method=gibbs --num_samples=100")
    assert line["warnings"][0].startswith("chains disagree: R-hat ")


def test_gibbs_warns_of_chains_in_different_modes(run):
    """A ferromagnet whose two modes no sweep connects."""
    bias = np.full(8, -4.7)
    save("modes.npz", (bias, bias, np.full((8, 8), 1.2)))
    _, (line,), _ = run("sample modes.npz --output=z.npz --method=gibbs --num_samples=200")
    assert line["r_hat"] > 1.05 and line["warnings"][0].startswith("chains disagree: R-hat ")


# Files that cannot be used


def damaged(path):
    """A sound archive of which one array's bytes have been changed: its checksum tells."""
    save(path, SMALL)
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("w.npy").header_offset + 200
    raw = bytearray(path.read_bytes())
    raw[place] ^= 255
    path.write_bytes(raw)


def truncated(path):
    save(path, SMALL)
    path.write_bytes(path.read_bytes()[:500])


def with_changes(**changes):
    names = dict(zip(("b1", "b2", "w"), SMALL, strict=True)) | changes
    return lambda path: np.savez(path, **{k: v for k, v in names.items() if v is not None})


BAD_FILES = {
    "a text": (lambda path: path.write_text("b1, b2, w"), "not a zip archive"),
    "empty": (lambda path: path.touch(), "not a zip archive"),
    "a folder": (lambda path: path.mkdir(), "not a regular file"),
    "truncated": (truncated, "not a zip archive, or a truncated one"),
    "damaged": (damaged, "cannot be read ("),
    "without w": (with_changes(w=None), "array 'w' is missing; found: 'b1', 'b2'"),
    "objects": (with_changes(b1=np.array([None, 1])), "cannot be read (Object arrays"),
    "complex": (with_changes(b1=np.ones(6, complex)), "array 'b1' has dtype complex128"),
    "text arrays": (with_changes(b2=np.array(["a"] * 5)), "array 'b2' has dtype <U1"),
    "NaN": (with_changes(b2=np.full(5, np.nan)), "b2 (5,) has 5 values that are NaN or infinite"),
    "beyond float32": (with_changes(b1=np.full(6, 1e300)), "b1 (6,) has 6 values that are NaN"),
    "transposed": (with_changes(w=SMALL[2].T), "found b1 (6,), b2 (5,), w (5, 6)"),
    "a scalar": (with_changes(b1=np.float32(1)), "found b1 (), b2 (5,), w (6, 5)"),
    "batches that differ": (with_changes(b1=np.zeros((2, 6))), "found b1 (2, 6), b2 (5,)"),
    "no units": (with_changes(b1=np.zeros(0), w=np.zeros((0, 5))), "found b1 (0,)"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_line(case, folder, run):
    make, message = BAD_FILES[case]
    make(folder / "bad.npz")
    status, lines, errors = run("log_z bad.npz --method=exact")
    assert (status, lines) == (1, []) and len(errors) == 1, errors
    assert errors[0].startswith("sampler: bad.npz: ") and message in errors[0]
    assert "accepted: " in errors[0]


# Command lines that cannot be carried out

MISTAKES = {
    "log_z": "log_z: found no file; accepted: ",
    "logz small.npz": "found 'logz'; accepted: one of log_z, sample",
    "--seed=1 log_z small.npz": "found '--seed=1'; accepted: one of log_z, sample",
    "log_z small.npz --method=foo": "flag --method=foo: value should be one of <auto|exact|ais|",
    "log_z small.npz --num_chains=1": "flag --num_chains=1: ",
    "log_z small.npz --num_temperatures=1": "flag --num_temperatures=1: ",
    "log_z small.npz --num_chains=x": "flag --num_chains=x: ",
    "log_z small.npz --seed=-1": "flag --seed=-1: ",
    "log_z small.npz --tolerance=-1": "flag --tolerance=-1",
    "log_z small.npz --tolerance=nan": "--tolerance: found nan; accepted: a number",
    "log_z small.npz --max_seconds=nan": "--max_seconds: found nan; accepted: a number",
    "log_z small.npz --beta=x": "flag --beta=x",
    "log_z small.npz --beta=nan": "small.npz: beta: found nan; accepted: a finite number",
    "log_z mixed.npz --beta=2": "mixed.npz: beta: found 2 with Gaussian units; accepted: 1",
    "log_z small.npz --base=field": "flag --base=field: value should be one of <auto|uniform|",
    "log_z small.npz --sweeps=3": "Unknown command line flag 'sweeps'",
    "log_z small.npz --method=exact --num_chains=5": "--num_chains: found with --method=exact; "
    "accepted with --method=ais or pa or bracket",
    "log_z small.npz --method=ais --tolerance=1": "--tolerance: found with --method=ais; accepted",
    "log_z small.npz --method=ais --schedule=adaptive --num_temperatures=9": "--num_temperatures: ",
    "log_z small.npz --plot=pictures": "--plot: found with --method=auto; accepted with "
    "--method=ais or pa",
    "log_z small.npz --method=ais --plot=small.npz": "--plot=small.npz: can't be written "
    "to (File exists); accepted: a folder",
    "sample small.npz": "--output: found none; accepted: a path that ends in .npz",
    "sample small.npz --output=z.txt": "--output: found z.txt; accepted: a path that ends in .npz",
    "sample small.npz --output=no/z.npz": "--output=no/z.npz: found no folder no to write to; ",
    "sample small.npz --output=" + "z" * 252 + ".npz": "--output=zzz",
    "sample --output=z.npz": "sample: found 0 files; accepted: one",
    "sample small.npz batch.npz --output=z.npz": "sample: found 2 files; accepted: one",
    "sample small.npz --num_samples=99 --num_chains=2 --num_sweeps=40 --output=z.npz": "small.npz: "
    "--num_sweeps: found 40; accepted: at least 50",
    "sample small.npz --method=pa --num_samples=999 --num_chains=9 --output=z.npz": "small.npz: "
    "--num_samples: found 999; accepted: at most --num_chains times --num_runs, 180",
    "sample none.npz --output=z.npz": "none.npz: cannot be read (No such file",
    "sample wide.npz --method=exact --output=z.npz": "wide.npz: machine: found blocks of (21, 22) ",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line(line, run, folder):
    status, lines, errors = run(line)
    assert (status, lines) == (1, []) and len(errors) == 1, errors
    assert errors[0].startswith(f"sampler: {MISTAKES[line]}")
    assert not (folder / "z.npz").exists()


# Help


def test_without_a_command_it_says_what_there_is(capsys):
    assert commands.main([]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "python -m sampler log_z FILE" in err and "sample FILE --output" in err
    assert commands.main(["--help"]) == 0
    assert capsys.readouterr().out == err
    for line in (["--version"], ["log_z", "--version"]):
        assert commands.main(line) == 0
        assert re.fullmatch(r"sampler \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("name", options.COMMANDS)
def test_help_tells_every_flag_and_default(name, capsys):
    command = options.COMMANDS[name]
    assert commands.main([name, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for method, used in command.methods.items():
        for flag, default in used.items():
            assert f"--{flag} " in text
            after = text.split(f"--{flag} ")[1].split(" --")[0]
            assert method in after and str(default) in after, flag


# The tables


@pytest.mark.parametrize("name", options.COMMANDS)
def test_each_method_takes_the_flags_of_its_table(name):
    functions = {"log_z": log_z.METHODS, "sample": sample.METHODS}[name]
    assert set(functions) == set(options.COMMANDS[name].methods)
    for method, function in functions.items():
        first = ["task"] + ["num_samples"] * (name == "sample")
        signature = inspect.signature(function)
        signature.bind(*first, **options.COMMANDS[name].methods[method])
        assert list(signature.parameters)[: len(first)] == first, method


def test_numbers_that_json_lacks_become_null():
    values = {"a": np.array([1.5, np.nan]), "b": float("inf"), "c": np.float64(2), "d": ["x"]}
    plain = {key: commands._plain(value) for key, value in values.items()}
    assert plain == {"a": [1.5, None], "b": None, "c": 2.0, "d": ["x"]}


# Real starts


def start(code_or_module, cwd, shell=sys.executable, **environment):
    command = [shell, *code_or_module]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_a_real_start_prints_lines_of_json_and_nothing_else(folder):
    line = ["-m", "sampler", "log_z", "small.npz", "batch.npz", "--method=exact"]
    done = start(line, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(each)["file"] for each in done.stdout.splitlines()] == line[3:5]


def test_output_that_is_lost_is_told_and_closed_descriptors_are_none(folder):
    line = f"{sys.executable} -m sampler log_z small.npz --method=exact"
    done = [start(["-c", c], folder, shell="bash") for c in (f"{line} 2>&-", f"{line} >/dev/full")]
    assert [d.returncode for d in done] == [0, 1]
    assert json.loads(done[0].stdout)["file"] == "small.npz"
    assert done[1].stderr == "sampler: standard output: No space left on device\n"


def test_the_package_loads_what_is_asked_for(folder):
    """`import sampler` loads no TensorFlow, and the common modules no TensorFlow Probability."""
    code = (
        "import sys, sampler\n"
        "assert 'tensorflow' not in sys.modules\n"
        "from sampler import RBM, ais, bridge, exact, gibbs, load, population_annealing, seeds\n"
        "assert 'tensorflow' in sys.modules and RBM.__name__ == 'RBM'\n"
        "assert 'tensorflow_probability' not in sys.modules\n"
        "assert 'RBM' in dir(sampler) and sampler.exact is exact\n"
        "try:\n    sampler.nothing\nexcept AttributeError as error:\n    print(error)\n"
    )
    done = start(["-c", code], folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "module 'sampler' has no attribute 'nothing'\n"


def test_home_is_found_where_no_shell_does(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "rbm.npz", b1=np.zeros(2), b2=np.zeros(2), w=np.zeros([2, 2]))
    (tmp_path / "z.tmp").write_text("the user's own")
    arguments = ["sample", "~/rbm.npz", "--output=~/z.npz", "--num_samples=3"]
    assert commands.main(arguments) == 0, capsys.readouterr().err
    names = [path.name for path in sorted(tmp_path.iterdir())]
    assert names == ["rbm.npz", "z.npz", "z.tmp"]
    save_machine(load("~/rbm.npz"), "~/again.npz")
    assert (tmp_path / "again.npz").exists()
