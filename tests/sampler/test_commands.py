"""The command line: what it prints, writes and refuses. In-process, but for a few real starts."""

import inspect
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import oracles
import pytest
from matplotlib import image

from sampler.command_line import log_z, options, sample, tasks
from sampler.command_line import main as commands

ROOT = Path(__file__).parents[2]
SMALL = oracles.parameters(np.random.default_rng(0), 6, 5, 1.0)
BATCH = oracles.parameters(np.random.default_rng(1), 4, 5, 0.7, (2, 3))
WIDE = oracles.parameters(np.random.default_rng(2), 21, 22, 0.1)


def save(path, params):
    np.savez(path, **dict(zip(("b1", "b2", "w"), params, strict=True)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with RBMs in it."""
    monkeypatch.chdir(tmp_path)
    save("small.npz", SMALL)
    save("batch.npz", BATCH)
    save("wide.npz", WIDE)
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
    assert errors[1].startswith("sampler: wide.npz: ") and "at most 20 units" in errors[1]
    assert len(errors) == 2


def test_a_file_of_integers_will_do(run):
    save("ones.npz", (np.ones(3, int), np.zeros(2, bool), np.ones((3, 2), np.int8)))
    _, (line,), _ = run("log_z ones.npz --method=exact")
    expected = oracles.log_z(np.ones(3), np.zeros(2), np.ones((3, 2)))
    np.testing.assert_allclose(line["log_z"], expected, rtol=1e-12)


# The other methods against enumeration

FLAGS = {
    "ais": "--num_chains=500 --num_temperatures=51 --schedule=sigmoid",
    "pa": "--num_chains=200 --num_temperatures=11 --num_runs=10 --base=biases",
    "bracket": "--num_chains=500 --num_temperatures=51 --tolerance=0.3",
}
KEYS = {
    "ais": ["log_z", "log_z_stderr", "ess"],
    "pa": ["log_z", "log_z_stderr", "ess"],
    "bracket": ["log_z", "log_z_stderr", "log_z_lower", "log_z_upper", "ess"],
}


@pytest.mark.parametrize("method", FLAGS)
def test_log_z_is_within_its_errors(method, run):
    status, lines, errors = run(f"log_z small.npz batch.npz --method={method} {FLAGS[method]}")
    assert (status, errors) == (0, [])
    for line, params in zip(lines, (SMALL, BATCH), strict=True):
        assert list(line) == ["file", *KEYS[method], "seconds", "warnings"]
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


@pytest.mark.parametrize("method", ["exact", "gibbs"])
def test_samples_of_a_batch(method, run, folder):
    run(f"sample batch.npz --output=z.npz --method={method} --num_samples=1500")
    with np.load(folder / "z.npz") as arrays:
        assert arrays["z1"].shape == (2, 3, 1500, 4)
        values = oracles.statistics(arrays["z1"], arrays["z2"])
    for i in np.ndindex(2, 3):
        mean, stderr = oracles.mean_and_stderr(values[i])
        oracles.assert_within(mean, oracles.moments(*(p[i] for p in BATCH)), stderr)


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
    "objects": (with_changes(b1=np.array([None, 1])), "array 'b1' has dtype object"),
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
    "log_z small.npz --method=foo": "flag --method=foo: value should be one of <exact|ais|pa|",
    "log_z small.npz --num_chains=1": "flag --num_chains=1: ",
    "log_z small.npz --num_temperatures=1": "flag --num_temperatures=1: ",
    "log_z small.npz --num_chains=x": "flag --num_chains=x: ",
    "log_z small.npz --seed=-1": "flag --seed=-1: ",
    "log_z small.npz --tolerance=-1": "flag --tolerance=-1",
    "log_z small.npz --sweeps=3": "Unknown command line flag 'sweeps'",
    "log_z small.npz --method=exact --num_chains=5": "--num_chains: found with --method=exact; "
    "accepted with --method=ais or pa or bracket",
    "log_z small.npz --method=ais --tolerance=1": "--tolerance: found with --method=ais; accepted",
    "log_z small.npz --method=ais --schedule=adaptive --num_temperatures=9": "--num_temperatures: ",
    "log_z small.npz --plot=pictures": "--plot: found with --method=bracket; accepted with "
    "--method=ais or pa",
    "log_z small.npz --method=ais --plot=small.npz": "--plot=small.npz: can't be written "
    "to (File exists); accepted: a folder",
    "sample small.npz": "--output: found none; accepted: a path that ends in .npz",
    "sample small.npz --output=z.txt": "--output: found z.txt; accepted: a path that ends in .npz",
    "sample small.npz --output=no/z.npz": "--output=no/z.npz: found no folder no to write to; ",
    "sample --output=z.npz": "sample: found 0 files; accepted: one",
    "sample small.npz batch.npz --output=z.npz": "sample: found 2 files; accepted: one",
    "sample small.npz --num_samples=99 --num_chains=2 --num_sweeps=40 --output=z.npz": "small.npz: "
    "--num_sweeps: found 40; accepted: at least 50",
    "sample small.npz --method=pa --num_samples=999 --num_chains=9 --output=z.npz": "small.npz: "
    "--num_samples: found 999; accepted: at most --num_chains times --num_runs, 180",
    "sample none.npz --output=z.npz": "none.npz: cannot be read (No such file",
    "sample wide.npz --method=exact --output=z.npz": "wide.npz: rbm: found b1 (21,), b2 (22,); ",
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
    assert out == "" and "python -m sampler log_z A.npz" in err and "sample A.npz" in err
    assert commands.main(["--help"]) == 0
    assert capsys.readouterr().out == err


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


def start(code_or_module, cwd, **environment):
    command = [sys.executable, *code_or_module]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_a_real_start_prints_lines_of_json_and_nothing_else(folder):
    line = ["-m", "sampler", "log_z", "small.npz", "batch.npz", "--method=exact"]
    done = start(line, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(each)["file"] for each in done.stdout.splitlines()] == line[3:5]


def test_the_package_loads_what_is_asked_for(folder):
    """`import sampler` loads no TensorFlow, and the common modules no TensorFlow Probability."""
    code = (
        "import sys, sampler\n"
        "assert 'tensorflow' not in sys.modules\n"
        "from sampler import RBM, ais, exact, gibbs, path, population_annealing, schedules, seeds\n"
        "assert 'tensorflow' in sys.modules and RBM.__name__ == 'RBM'\n"
        "assert 'tensorflow_probability' not in sys.modules\n"
        "assert 'RBM' in dir(sampler) and sampler.exact is exact\n"
        "try:\n    sampler.nothing\nexcept AttributeError as error:\n    print(error)\n"
    )
    done = start(["-c", code], folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "module 'sampler' has no attribute 'nothing'\n"
