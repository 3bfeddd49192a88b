"""Pictures of diagnostics: what they show is what they were given, and their files can be read."""

import numpy as np
import pytest
from matplotlib import image

from sampler import plots
from sampler.populations.result import Result as Annealed
from sampler.populations.result import Trace
from sampler.tempering.parallel_tempering import Result as Tempered
from sampler.weights import estimates

ENERGY = [r"$E - E_{\mathrm{base}}$ (nats)", r"Var $E$ (nats$^2$)"]
BETAS = np.linspace(0, 1, 21)
LOG_WEIGHTS = 300 + np.random.default_rng(0).normal(size=2000)


def line(axes, label):
    """The data of the line that the legend calls so."""
    return next(each.get_xydata() for each in axes.lines if each.get_label() == label)


def estimate(log_weights, ess, at_betas):
    trace = estimates.Trace(BETAS, None, at_betas)
    return estimates.Estimate(None, None, ess, estimates.Samples((), log_weights), trace)


def annealed(ess, rho_t, unique, mean, variance):
    """A result of two runs of 1000 chains whose mean is what is given, [T]."""

    def runs(values):
        return np.stack([0.9 * values, 1.1 * values], -1)

    shapes = np.zeros(2), estimates.Samples((), np.zeros(2000))
    trace = Trace(BETAS, *map(runs, (BETAS, mean, variance, ess, rho_t, unique)), None, None, None)
    return Annealed(np.float64(0), np.float64(0), *shapes, trace)


ANNEALED = annealed(
    1000 - 200 * BETAS, 1 + 20 * BETAS, 1000 - 900 * BETAS, -200 * BETAS, 100 * BETAS**2
)


@pytest.fixture
def weights():
    return plots.weights(estimate(LOG_WEIGHTS, 735.8, np.ones(21)), "prior: AIS")


@pytest.fixture
def families():
    return plots.families(ANNEALED, "prior: PA")


@pytest.fixture
def energy():
    return plots.energy(ANNEALED, "prior: PA")


def test_the_chains_histogram_holds_every_chain_once(weights):
    (axes,) = weights.axes
    heights = np.array([bar.get_height() for bar in axes.patches if hasattr(bar, "get_height")])
    np.testing.assert_allclose(heights.sum(), 1)


def test_the_weights_are_centred_on_the_estimate(weights):
    """At the zero of the axis stands log of the mean weight, 300.5 for normal log-weights."""
    (axes,) = weights.axes
    left = min(bar.get_x() for bar in axes.patches if hasattr(bar, "get_x"))
    log_z = np.log(np.mean(np.exp(LOG_WEIGHTS - 300))) + 300
    np.testing.assert_allclose(left, LOG_WEIGHTS.min() - log_z)
    np.testing.assert_array_equal(line(axes, r"estimate of $\log Z$")[:, 0], 0)


def test_the_outlined_histogram_is_the_chains_share_of_the_estimate(weights):
    """Its mass right of a bin's edge is the share of the weights there: more than the chains'."""
    (axes,) = weights.axes
    outline = next(p for p in axes.patches if p.get_label() == "their weight in the estimate")
    x, y = outline.get_path().vertices.T
    # a step outline goes (edge, 0), (edge, h0), (edge, h0), ...: each height appears twice
    edges, heights = x[0:-1:2], y[1:-1:2]
    shares = np.exp(LOG_WEIGHTS - LOG_WEIGHTS.max())
    shares /= shares.sum()
    expected, _ = np.histogram(LOG_WEIGHTS, edges + (LOG_WEIGHTS.min() - edges[0]), weights=shares)
    np.testing.assert_allclose(heights, expected, atol=1e-9)
    np.testing.assert_allclose(heights.sum(), 1)


def test_the_weights_title_tells_the_ess(weights):
    assert weights.axes[0].get_title("left") == "prior: AIS\nESS 736 of 2,000 chains"


def test_family_curves(families):
    top, bottom = families.axes
    np.testing.assert_allclose(top.lines[0].get_xydata(), np.stack([BETAS, 1 - BETAS / 5], 1))
    drawn = line(bottom, "unique families")
    np.testing.assert_allclose(drawn, np.stack([BETAS, 1000 - 900 * BETAS], 1))
    drawn = line(bottom, r"mean-square family size $\rho_t$")
    np.testing.assert_allclose(drawn, np.stack([BETAS, 1 + 20 * BETAS], 1))
    np.testing.assert_allclose(line(bottom, r"largest trusted $\rho_t$")[:, 1], 10)


def test_energy_curves(energy):
    top, bottom = energy.axes
    np.testing.assert_allclose(line(top, r"$\langle E\rangle$")[:, 1], -200 * BETAS)
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), 100 * BETAS**2)
    (band,) = top.collections
    low, high = np.sort(band.get_paths()[0].vertices[:, 1])[[0, -1]]
    np.testing.assert_allclose([low, high], [-210, 0], atol=1e-9)  # -200 - 10, and 0 at beta = 0


def test_ess_curve():
    result = estimate(LOG_WEIGHTS, 735.8, 2000 - 1000 * BETAS)
    (axes,) = plots.ess(result, "prior: AIS").axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.stack([BETAS, 1 - BETAS / 2], 1))
    assert axes.get_ylabel() == "ESS / chains"


def test_of_a_batch_the_machine_with_the_smallest_ess_is_drawn():
    ess = np.array([[9.0, 5.0], [3.0, 4.0]])
    at_betas = np.multiply.outer(ess, 10 * BETAS)
    result = estimate(np.broadcast_to(LOG_WEIGHTS, (2, 2, 2000)), ess, at_betas)
    assert plots.worst(result) == 2
    (axes,) = plots.ess(result, "").axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 3 * BETAS / 200)
    assert plots.weights(result, "x").axes[0].get_title("left").startswith("x\nESS 3.0 of")


def test_swap_rates():
    fields = dict.fromkeys(Tempered._fields)
    fields |= {"betas": np.array([0, 0.3, 1]), "swap_rates": np.array([0.5, 0.2]), "ess": 1.0}
    steps = plots.swaps(Tempered(**fields), "prior: PT").axes[0].patches[0].get_data()
    np.testing.assert_array_equal(steps.values, [0.5, 0.2])
    np.testing.assert_array_equal(steps.edges, [0, 0.3, 1])


def test_axes_are_labelled_with_units(weights, families, energy):
    beta = r"inverse temperature $\beta$"
    assert weights.axes[0].get_xlabel() == r"log-weight minus estimate of $\log Z$ (nats)"
    assert weights.axes[0].get_ylabel() == "fraction per bin"
    assert [axes.get_ylabel() for axes in energy.axes] == ENERGY
    assert [axes.get_ylabel() for axes in families.axes] == ["ESS / population", "families"]
    assert families.axes[-1].get_xlabel() == energy.axes[-1].get_xlabel() == beta


@pytest.mark.parametrize("kind", ["weights", "families", "energy"])
def test_a_file_is_named_after_the_rbm_and_its_kind(request, kind, tmp_path):
    path = plots.save(request.getfixturevalue(kind), str(tmp_path), "prior.v2", kind)
    assert path == tmp_path / f"prior.v2_{kind}.png"
    pixels = image.imread(path)
    assert pixels.shape[0] > 400 and pixels.shape[1] > 900
    assert pixels[..., :3].std() > 0.02  # not blank
