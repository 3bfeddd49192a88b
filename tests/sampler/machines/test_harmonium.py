"""Harmoniums in centred parameters: against the formula, and always normalisable."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sampler.machines import harmonium

KINDS = {"binary": (1, 2.0, 0.5), "gaussian": (1, 1.0, 0.0), "potts3": (3, 1.0, 1 / 3)}
PAIRS = list(itertools.product(KINDS, KINDS))


@pytest.mark.parametrize("names", PAIRS, ids=lambda names: "-".join(names))
def test_the_energy_is_the_formulas_but_for_a_constant(names):
    noise = np.random.default_rng(0)
    (w1, a1, m1), (w2, a2, m2) = (KINDS[name] for name in names)
    f1, f2 = (noise.normal(size=2 * w).astype(np.float32) for w in (w1, w2))
    j = 0.5 * noise.normal(size=(2 * w1, 2 * w2)).astype(np.float32)
    machine = harmonium.from_centred([*map(harmonium.named, names)], f1, f2, j)
    if names == ("gaussian", "gaussian"):
        j = harmonium.bounded(j).numpy()
    x = [noise.normal(size=(20, 2, w)) for w in (w1, w2)]
    # one-hot rows, bits, and real numbers as they are
    x = [
        np.eye(3)[v.argmax(-1)] if name == "potts3" else (v > 0) * 1.0 if name == "binary" else v
        for v, name in zip(x, names, strict=True)
    ]
    x1, x2 = (v.reshape(20, -1) for v in x)
    c1, c2 = a1 * (x1 - m1), a2 * (x2 - m2)
    expected = c1 @ f1 + c2 @ f2 + np.sum((c1 @ j) * c2, -1)
    found = machine.interaction((x1.astype(np.float32), x2.astype(np.float32))).numpy()
    difference = found - expected
    np.testing.assert_allclose(difference, difference[0], atol=1e-4)


def test_couplings_of_real_units_never_reach_one():
    noise = np.random.default_rng(1)
    for scale in (0.1, 1.0, 30.0):
        j = (scale * noise.normal(size=(4, 6, 5))).astype(np.float32)
        before = np.linalg.svd(j.astype(np.float64), compute_uv=False)
        after = np.linalg.svd(harmonium.bounded(j).numpy(), compute_uv=False)
        np.testing.assert_allclose(after, before / np.sqrt(1 + before**2), rtol=1e-3)
        assert after.max() < 1


def test_what_no_harmonium_is():
    with pytest.raises(ValueError, match="family: found 'poisson'; accepted: binary, gaussian, or"):
        harmonium.named("poisson")
    potts = harmonium.named("potts3"), harmonium.named("binary")
    with pytest.raises(ValueError, match="num_latents: found 4; accepted: a multiple of 3"):
        harmonium.check(potts, (4, 4))
