"""The files that people have: the machine is theirs, sign by sign, or the file is refused."""

import io
import itertools
import json
import pickle
import warnings

import h5py
import numpy as np
import pytest
import tensorflow as tf
from sklearn.neural_network import BernoulliRBM

import sampler
from sampler import LowRank, Machine, exact, families
from sampler.io import formats
from sampler.io.errors import FileError
from sampler.io.layouts import arrays_of

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def all_states(n, values=(0, 1)):
    return np.array(list(itertools.product(values, repeat=n)), np.float64)


def log_sum_exp(x):
    return x.max() + np.log(np.exp(x - x.max()).sum())


# Any machine, written and read back

KINDS = {
    "rbm": sampler.RBM(normal(3), normal(4), normal(3, 4)),
    "a batch": sampler.RBM(normal(2, 3), normal(2, 4), normal(2, 3, 4)),
    "ising": sampler.IsingRBM(normal(3), normal(4), normal(3, 4)),
    "low rank": sampler.LowRankRBM(normal(3), normal(4), normal(3, 1), normal(4, 1)),
    "low rank ising": sampler.LowRankIsingRBM(normal(3), normal(4), normal(3, 1), normal(4, 1)),
    "blocks": Machine(
        (families.Spin(), families.Gaussian((0.3, 2.0)), families.Categorical(3)),
        (normal(4), normal(2), normal(6)),
        {(0, 2): normal(4, 6), (0, 1): LowRank(normal(4, 1), normal(2, 1))},
    ),
    "blocks of a batch": Machine(
        (families.Bernoulli(), families.Gaussian(0.1)), (normal(2, 3), normal(2, 1)), {}
    ),
    "graph": sampler.from_graph(normal(3), ([[0, 1], [2, 1]], normal(2)), "BINARY"),
    "graph of a batch": sampler.from_graph(normal(2, 3), ([[0, 1], [2, 0]], normal(2, 2)), "SPIN"),
    "graph with labels": sampler.from_graph(
        {"a": 0.1, ("b", 1): 0.2, 7: -0.3}, {("a", 7): 1.0, (7, ("b", 1)): 2.0}, "SPIN"
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_machine_is_read_back_as_it_was(kind):
    machine = KINDS[kind]
    sampler.save(machine, "m.npz")
    read = sampler.load("m.npz")
    assert type(read) is type(machine) and read.families == machine.families
    assert getattr(read, "graph", None) == getattr(machine, "graph", None)
    assert list(getattr(read, "couplings", ())) == list(getattr(machine, "couplings", ()))
    pairs = zip(tf.nest.flatten(read), tf.nest.flatten(machine), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "blocks" not in kind])
def test_beta_multiplies_every_energy(kind):
    machine = KINDS[kind].cast()
    sampler.save(machine, "m.npz")
    cold = sampler.load("m.npz", beta=3.0)
    state = exact.sample(machine, 5, 0)
    np.testing.assert_allclose(cold.energy(state), 3 * machine.energy(state), atol=1e-5)


def test_only_sampler_s_own_machines_are_written():
    class Own(Machine):
        pass

    with pytest.raises(FileError, match=r"path: found m\.txt; accepted: a path that ends in"):
        sampler.save(KINDS["rbm"], "m.txt")
    with pytest.raises(ValueError, match="machine: found str; accepted"):
        sampler.save("rbm", "m.npz")
    assert arrays_of(Own((families.Spin(),), (normal(2),), {}))["families"] == ["Spin"]


# scikit-learn


@pytest.fixture(scope="module")
def estimator():
    """Trained on four stripes, so that no two directions of its weights are alike."""
    data = np.repeat(all_states(8)[[3, 60, 129, 200]], 20, 0)
    return BernoulliRBM(3, learning_rate=0.2, n_iter=30, random_state=0).fit(data)


def from_file(estimator):
    names = ("components_", "intercept_visible_", "intercept_hidden_")
    np.savez("rbm.npz", **{name: getattr(estimator, name) for name in names})
    return sampler.load("rbm.npz")


@pytest.mark.parametrize("convert", [sampler.from_sklearn, from_file])
def test_an_rbm_of_scikit_learn_has_its_free_energies(convert, estimator):
    visible = all_states(8)
    rbm, theirs = convert(estimator), estimator._free_energy(visible)
    ours = -rbm.cast(tf.float64).log_marginal((visible, None))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(exact.log_z(rbm), log_sum_exp(-theirs), atol=1e-5)


def test_an_rbm_of_scikit_learn_has_its_scores(estimator):
    """score_samples is n log sigmoid(F(v with one unit turned) - F(v)), the unit drawn."""
    visible = all_states(8)
    turned = visible.copy()
    rows = np.arange(len(visible))
    columns = np.random.RandomState(0).randint(0, 8, len(visible))
    turned[rows, columns] = 1 - turned[rows, columns]
    estimator.random_state = 0
    rbm = sampler.from_sklearn(estimator).cast(tf.float64)
    odds = rbm.log_marginal((visible, None)) - rbm.log_marginal((turned, None))
    np.testing.assert_allclose(
        8 * tf.math.log_sigmoid(odds), estimator.score_samples(visible), atol=1e-4
    )


def test_an_estimator_that_is_not_fitted_is_refused():
    with pytest.raises(ValueError, match="BernoulliRBM without intercept_visible_; accepted"):
        sampler.from_sklearn(BernoulliRBM())


# rbms: its files are made here as it makes them; where it is installed, it checks itself

BITS = {"vbias": normal(5), "hbias": normal(3), "weight_matrix": normal(5, 3)}
POTTS = {"vbias": normal(4, 3), "hbias": normal(2), "weight_matrix": normal(4, 3, 2)}


def write_hdf5(path, parameters, updates=(1, 20, 5)):
    """As `rbms.io.save_model`; the updates' parameters are multiples, the last one's as given."""
    with h5py.File(path, "w") as file:
        file["model_type"] = "BBRBM"
        file["parallel_chains"] = np.zeros((7, 5), np.float32)
        for update in updates:
            group = file.create_group(f"update_{update}")
            group["torch_rng_state"] = np.zeros(5056, np.uint8)
            saved = group.create_group("params")
            for name, value in parameters.items():
                saved[name] = group[name] = value * np.float32(update / max(updates))


def visible_energies(vbias, hbias, weight_matrix):
    """-log sum over the hidden units, of all visible states, by rbms' formulas."""
    if vbias.ndim == 1:
        visible = all_states(len(vbias))
        fields, inputs = visible @ vbias, visible @ weight_matrix
    else:
        rows = np.arange(len(vbias))
        visible = all_states(len(vbias), range(vbias.shape[1])).astype(int)
        fields = vbias[rows, visible].sum(-1)
        inputs = weight_matrix[rows, visible].sum(1)
    return -fields - np.logaddexp(0, hbias + inputs).sum(-1)


@pytest.mark.parametrize("parameters", [BITS, POTTS], ids=["bits", "potts"])
def test_an_rbm_of_rbms(parameters):
    write_hdf5("rbm.h5", parameters)
    np.savez("rbm.npz", **parameters)

    class Model:
        def __init__(self):
            self.__dict__.update(parameters)

    expected = log_sum_exp(-visible_energies(**parameters))
    for machine in (
        sampler.load("rbm.h5"),
        sampler.load("rbm.npz"),
        sampler.from_rbms(Model()),
    ):
        np.testing.assert_allclose(exact.log_z(machine), expected, rtol=1e-6)
        x = exact.sample(machine, 3, 0)
        assert x[0].shape == (3, parameters["vbias"].size) and x[1].shape[0] == 3


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("kind", ["bits", "potts"])
def test_an_rbm_that_rbms_saved(kind):
    pytest.importorskip("rbms", reason="the package rbms (and PyTorch) is not installed")
    import torch
    from rbms.bernoulli_bernoulli.classes import BBRBM
    from rbms.io import save_model
    from rbms.potts_bernoulli.classes import PBRBM

    parameters = {"bits": BITS, "potts": POTTS}[kind]
    made = {"bits": BBRBM, "potts": PBRBM}[kind]
    model = made(**{name: torch.tensor(value) for name, value in parameters.items()})
    chains = model.init_chains(6)
    save_model("rbm.h5", model, chains, 3, 0.0)
    visible, hidden = chains["visible"], chains["hidden"]
    state = visible.numpy()
    if kind == "potts":
        state = np.eye(3, dtype=np.float32)[state.astype(int)].reshape(6, -1)
    for machine in (sampler.from_rbms(model), sampler.load("rbm.h5")):
        ours = machine.energy((state, hidden.numpy()))
        np.testing.assert_allclose(ours, model.compute_energy(visible, hidden), atol=1e-5)
        ours = -machine.log_marginal((state, None))
        np.testing.assert_allclose(ours, model.compute_energy_visibles(visible), atol=1e-5)


# Fields and couplings of a graph

H, UPPER = normal(5), np.triu(normal(5, 5), 1)
EDGES = np.argwhere(UPPER)
GRAPHS = {
    "upper triangle": {"J": UPPER},
    "symmetric": {"J": UPPER + UPPER.T},
    "edges": {"edges": EDGES[:, ::-1], "values": UPPER[tuple(EDGES.T)]},
}


@pytest.mark.parametrize("vartype, values", [("SPIN", (-1, 1)), ("BINARY", (0, 1))])
@pytest.mark.parametrize("form", GRAPHS)
def test_fields_and_couplings(form, vartype, values):
    """Each pair counts once, with the sign that it has: p ~ exp(h'x + sum over i < j of J x x)."""
    np.savez("graph.npz", h=H, vartype=vartype, **GRAPHS[form])
    machine, x = sampler.load("graph.npz"), all_states(5, values)
    exponents = x @ H + np.einsum("si,ij,sj->s", x, UPPER, x)
    np.testing.assert_allclose(exact.log_z(machine), log_sum_exp(exponents), rtol=1e-6)
    energies = machine.energy(machine.blocks_of(tf.constant(x, tf.float32)))
    np.testing.assert_allclose(energies, -exponents, atol=1e-5)


# dimod


@pytest.fixture(scope="module")
def bqm():
    dimod = pytest.importorskip("dimod")
    linear = {"a": 0.5, "b": -1.0, ("c", 1): 0.2}
    return dimod.BinaryQuadraticModel(linear, {"ab": 1.0, ("b", ("c", 1)): -0.7}, 2.5, "BINARY")


def write_json(bqm):
    with open("bqm", "w") as file:
        json.dump(bqm.to_serializable(), file)


def write_binary(bqm, version=2):
    with open("bqm", "wb") as file, bqm.to_file(version=version) as written:
        file.write(written.read())


def write_coo(bqm):
    from dimod.serialization import coo

    numbered = bqm.relabel_variables({"a": 0, "b": 3, ("c", 1): 5}, inplace=False)
    with open("bqm", "w") as file:
        coo.dump(numbered, file, vartype_header=True)


@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
@pytest.mark.parametrize(
    "write", [write_json, write_binary, lambda bqm: write_binary(bqm, 1), write_coo]
)
def test_a_binary_quadratic_model(write, vartype, bqm):
    """p ~ exp(-beta E), as dimod's own solver enumerates it; the offset is warned of."""
    import dimod

    bqm = bqm.change_vartype(vartype, inplace=False)
    write(bqm)
    has_offset = write is not write_coo and bqm.offset != 0
    for beta in (1.0, -0.5):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            machine = sampler.load("bqm", beta)
        assert len(caught) == has_offset
        found = dimod.ExactSolver().sample(bqm)
        expected = log_sum_exp(-beta * (found.record.energy - bqm.offset))
        np.testing.assert_allclose(exact.log_z(machine), expected, rtol=1e-6)
    order = [bqm.variables.index(v) for v in ("a", "b", ("c", 1))]
    states = found.record.sample[:, [found.variables.index(bqm.variables[i]) for i in order]]
    energies = machine.energy(machine.blocks_of(tf.constant(states, tf.float32)))
    np.testing.assert_allclose(energies, -0.5 * (found.record.energy - bqm.offset), atol=1e-5)
    assert machine.labels == ((0, 3, 5) if write is write_coo else ("a", "b", ("c", 1)))


def test_the_offset_is_told(bqm):
    write_json(bqm)
    assert formats.read("bqm").notes == [
        "the offset 2.5 is left out; with it log Z is beta times 2.5 lower"
    ]


def test_coo_adds_up_and_takes_any_number():
    (formats.Path("x.coo")).write_text("# vartype=SPIN\n# more\n\n3 1 -1e-1\n1 3 +.3\n1 1 2\n")
    arrays = formats.read("x.coo").arrays
    assert arrays["labels"] == (1, 3)
    np.testing.assert_allclose(arrays["h"], [-2, 0])
    np.testing.assert_allclose(arrays["values"], [-0.2], rtol=1e-6)


# Files that are something else, or nothing


def binary(**changes):
    """The header of an empty model in dimod's binary format, with changes, over some bytes."""
    header = {"shape": [2, 1], "dtype": "float64", "itype": "int32", "ntype": "int32"}
    text = json.dumps(header | {"vartype": "SPIN", "variables": False} | changes).encode()
    return b"DIMODBQM\2\0" + len(text).to_bytes(4, "little") + text + bytes(56)


def saved(save, *arrays, **named):
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def savez(**arrays):
    return lambda path: path.write_bytes(saved(np.savez, **arrays))


def write(content):
    return lambda path: path.write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


def hdf5(build):
    def make(path):
        with h5py.File(path, "w") as file:
            build(file)

    return make


def linked(file):
    group = file.create_group("update_1/params")
    group["vbias"], group["hbias"] = np.zeros(2), np.zeros(2)
    group["weight_matrix"] = h5py.ExternalLink("other.h5", "/x")


def huge(file):
    group = file.create_group("update_1/params")
    group["vbias"], group["hbias"] = np.zeros(2), np.zeros(2)
    group.create_dataset("weight_matrix", (1 << 20, 1 << 20), np.float32, chunks=(1024, 1024))


SQUARE = {"h": H, "J": UPPER, "vartype": "SPIN"}
BLOCKS = {"families": ["Spin", "Bernoulli"], "field_0": H, "field_1": H}
BAD = {
    "pickle.npz": (write(pickle.dumps(H)), "a pickle, which is never opened; accepted: its arrays"),
    "rbm.joblib": (write(b"x\x9c..."), "a compressed file; accepted"),
    "rbm.pkl": (write("cos\nsystem\n"), "a pickle, which is never opened"),
    "torch.pt": (savez(**{"archive/data.pkl": H}), "PyTorch's pickle, which is never opened"),
    "one.npy": (write(saved(np.save, H)), "a single array; accepted: an .npz"),
    "a.mat": (write("MATLAB 5.0 MAT-file"), "a MATLAB file; accepted"),
    "a.cqm": (write("DIMODCQM\1\0"), "another of dimod's models; accepted: a BinaryQuadraticModel"),
    "other.npz": (savez(x=H, y=H), "found the arrays 'x', 'y'; accepted: an .npz of b1, b2, w"),
    "no_j.npz": (savez(h=H, vartype="SPIN"), "array 'J' is missing; found: 'h', 'vartype'"),
    "no_vartype.npz": (savez(h=H, J=UPPER), "array 'vartype' is missing"),
    "sign.npz": (
        savez(**SQUARE | {"vartype": 1}),
        "array 'vartype' has dtype int64; accepted: text",
    ),
    "vartype.npz": (savez(**SQUARE | {"vartype": "X"}), "vartype: found 'X'; accepted: SPIN or"),
    "lower.npz": (savez(**SQUARE | {"J": UPPER.T}), "neither symmetric nor upper triangular"),
    "diagonal.npz": (savez(**SQUARE | {"J": np.eye(5)}), "J: found numbers on its diagonal"),
    "size.npz": (savez(**SQUARE | {"h": H[:3]}), "but no unit 3 in h"),
    "flat.npz": (savez(**SQUARE | {"J": H}), "J: found shape (5,); accepted: [..., n, n]"),
    "edges.npz": (
        savez(h=H, vartype="SPIN", edges=[[0, 1.5]], values=[1.0]),
        "edges (1, 2) has 1 values that are no integers; accepted: whole numbers",
    ),
    "labels.npz": (
        savez(h=H, vartype="SPIN", edges=[[0, 1]], values=[1.0], labels="[1, 2, 3, 4, 4]"),
        "labels: found 4 different ones; accepted: 5",
    ),
    "labels_text.npz": (
        savez(h=H, vartype="SPIN", edges=[[0, 1]], values=[1.0], labels="a, b"),
        "labels are no JSON; accepted: a list",
    ),
    "family.npz": (
        savez(**BLOCKS | {"families": "Foo"}),
        "families[0]: found 'Foo'; accepted: Ber",
    ),
    "states.npz": (savez(**BLOCKS | {"families": ["Categorical"] * 2}), "found 'Categorical'; acc"),
    "pair.npz": (savez(**BLOCKS, coupling_1_0=UPPER), "couplings: found the pair (1, 0)"),
    "inside.npz": (savez(**BLOCKS, coupling_0_0=UPPER), "couples units inside a block"),
    "factor.npz": (savez(**BLOCKS, coupling_0_1_u=UPPER), "array 'coupling_0_1_v' is missing"),
    "batch.npz": (
        savez(**BLOCKS, coupling_0_1=normal(2, 5, 5)),
        "couplings[(0, 1)]: found batch shape (2,)",
    ),
    "precision.npz": (
        savez(**BLOCKS | {"families": ["Spin", "Gaussian"]}, precision_1=-1),
        "precision: found -1.0; accepted: a positive",
    ),
    "precisions.npz": (
        savez(**BLOCKS | {"families": ["Spin", "Gaussian"]}, precision_1=[1, 2]),
        "fields[1]: found 5 units; accepted: 2, as many as precision",
    ),
    "rows.npz": (
        savez(h=H, vartype="SPIN", edges=[[0, 1]], values=[1.0], labels=[["a"], ["b"]]),
        "labels: found 2 different ones; accepted: 5",
    ),
    "bare.h5": (hdf5(lambda file: None), "HDF5 without update_1 or another; accepted: HDF5 as"),
    "keras.h5": (hdf5(lambda file: file.create_group("update_3")), "array 'vbias' is missing"),
    "linked.h5": (hdf5(linked), "cannot be read ('weight_matrix' is a link)"),
    "huge.h5": (hdf5(huge), "its contents would have 4398046511136 bytes"),
    "cut.h5": (write(b"\x89HDF\r\n\x1a\n..."), "cannot be read ("),
    "sampleset.json": (write('{"type": "SampleSet"}'), "JSON of 'SampleSet', not of a Binary"),
    "list.json": (write("[1, 2]"), "JSON of 'list', not of a BinaryQuadraticModel"),
    "deep.json": (write("[" * 90000), "cannot be read ("),
    "text.coo": (write("# vartype=SPIN\n0 1 x\n"), "cannot be read (could not convert string"),
    "words.coo": (write("# vartype=SPIN\nnothing\n"), "line 2 is not of two units and a number"),
    "plain.coo": (write("0 1 2.5\n"), "no line '# vartype=SPIN' or '# vartype=BINARY'"),
    "nan.coo": (write("# vartype=SPIN\n0 1 nan\n"), "values (1,) has 1 values that are NaN"),
    "cut.bqm": (write(b"DIMODBQM\2\0"), "cannot be read ("),
    "short.bqm": (write(binary(shape=[2**60, 1])), "cannot be read ("),
    "negative.bqm": (write(binary(shape=[-1, 1])), "a count of -1"),
    "objects.bqm": (write(binary(dtype="O")), "numbers of type object"),
    "twice.bqm": (write(binary()), "J: found the edge (1, 0) a second time"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_of_another_kind_is_one_line(name, folder):
    make, message = BAD[name]
    make(folder / name)
    with pytest.raises(FileError) as caught:
        sampler.load(name)
    text = str(caught.value)
    assert text.startswith(f"{name}: ") and message in text and text.isprintable(), text
    assert "accepted" in text and len(text) < 300, text


def test_without_h5py_a_line_says_so(monkeypatch):
    write_hdf5("rbm.h5", BITS)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(FileError, match="rbm.h5: found HDF5; accepted where h5py is installed"):
        sampler.load("rbm.h5")
