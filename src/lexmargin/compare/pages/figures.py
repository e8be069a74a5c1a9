"""Figures of a comparison as inline SVG: numbers in, text out, no script and no style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from lexmargin.compare.pages.colours import colour
from lexmargin.compare.performance import Performance, whole_seconds
from lexmargin.outputs.svg import (
    BOTTOM,
    GRID,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    dash,
    drawing,
    grid_y,
    label_x,
    mark,
    power,
    tick_x,
)

if TYPE_CHECKING:
    from lexmargin.compare.pages.table import Row, Summary

__all__ = ["accuracy", "legend_mark", "profile_curves", "success_and_honesty", "unit"]

_APART: Final = 6
"""Between the middle of a line and its raw and scaled figures: two rings of one line touch."""
_MOST_DECADES: Final = 15
"""From the shortest time that counts, a microsecond, to 30 years: a file may say anything."""
_SMALLEST: Final = 1e-17
"""Stands for 0 on the logarithmic axis: below the rounding of 1, so that nothing lies there."""


def profile_curves(performances: Sequence[Performance], styles: Mapping[str, int]) -> str:
    """Draw performance profiles on a logarithmic axis."""
    series = [one for one in performances if one.problems]
    if not any(one.steps for one in series):
        return ""
    height = 300
    last = max((s.steps[-1][0] for s in series if s.steps), default=1.0)
    decades = min(_MOST_DECADES, max(1.0, math.log10(last) * 1.05))

    def x(ratio: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, math.log10(ratio) / decades)

    def y(share: float) -> float:
        return height - BOTTOM - (height - BOTTOM - TOP) * share

    parts = [grid_y(y, [0.0, 0.25, 0.5, 0.75, 1.0], [f"{25 * k} %" for k in range(5)])]
    parts += [
        tick_x(x(10.0**k), height, f"{10**k:,}×".replace(",", " ")) for k in range(int(decades) + 1)
    ]
    for item in series:
        points, share = [(x(1.0), y(0.0))], 0.0
        for ratio, reached in item.steps:
            points += [(x(ratio), y(share)), (x(ratio), y(reached))]
            share = reached
        points.append((WIDTH - RIGHT, y(share)))
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour(styles[item.profile])}" '
            f'stroke-width="2" stroke-dasharray="{dash(styles[item.profile])}">'
            f"<title>{escape(item.profile)}</title></polyline>"
        )
    parts.append(label_x(height, "time over the shortest time of any solver"))
    return drawing(
        height, parts, "Performance profiles: share of problems certified within a ratio"
    )


def accuracy(rows: Sequence[Row], styles: Mapping[str, int]) -> str:
    """Draw seconds against the stationarity residual, one mark per judged unit."""
    judged = [row for row in rows if row.solve is not None and row.stationarity is not None]
    if not judged:
        return ""
    height = 340
    seconds = [whole_seconds(row) for row in judged]
    low = math.floor(math.log10(min(seconds)))
    high = max(low + 1, math.ceil(math.log10(max(seconds))))

    def x(value: float) -> float:
        share = (math.log10(value) - low) / (high - low)
        return LEFT + (WIDTH - LEFT - RIGHT) * share

    def y(value: float) -> float:
        share = (math.log10(max(value, _SMALLEST)) + 17.0) / 17.0
        return height - BOTTOM - (height - BOTTOM - TOP) * min(1.0, share)

    exponents = [-16, -12, -8, -4, 0]
    parts = [grid_y(y, [10.0**k for k in exponents], [power(k) for k in exponents])]
    parts += [tick_x(x(10.0**k), height, power(k)) for k in range(low, high + 1)]
    for row, spent in zip(judged, seconds, strict=True):
        style = styles[row.profile]
        words = (
            f"{row.problem}, {row.profile}, {row.grade}: {row.verdict}, ε = {row.stationarity:.1e}"
        )
        parts.append(
            mark(x(spent), y(row.stationarity or 0.0), style, words, row.success, colour(style))
        )
    parts.append(label_x(height, "seconds to import, build, compile and solve"))
    return drawing(
        height, parts, "Time against accuracy: the stationarity residual ε of every answer"
    )


def success_and_honesty(entries: Sequence[Sequence[Summary]], styles: Mapping[str, int]) -> str:
    """Draw both figures of every profile: filled for success, hollow for honesty.

    Args:
        entries: of each line the summaries, one for the raw problems, one for the scaled ones.
        styles: a number for each profile.
    """
    if not entries:
        return ""
    left, step = 200, 26
    height = TOP + step * len(entries) + BOTTOM

    def x(share: float) -> float:
        return left + (WIDTH - left - RIGHT - 8) * share

    parts = []
    for k in range(5):
        parts.append(
            f'<line x1="{x(k / 4):.1f}" y1="{TOP}" x2="{x(k / 4):.1f}" y2="{height - BOTTOM}" '
            f"{GRID}/>"
        )
        parts.append(tick_x(x(k / 4), height, f"{25 * k} %"))
    for i, summaries in enumerate(entries):
        middle = TOP + step * (i + 0.5)
        name = escape(f"{summaries[0].profile} · {summaries[0].grade}")
        parts.append(f'<text x="{left - 14}" y="{middle + 4:.1f}" text-anchor="end">{name}</text>')
        for s in summaries:
            y = middle + (0 if len(summaries) == 1 else _APART if s.scaled else -_APART)
            parts.append(_two_figures(s, x, y, f"{name}, {unit(s.scaled)}", styles[s.profile]))
    return drawing(height, parts, "Success (filled) and honesty (hollow) of every solver")


def _two_figures(s: Summary, x: Callable[[float], float], y: float, name: str, style: int) -> str:
    ink, success, honesty = colour(style), s.success or 0.0, s.honesty
    told = f"<title>{name}: success {s.certified} of {s.entered}</title>"
    if s.scaled:
        at = f'x="{x(success) - 3.5:.1f}" y="{y - 3.5}" width="7" height="7"'
        drawn = f'<rect {at} fill="{ink}">{told}</rect>'
    else:
        drawn = f'<circle cx="{x(success):.1f}" cy="{y}" r="4" fill="{ink}">{told}</circle>'
    if honesty is None:
        return drawn
    told = f"<title>{name}: honesty {s.kept} of {s.claims}</title>"
    if s.scaled:
        at = f'x="{x(honesty) - 6:.1f}" y="{y - 6}" width="12" height="12"'
        ring = f'<rect {at} fill="none" stroke="{ink}" stroke-width="1.5">{told}</rect>'
    else:
        at = f'cx="{x(honesty):.1f}" cy="{y}" r="6.5"'
        ring = f'<circle {at} fill="none" stroke="{ink}" stroke-width="1.5">{told}</circle>'
    line = f'<line x1="{x(success):.1f}" y1="{y}" x2="{x(honesty):.1f}" y2="{y}" stroke="{ink}"'
    return f'{line} stroke-width="1.5" opacity="0.5"/>{ring}{drawn}'


def unit(scaled: bool) -> str:
    """Return what the numbers that a solver saw are called."""
    return "scaled" if scaled else "raw"


def legend_mark(style: int) -> str:
    """Return a small drawing of a profile's colour, dash and shape."""
    line = (
        f'<line x1="0" y1="7" x2="34" y2="7" stroke="{colour(style)}" stroke-width="2" '
        f'stroke-dasharray="{dash(style)}"/>'
    )
    return (
        f'<svg class="key" viewBox="0 0 34 14" width="34" height="14" aria-hidden="true">{line}'
        f"{mark(17, 7, style, '', True, colour(style))}</svg>"
    )
