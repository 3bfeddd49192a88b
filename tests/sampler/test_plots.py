"""Pictures of diagnostics: what they show is what they were given, and their files can be read."""

import numpy as np
import pytest
from matplotlib import image

from sampler import plots

ENERGY = [r"$E - E_{\mathrm{base}}$ (nats)", r"Var $E$ (nats$^2$)"]
BETAS = np.linspace(0, 1, 21)
LOG_WEIGHTS = 300 + np.random.default_rng(0).normal(size=2000)


def line(axes, label):
    """The data of the line that the legend calls so."""
    return next(each.get_xydata() for each in axes.lines if each.get_label() == label)


@pytest.fixture
def weights():
    return plots.weights(LOG_WEIGHTS, 735.8, "prior: AIS")


@pytest.fixture
def families():
    ess, rho_t, unique = 1 - BETAS / 5, 1 + 20 * BETAS, 1000 - 900 * BETAS
    return plots.families(BETAS, ess, rho_t, unique, 1000, "prior: PA")


@pytest.fixture
def energy():
    return plots.energy(BETAS, -200 * BETAS, 100 * BETAS**2, "prior: PA")


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
    (axes,) = plots.ess(BETAS, 1 - BETAS / 2, "prior: AIS").axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.stack([BETAS, 1 - BETAS / 2], 1))
    assert axes.get_ylabel() == "ESS / chains"


def test_swap_rates():
    figure = plots.swaps(np.array([0, 0.3, 1]), np.array([0.5, 0.2]), "prior: PT")
    steps = figure.axes[0].patches[0].get_data()
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
