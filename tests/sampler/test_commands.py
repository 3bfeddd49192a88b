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

from sampler import commands, methods, options

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
def run(folder, capfd):
    """Runs a command line: its status, the parsed lines of standard output, those of error."""

    def run(line):
        status = commands.main(line.split())
        out, err = capfd.readouterr()
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
    assert errors[0].startswith("sampler: none.npz: cannot be read, found: No such file")
    assert errors[1].startswith("sampler: wide.npz: ") and "at most 20 units" in errors[1]
    assert len(errors) == 2


def test_a_file_of_integers_will_do(run):
    save("ones.npz", (np.ones(3, int), np.zeros(2, bool), np.ones((3, 2), np.int8)))
    _, (line,), _ = run("log_z ones.npz --method=exact")
    expected = oracles.log_z(np.ones(3), np.zeros(2), np.ones((3, 2)))
    np.testing.assert_allclose(line["log_z"], expected, rtol=1e-12)


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
    "a text": (lambda path: path.write_text("b1, b2, w"), "found no zip archive"),
    "empty": (lambda path: path.touch(), "found no zip archive"),
    "a folder": (lambda path: path.mkdir(), "Is a directory"),
    "truncated": (truncated, "found no zip archive, or a truncated one"),
    "damaged": (damaged, "cannot be read, found: "),
    "without w": (with_changes(w=None), "found the arrays b1, b2, without w"),
    "objects": (with_changes(b1=np.array([None, 1])), "allow_pickle=False"),
    "complex": (with_changes(b1=np.ones(6, complex)), "b1: found dtype complex128"),
    "text arrays": (with_changes(b2=np.array(["a"] * 5)), "b2: found dtype <U1"),
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
    "log_z small.npz --num_chains=0": "flag --num_chains=0: 0 is not a positive integer",
    "log_z small.npz --num_temperatures=1": "flag --num_temperatures=1: 1 is not an integer >= 2",
    "log_z small.npz --num_chains=x": "flag --num_chains=x: ",
    "log_z small.npz --seed=-1": "flag --seed=-1: ",
    "log_z small.npz --tolerance=-1": "flag --tolerance=-1",
    "log_z small.npz --sweeps=3": "Unknown command line flag 'sweeps'",
    "log_z small.npz --method=exact --num_chains=5": "--num_chains: found with --method=exact; "
    "accepted with --method=ais or pa or bracket",
    "log_z small.npz --method=ais --tolerance=1": "--tolerance: found with --method=ais; accepted",
    "log_z small.npz --method=ais --schedule=adaptive --num_temperatures=9": "--num_temperatures: ",
    "log_z small.npz --plot=small.npz": "--plot=small.npz: found: File exists; accepted: a folder",
    "sample small.npz": "--output: found none; accepted: a path that ends in .npz",
    "sample small.npz --output=z.txt": "--output: found z.txt; accepted: a path that ends in .npz",
    "sample small.npz --output=no/z.npz": "--output=no/z.npz: found no folder no to write to; ",
    "sample --output=z.npz": "sample: found 0 files; accepted: one",
    "sample small.npz batch.npz --output=z.npz": "sample: found 2 files; accepted: one",
    "sample none.npz --output=z.npz": "none.npz: cannot be read, found: No such file",
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
    functions = {"log_z": methods.LOG_Z, "sample": methods.SAMPLE}[name]
    assert set(functions) == set(options.COMMANDS[name].methods)
    for method, function in functions.items():
        common = ["rbm", "seed", "bar"] + ["num_samples"] * (name == "sample")
        taken = [p for p in inspect.signature(function).parameters if p not in common]
        assert set(taken) == set(options.COMMANDS[name].methods[method]), method


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
    """Neither TensorFlow at `import sampler`, nor TensorFlow Probability with the common modules."""
    code = (
        "import sys, sampler\n"
        "assert 'tensorflow' not in sys.modules\n"
        "from sampler import RBM, ais, exact, gibbs, path, population_annealing, schedules, seeds\n"
        "assert 'tensorflow' in sys.modules and RBM.__name__ == 'RBM'\n"
        "assert 'tensorflow_probability' not in sys.modules and 'matplotlib' not in sys.modules\n"
        "assert 'RBM' in dir(sampler) and sampler.exact is exact\n"
        "try:\n    sampler.nothing\nexcept AttributeError as error:\n    print(error)\n"
    )
    done = start(["-c", code], folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "module 'sampler' has no attribute 'nothing'\n"
