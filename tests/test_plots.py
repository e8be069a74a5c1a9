"""Figures: the same bytes for the same input, nothing hidden, a name for every axis."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import BadInputError
from lexmargin.judge import Certificate, curves
from lexmargin.ops.base import FloatArray
from lexmargin.plots import margin_figure, save, style


@cache
def _judged(spread: float = 1.0, sign: float = 1.0) -> tuple[FloatArray, Certificate]:
    """θ = (0.6, 0.8) and 30 samples: two support it with margin 1, the others lie further out."""
    theta = np.array([0.6, 0.8])
    across = np.array([-0.8, 0.6])
    rows = [theta + 0.5 * across, theta - 0.5 * across]
    rows += [(1.0 + spread * k / 28) * theta + across for k in range(1, 29)]
    data = lm.Dataset(np.array(rows), np.ones(30, dtype=int), one_class=True)
    problem = lm.HardMargin(lm.Linear(), data)
    direction = sign * theta
    return problem.functions.values(direction), lm.certify(problem, direction)


def _written(folder: Path, margins: FloatArray, certificate: Certificate) -> list[bytes]:
    paths = save(margin_figure(margins, certificate, "thirty samples"), folder, "figure")
    assert [path.name for path in paths] == ["figure.png", "figure.svg"]
    return [path.read_bytes() for path in paths]


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    first = _written(tmp_path / "a", *_judged())
    second = _written(tmp_path / "b", *_judged())
    assert first == second
    assert first[0].startswith(b"\x89PNG")


def test_other_input_gives_other_bytes(tmp_path: Path) -> None:
    margins, certificate = _judged()
    moved = margins.copy()
    moved[-1] *= 1.5
    first = _written(tmp_path / "a", margins, certificate)
    second = _written(tmp_path / "b", moved, certificate)
    assert first[0] != second[0] and first[1] != second[1]


def test_no_date_and_no_version_inside(tmp_path: Path) -> None:
    png, svg = _written(tmp_path, *_judged())
    assert b"Software" not in png and b"Matplotlib version" not in png
    assert b"<dc:date>" not in svg
    ElementTree.fromstring(svg)


def _axes(margins: FloatArray, certificate: Certificate) -> tuple[Any, Any, Any]:
    figure = margin_figure(margins, certificate, "thirty samples")
    top, bottom = figure.axes
    return figure, top, bottom


def _close(figure: Any) -> None:
    with style() as plt:
        plt.close(figure)


def test_every_axis_is_named_and_every_sample_drawn() -> None:
    margins, certificate = _judged()
    figure, top, bottom = _axes(margins, certificate)
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in (top, bottom))
    assert "thirty samples" in top.get_title(loc="left")
    assert "GLOBAL" in top.get_title(loc="left")
    other, support, _ = top.get_lines()
    assert len(support.get_xdata()) == 2 and len(other.get_xdata()) == 28
    drawn = np.sort(np.concatenate([other.get_ydata(), support.get_ydata()]))
    assert np.array_equal(drawn, np.sort(margins))
    assert [bar.get_height() for bar in bottom.patches] == pytest.approx([0.5, 0.5], abs=1e-9)
    assert [label.get_text() for label in bottom.get_xticklabels()] == ["0", "1"]
    _close(figure)


@pytest.mark.parametrize(
    ("spread", "sign", "scale"), [(1.0, 1.0, "linear"), (1e3, 1.0, "log"), (1e3, -1.0, "linear")]
)
def test_a_wide_span_of_positive_margins_is_drawn_on_a_log_axis(
    spread: float, sign: float, scale: str
) -> None:
    margins, certificate = _judged(spread, sign)
    figure, top, _ = _axes(margins, certificate)
    assert top.get_yscale() == scale
    low, high = top.get_ylim()
    assert low < margins.min() and margins.max() < high
    _close(figure)


def test_nothing_lies_outside_the_figure() -> None:
    """No label is clipped, and the legend covers no marker of the support."""
    margins, certificate = _judged()
    figure, top, bottom = _axes(margins, certificate)
    figure.canvas.draw()
    frame = figure.bbox
    for axes in (top, bottom):
        for text in (axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label):
            if text.get_text():
                box = text.get_window_extent()
                assert frame.x0 <= box.x0 and box.x1 <= frame.x1
                assert frame.y0 <= box.y0 and box.y1 <= frame.y1
    legend = top.get_legend().get_window_extent()
    support = top.get_lines()[1]
    for point in top.transData.transform(np.column_stack(support.get_data())):
        assert not legend.contains(*point)
    _close(figure)


@cache
def _curved() -> tuple[FloatArray, Certificate]:
    """The same samples with θ turned by a thousandth: stationary from τ = 1e-2 on."""
    theta = np.array([0.6, 0.8]) + 1e-3 * np.array([-0.8, 0.6])
    across = np.array([-0.8, 0.6])
    rows = [np.array([0.6, 0.8]) + s * across for s in (0.5, -0.5)]
    problem = lm.HardMargin(lm.Linear(), lm.Dataset(np.array(rows), [1, 1], one_class=True))
    return problem.functions.values(theta), curves(problem, theta)


def test_the_curves_of_a_certificate_are_drawn_as_they_are() -> None:
    margins, certificate = _curved()
    figure = margin_figure(margins, certificate, "turned")
    _, _, tau, trade = figure.axes
    assert certificate.tau_curve is not None and certificate.trade_off is not None
    line, tolerance, chosen = tau.get_lines()
    np.testing.assert_allclose(line.get_xdata(), [c.tau for c in certificate.tau_curve])
    shown = np.maximum([c.residual for c in certificate.tau_curve], 1e-16)
    np.testing.assert_allclose(line.get_ydata(), shown)
    assert set(tolerance.get_ydata()) == {certificate.tolerances.stationarity}
    assert set(chosen.get_xdata()) == {certificate.tau}
    # S_τ grows from one sample to two at the last τ, and ε falls there.
    assert [text.get_text() for text in tau.texts] == ["1", "2"]
    assert line.get_ydata()[-1] < 0.01 < line.get_ydata()[0]
    line = trade.get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), [t.complementarity for t in certificate.trade_off])
    drawn = np.maximum([t.residual for t in certificate.trade_off], 1e-16)
    np.testing.assert_allclose(line.get_ydata(), drawn)
    for axes in (tau, trade):
        assert axes.get_xlabel() and axes.get_ylabel() and axes.get_yscale() == "log"
    figure.canvas.draw()
    for axes in (tau, trade):
        for text in (axes.xaxis.label, axes.yaxis.label):
            box = text.get_window_extent()
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0
    _close(figure)


def test_a_direction_that_does_not_separate_has_no_multipliers_to_draw() -> None:
    margins, certificate = _judged(1.0, -1.0)
    figure, top, bottom = _axes(margins, certificate)
    assert "NOT_SEPARATING" in top.get_title(loc="left")
    assert [text.get_text() for text in bottom.texts] == ["no multiplier is positive"]
    _close(figure)


def test_where_all_samples_support_no_others_are_named() -> None:
    figure = margin_figure(*_curved(), "turned")
    assert len(figure.axes[0].get_legend().get_texts()) == 3
    both = lm.certify(
        lm.HardMargin(lm.Linear(), lm.Dataset(np.eye(2), [1, 1], one_class=True)), np.ones(2)
    )
    alone = margin_figure(np.full(2, 0.5**0.5), both, "two axes")
    words = [text.get_text() for text in alone.axes[0].get_legend().get_texts()]
    assert words == ["support (2)", "margin γ"]
    _close(figure)
    _close(alone)


def test_one_curve_alone_takes_the_whole_width() -> None:
    margins, certificate = _curved()
    figure = margin_figure(margins, replace(certificate, trade_off=None), "turned")
    assert len(figure.axes) == 3 and figure.axes[2].get_ylabel() == "stationarity ε"
    _close(figure)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    figure = margin_figure(*_judged(), "thirty samples")
    with pytest.raises(BadInputError, match="cannot be made"):
        save(figure, tmp_path / "file", "figure")


def test_the_style_leaves_no_trace() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    figure = margin_figure(*_judged(), "thirty samples")
    _close(figure)
    after = dict(matplotlib.rcParams)
    assert {k: v for k, v in after.items() if k != "backend"} == {
        k: v for k, v in before.items() if k != "backend"
    }
