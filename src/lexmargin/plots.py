"""Figures made to be read: one style, colour-blind safe, labelled axes with units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lexmargin.certificate import Certificate
from lexmargin.ops.base import FloatArray

__all__ = ["margin_figure", "save", "style"]

# Okabe and Ito's palette, distinguishable in the common colour-vision deficiencies.
BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#777777"

_STYLE = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.0,
    "figure.dpi": 120.0,
    "savefig.dpi": 200.0,
    "svg.hashsalt": "lexmargin",
    "svg.fonttype": "none",
}


@contextmanager
def style() -> Iterator[Any]:
    """Draw without a display, in the house style; yields ``matplotlib.pyplot``."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(_STYLE):
        yield plt


def margin_figure(margins: FloatArray, certificate: Certificate, title: str) -> Any:
    """Draw the sorted margins of the unit direction with the support marked, and the multipliers.

    Args:
        margins: f_n(θ̂), ``(N,)``.
        certificate: of the same direction; gives γ, the support and λ.
        title: one line.

    Returns:
        A matplotlib figure.
    """
    with style() as plt:
        figure, (top, bottom) = plt.subplots(
            2, 1, figsize=(6.4, 5.0), sharex=True, height_ratios=(2, 1), layout="constrained"
        )
        order = np.argsort(margins, kind="stable")
        rank = np.arange(1, margins.size + 1)
        support = np.isin(order, certificate.support)
        top.plot(rank[~support], margins[order][~support], ".", color=BLUE, ms=4, label="samples")
        top.plot(
            rank[support],
            margins[order][support],
            "o",
            color=VERMILION,
            ms=5,
            label=f"support ({int(support.sum())})",
        )
        top.axhline(certificate.margin, color=GREY, lw=0.8, ls="--")
        top.annotate(
            f"γ = {certificate.margin:.5g}",
            (rank[-1], certificate.margin),
            xytext=(0, -3),
            textcoords="offset points",
            ha="right",
            va="top",
            color=GREY,
        )
        low, high = float(margins.min()), float(margins.max())
        top.set_ylim(min(0.0, low) - 0.06 * (high - low), high + 0.06 * (high - low))
        top.set_ylabel("margin $f_n(\\hat\\theta)$")
        top.legend(frameon=False, loc="upper left")
        top.set_title(f"{title}\n{certificate.verdict.value}, ε = {certificate.stationarity:.1e}")
        weights = certificate.multipliers[order]
        positive = weights > 0
        bottom.vlines(rank[positive], 0.0, weights[positive], color=VERMILION, lw=1.2)
        bottom.set_ylabel("multiplier $\\lambda_n$")
        bottom.set_xlabel("sample, sorted by margin")
        bottom.set_ylim(bottom=0.0)
        return figure


def save(figure: Any, folder: Path, name: str) -> Sequence[Path]:
    """Write a figure as PNG and SVG, the same bytes for the same figure; return the paths."""
    with style() as plt:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{name}.png", folder / f"{name}.svg"]
        figure.savefig(paths[0], metadata={"Software": None})
        figure.savefig(paths[1], metadata={"Date": None})
        plt.close(figure)
        return paths
