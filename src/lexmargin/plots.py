"""Figures made to be read: one style, colour-blind safe, labelled axes with units."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lexmargin.inputs.files import make_folder, write_file
from lexmargin.inputs.optional import optional
from lexmargin.judge import Certificate
from lexmargin.judge.multipliers.stationarity import CurvePoint, TradeOffPoint
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["margin_figure", "save", "style"]

# Okabe and Ito's palette, distinguishable in the common colour-vision deficiencies.
BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#777777"
COLOURS = (BLUE, ORANGE, GREEN, VERMILION, GREY)
"""In turn, of curves that have no order."""

_SPAN = 20.0
"""Ratio of margins from which the axis is logarithmic: below, a linear one is easier to read."""
_NAMED = 40
"""Bars that still have a name of their own; more would run into each other."""
_UPRIGHT = 12
"""Bars up to which names stand upright; more would touch."""
_ROUNDING = 1e-16
"""Stands for 0 on logarithmic axes: what a double cannot tell from 0 beside 1."""
_PLAIN = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
"""White behind small numbers, so that curves do not cross them."""

_STYLE = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.0,
    "figure.dpi": 120.0,
    "savefig.dpi": 200.0,
    "svg.hashsalt": "lexmargin",
    # Outlines: a viewer without the font would set the words in another, over each other.
    "svg.fonttype": "path",
}
"""Sizes that are read beside the text of a page at its width; the salt makes files repeatable."""


_WIDTH = 4.8
"""Inches: on a phone, 3.8 inches wide, letters of 9 points are then read still."""


@contextmanager
def style() -> Iterator[Any]:
    """Draw without a display, in the house style; yields ``matplotlib.pyplot``."""
    optional("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context(_STYLE):
        yield plt


@contextmanager
def panel(height: float, layout: str = "constrained") -> Iterator[tuple[Any, Any]]:
    """Give a figure of one panel, so many inches high and as wide as a phone, and its axes."""
    with style() as plt:
        yield plt.subplots(figsize=(_WIDTH, height), layout=layout)


@contextmanager
def panels(count: int, height: float) -> Iterator[tuple[Any, Any]]:
    """Give a figure of panels below each other, each so many inches high, and all their axes."""
    with style() as plt:
        size = (_WIDTH, count * height)
        figure, column = plt.subplots(count, 1, figsize=size, layout="constrained", squeeze=False)
        yield figure, column[:, 0]


def margin_figure(margins: FloatArray, certificate: Certificate, title: str) -> Any:
    """Draw the sorted margins f_n(θ̂) with the support marked, and the support's multipliers.

    Where the certificate has them (:func:`~lexmargin.judge.curves`), ε against the support
    tolerance τ and against δ are drawn below. The margins are on a logarithmic axis where all are
    positive and they span more than a factor of 20; otherwise the support would be
    indistinguishable from the axis.

    Args:
        margins: f_n(θ̂), ``(N,)``.
        certificate: of the same direction; gives γ, the support and λ.
        title: one line.

    Returns:
        A matplotlib figure.
    """
    below = []
    if certificate.tau_curve:
        below.append("tau")
    if certificate.trade_off:
        below.append("trade")
    with style() as plt:
        rows = [["margins"] * max(1, len(below)), ["multipliers"] * max(1, len(below))]
        figure, axes = plt.subplot_mosaic(
            [*rows, below] if below else rows,
            figsize=(6.4, 7.0 if below else 5.0),
            height_ratios=(3, 2, 2.4) if below else (3, 2),
            layout="constrained",
        )
        top = axes["margins"]
        order = np.argsort(margins, kind="stable")
        _draw_margins(top, margins[order], np.isin(order, certificate.support), certificate.margin)
        weights = certificate.multipliers
        # By index: the margins of the support differ by rounding only.
        shown = np.union1d(certificate.support, np.flatnonzero(weights > 0)).astype(np.intp)
        _draw_multipliers(axes["multipliers"], shown, weights[shown])
        if certificate.tau_curve:
            _draw_tau_curve(axes["tau"], certificate, certificate.tau_curve)
        if certificate.trade_off:
            _draw_trade_off(axes["trade"], certificate, certificate.trade_off)
        verdict = certificate.verdict.value
        known = np.isfinite(certificate.stationarity)
        measured = f", ε = {certificate.stationarity:.1e}" if known else ""
        top.set_title(f"{title}\n{verdict}{measured}, γ = {certificate.margin:.5g}")
        return figure


def _draw_margins(axes: Any, ordered: FloatArray, support: Any, margin: float) -> None:
    rank = np.arange(1, ordered.size + 1)
    rest = ~support
    if np.any(rest):
        axes.plot(rank[rest], ordered[rest], ".", color=BLUE, ms=4, label=f"other ({rest.sum()})")
    axes.plot(
        rank[support],
        ordered[support],
        "o",
        color=VERMILION,
        ms=5,
        label=f"support ({support.sum()})",
    )
    axes.axhline(margin, color=GREY, lw=0.8, ls="--", label="margin γ", zorder=0)
    low, high = float(ordered[0]), float(ordered[-1])
    if low > 0 and high > _SPAN * low:
        axes.set_yscale("log")
        reach = (high / low) ** 0.08
        axes.set_ylim(low / reach, high * reach)
    else:
        reach = 0.08 * (max(high, 0.0) - min(low, 0.0)) or 1.0
        axes.set_ylim(min(low, 0.0) - reach, high + reach)
    axes.set_ylabel("margin $f_n(\\hat\\theta)$")
    axes.set_xlabel("rank of the sample by margin")
    axes.locator_params(axis="x", integer=True)
    axes.legend(frameon=False, loc="best")


def _draw_multipliers(axes: Any, samples: IntArray, weights: FloatArray) -> None:
    """Draw λ of the support alone, each bar named by its sample where there is room."""
    if not np.any(weights > 0.0):
        axes.text(0.5, 0.5, "no multiplier is positive", transform=axes.transAxes, ha="center")
        axes.set_yticks([])
    place = np.arange(samples.size)
    axes.bar(place, weights, width=0.6, color=VERMILION)
    step = 1 + samples.size // _NAMED
    turned = {"rotation": 90, "fontsize": 7.0} if samples.size > _UPRIGHT else {}
    axes.set_xticks(place[::step], [str(n) for n in samples[::step]], **turned)
    axes.set_xlim(-0.8, max(samples.size, 1) - 0.2)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("multiplier $\\lambda_n$")
    axes.set_xlabel("support sample $n$")


def _draw_tau_curve(axes: Any, certificate: Certificate, curve: Sequence[CurvePoint]) -> None:
    """Draw ε of the best λ on `S_τ`, with the size of S_τ wherever it grows."""
    taus = np.array([point.tau for point in curve])
    residuals = _above_zero([point.residual for point in curve])
    counts = [point.count for point in curve]
    axes.plot(taus, residuals, "o-", color=BLUE, ms=3.5, drawstyle="steps-post", label="ε on $S_τ$")
    for k, count in enumerate(counts):
        if k == 0 or count != counts[k - 1]:
            axes.annotate(
                f"{count}", (taus[k], residuals[k]), (0, 5), textcoords="offset points",
                ha="center", fontsize=7.0, bbox=_PLAIN,
            )  # fmt: skip
    axes.axhline(
        certificate.tolerances.stationarity, color=GREY, lw=0.8, ls="--", label="tolerance of ε"
    )
    if np.isfinite(certificate.tau):
        axes.axvline(certificate.tau, color=ORANGE, lw=1.0, label="τ of the verdict", zorder=0)
    axes.set_xscale("log")
    _logarithmic(axes, [*residuals, certificate.tolerances.stationarity])
    axes.set_xlabel("support tolerance τ (numbers: size of $S_τ$)")
    axes.set_ylabel("stationarity ε")
    _legend_over_lines(axes)


def _draw_trade_off(axes: Any, certificate: Certificate, pairs: Sequence[TradeOffPoint]) -> None:
    """Draw the pairs (δ, ε) over all λ, and the box of both tolerances."""
    limits = certificate.tolerances
    deltas = _above_zero([point.complementarity for point in pairs])
    residuals = _above_zero([point.residual for point in pairs])
    axes.plot(deltas, residuals, "s-", color=GREEN, ms=3.5, lw=1.0, label="best ε at each δ")
    axes.axhline(limits.stationarity, color=GREY, lw=0.8, ls="--", label="tolerances")
    axes.axvline(limits.complementarity, color=GREY, lw=0.8, ls="--")
    axes.set_xscale("log")
    _logarithmic(axes, [*residuals, limits.stationarity])
    reach = [*deltas, limits.complementarity]
    axes.set_xlim(min(reach) / 5.0, max(reach) * 5.0)
    axes.set_xlabel("complementarity δ")
    axes.set_ylabel("stationarity ε")
    _legend_over_lines(axes)


def _legend_over_lines(axes: Any) -> None:
    """Draw the legend on the background, so that no line runs through its words."""
    axes.legend(loc="best", fontsize=7.0, facecolor="white", framealpha=1.0, edgecolor="none")


def _above_zero(values: Sequence[float]) -> FloatArray:
    """Return the values with what rounding cannot tell from zero set on the rounding error."""
    return np.maximum(np.asarray(values, dtype=np.float64), _ROUNDING)


def _logarithmic(axes: Any, values: Sequence[float]) -> None:
    axes.set_yscale("log")
    axes.set_ylim(min(values) / 5.0, max(values) * 8.0)


def save(figure: Any, folder: Path, name: str) -> Sequence[Path]:
    """Write a figure as PNG and SVG, the same bytes for the same figure, and close it.

    Returns:
        The two paths.

    Raises:
        BadInputError: the folder cannot be made or written to.
    """
    with style() as plt:
        paths = [folder / f"{name}.png", folder / f"{name}.svg"]
        make_folder(folder)
        try:
            for path, kind, nameless in zip(
                paths, ("png", "svg"), ("Software", "Date"), strict=True
            ):
                drawn = io.BytesIO()
                figure.savefig(drawn, format=kind, metadata={nameless: None})
                write_file(path, drawn.getvalue(), advice="Choose a folder that can be written to.")
        finally:
            plt.close(figure)
        return paths
