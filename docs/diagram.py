"""Draws `model.svg`: the model, and Algorithm 1.  python docs/diagram.py"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

INK, BLUE, ORANGE, PALE = "#1f2933", "#2563a8", "#b45309", "#f3f5f7"
mpl.rcParams.update({"svg.hashsalt": "dvae", "svg.fonttype": "none", "font.size": 10})


def box(axes: Axes, x: float, y: float, text: str, width: float = 1.5, edge: str = INK) -> None:
    """A rounded box about (x, y)."""
    corner, style = (x - width / 2, y - 0.32), "round,pad=0.02,rounding_size=0.1"
    patch = FancyBboxPatch(corner, width, 0.64, boxstyle=style, fc=PALE, ec=edge, lw=1.4)
    axes.add_patch(patch)
    axes.text(x, y, text, ha="center", va="center", color=INK)


def arrow(axes: Axes, start, end, text: str = "", color: str = INK, **style) -> None:
    """An arrow, and a word beside its middle."""
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=12, color=color, lw=1.4, **style
        )
    )
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.17)
    axes.text(*middle, text, ha="center", color=color, fontsize=9)


def rbm(axes: Axes, x: float, y: float, edge: str) -> None:
    """Two blocks of units with all couplings between them."""
    sides = [[(x + 0.3 * (i - 1), y + dy) for i in range(3)] for dy in (0.28, -0.28)]
    for a in sides[0]:
        for b in sides[1]:
            axes.plot(*zip(a, b, strict=True), color=edge, lw=0.8, zorder=1)
    for centre in sides[0] + sides[1]:
        axes.add_patch(Circle(centre, 0.1, fc="white", ec=edge, lw=1.4, zorder=2))


def model(axes: Axes) -> None:
    """From image to objective."""
    axes.set_title("The model", loc="left", fontweight="bold")
    box(axes, 0.5, 2.6, "image x", 1.0)
    box(axes, 2.2, 2.6, "encoder")
    arrow(axes, (1.0, 2.6), (1.42, 2.6))
    rbm(axes, 4.3, 2.6, BLUE)
    axes.text(4.3, 3.15, "posterior q(z | x)", ha="center", color=BLUE)
    arrow(axes, (2.95, 2.6), (3.85, 2.6), "fields, W")
    arrow(axes, (4.3, 2.15), (4.3, 1.45), "")
    axes.text(4.45, 1.8, "ζ by Algorithm 1", va="center", color=BLUE, fontsize=9)
    box(axes, 4.3, 1.1, "latents z", 1.2)
    box(axes, 2.2, 1.1, "decoder")
    arrow(axes, (3.7, 1.1), (2.97, 1.1))
    box(axes, 0.5, 1.1, "p(x | z)", 1.0)
    arrow(axes, (1.45, 1.1), (1.02, 1.1))
    arrow(axes, (0.5, 2.27), (0.5, 1.44))
    axes.text(0.6, 1.85, "log p(x | ζ)", va="center", fontsize=9)
    rbm(axes, 6.3, 1.1, ORANGE)
    axes.text(6.3, 1.65, "prior p(z)", ha="center", color=ORANGE)
    arrow(axes, (5.85, 1.1), (4.93, 1.1), color=ORANGE)
    axes.text(
        0.0,
        0.3,
        "maximise  log p(x | ζ) + λ [ log p(ζ) − log q(ζ | x) ],   both RBMs' log Z left out:\n"
        "the prior's gradient comes from its own population, the posterior's vanishes",
        fontsize=9,
        va="center",
    )
    axes.set(xlim=(-0.1, 7.0), ylim=(-0.05, 3.5))


def algorithm(axes: Axes) -> None:
    """A step of Algorithm 1 for one image."""
    axes.set_title("Algorithm 1, for each image of a batch", loc="left", fontweight="bold")
    box(axes, 0.75, 2.6, "chain of x", 1.3)
    box(axes, 3.0, 2.6, "s hard\nGibbs sweeps", 1.5)
    box(axes, 5.35, 2.6, "t relaxed\nGibbs sweeps", 1.6, BLUE)
    arrow(axes, (1.4, 2.6), (2.22, 2.6), "z")
    arrow(axes, (3.75, 2.6), (4.52, 2.6), "z")
    box(axes, 5.35, 1.1, "ζ → decoder,\nenergies", 1.6)
    arrow(axes, (5.35, 2.27), (5.35, 1.45))
    arrow(axes, (3.0, 2.93), (0.75, 2.93), connectionstyle="arc3,rad=0.25")
    axes.text(1.87, 3.3, "kept for the next epoch", ha="center", fontsize=9)
    box(axes, 1.9, 1.1, "RBM of x: φ", 1.5)
    arrow(axes, (2.1, 1.43), (2.75, 2.25))
    axes.text(1.25, 1.85, "no gradient", ha="center", fontsize=9)
    arrow(axes, (2.66, 1.25), (4.75, 2.25), color=BLUE)
    axes.text(4.0, 1.55, "gradient", ha="center", color=BLUE, fontsize=9)
    axes.text(
        0.0,
        0.3,
        "A relaxed sweep replaces the draw of each unit by a continuous function of its\n"
        "logit and a uniform number; backpropagation runs through these sweeps alone",
        fontsize=9,
        va="center",
    )
    axes.set(xlim=(-0.1, 7.0), ylim=(-0.05, 3.5))


def main() -> None:
    """Both panels, one above the other."""
    figure = Figure(figsize=(7.6, 7.4), layout="constrained")
    for axes, draw in zip(figure.subplots(2, 1), (model, algorithm), strict=True):
        draw(axes)
        axes.set_aspect("equal")
        axes.axis("off")
    folder = Path(__file__).parent
    figure.savefig(folder / "model.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
