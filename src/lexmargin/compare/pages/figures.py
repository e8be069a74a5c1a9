"""Figures of a comparison as inline SVG: numbers in, text out, no script and no style sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final, final

from lexmargin.outputs.svg import (
    BOTTOM,
    GRID,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    colour,
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

__all__ = [
    "Series",
    "accuracy",
    "dolan_more",
    "legend_mark",
    "profile_curves",
    "success_and_honesty",
]

_MOST_DECADES: Final = 15
"""From the shortest time that counts, a microsecond, to 30 years: a file may say anything."""
_SMALLEST: Final = 1e-17
"""Stands for 0 on the logarithmic axis: below the rounding of 1, so that nothing lies there."""


@final
@dataclass(frozen=True)
class Series:
    """A line of a performance profile: steps (ratio, share), by profile."""

    name: str
    steps: tuple[tuple[float, float], ...]


def dolan_more(rows: Sequence[Row]) -> list[Series]:
    """Return ``ρ_s(τ) = |{p : t_{p,s} <= τ min_s t_{p,s}}| / |P|`` for the solvers of some rows.

    ``t`` is build and solve time, infinite unless certified; P are the (problem, seed) that some
    solver certified. With more than two solvers the lines do not rank them: leave the best out,
    and the order of the others may change (Gould & Scott 2016).

    Source: Dolan & Moré (2002), eq. 1-2.
    """
    times: dict[tuple[str, int], dict[str, float]] = {}
    for row in rows:
        if row.success and row.solve is not None:
            seconds = max(row.solve + (row.build or 0.0), 1e-6)
            times.setdefault((row.problem, row.seed), {})[row.profile] = seconds
    names = list(dict.fromkeys(row.profile for row in rows if row.entered))
    if not times:
        return []
    series = []
    for name in names:
        ratios = sorted(
            found[name] / min(found.values()) for found in times.values() if name in found
        )
        steps = tuple((ratio, (i + 1) / len(times)) for i, ratio in enumerate(ratios))
        series.append(Series(name, steps))
    return series


def profile_curves(series: Sequence[Series], styles: Mapping[str, int]) -> str:
    """Draw performance profiles on a logarithmic axis."""
    if not series:
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
            f'<polyline points="{path}" fill="none" stroke="{colour(styles[item.name])}" '
            f'stroke-width="2" stroke-dasharray="{dash(styles[item.name])}">'
            f"<title>{escape(item.name)}</title></polyline>"
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
    seconds = [max((row.solve or 0.0) + (row.build or 0.0), 1e-6) for row in judged]
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
        words = (
            f"{row.problem}, {row.profile}, {row.grade}: {row.verdict}, ε = {row.stationarity:.1e}"
        )
        parts.append(
            mark(x(spent), y(row.stationarity or 0.0), styles[row.profile], words, row.success)
        )
    parts.append(label_x(height, "seconds to build and solve"))
    return drawing(
        height, parts, "Time against accuracy: the stationarity residual ε of every answer"
    )


def success_and_honesty(summaries: Sequence[Summary], styles: Mapping[str, int]) -> str:
    """Draw both figures of every profile: a disc for success, a ring for honesty."""
    shown = [s for s in summaries if s.entered]
    if not shown:
        return ""
    left, step = 200, 26
    height = TOP + step * len(shown) + BOTTOM

    def x(share: float) -> float:
        return left + (WIDTH - left - RIGHT - 8) * share

    parts = []
    for k in range(5):
        parts.append(
            f'<line x1="{x(k / 4):.1f}" y1="{TOP}" x2="{x(k / 4):.1f}" y2="{height - BOTTOM}" '
            f"{GRID}/>"
        )
        parts.append(tick_x(x(k / 4), height, f"{25 * k} %"))
    for i, s in enumerate(shown):
        y = TOP + step * (i + 0.5)
        paint = colour(styles[s.profile])
        name = escape(f"{s.profile} · {s.grade}")
        parts.append(f'<text x="{left - 14}" y="{y + 4:.1f}" text-anchor="end">{name}</text>')
        success, honesty = s.success or 0.0, s.honesty
        if honesty is not None:
            parts.append(
                f'<line x1="{x(success):.1f}" y1="{y}" x2="{x(honesty):.1f}" y2="{y}" '
                f'stroke="{paint}" stroke-width="2" opacity="0.5"/>'
                f'<circle cx="{x(honesty):.1f}" cy="{y}" r="8" fill="none" stroke="{paint}" '
                f'stroke-width="2"><title>{name}: honesty {s.kept} of {s.claims}</title></circle>'
            )
        parts.append(
            f'<circle cx="{x(success):.1f}" cy="{y}" r="4.5" fill="{paint}">'
            f"<title>{name}: success {s.certified} of {s.entered}</title></circle>"
        )
    parts.append(label_x(height, "● success: certified   ○ honesty: true claims"))
    return drawing(height, parts, "Success and honesty of every solver at every grade")


def legend_mark(style: int) -> str:
    """Return a small drawing of a profile's colour, dash and shape."""
    line = (
        f'<line x1="0" y1="7" x2="34" y2="7" stroke="{colour(style)}" stroke-width="2" '
        f'stroke-dasharray="{dash(style)}"/>'
    )
    return (
        f'<svg class="key" viewBox="0 0 34 14" width="34" height="14" aria-hidden="true">{line}'
        f"{mark(17, 7, style, '', True)}</svg>"
    )
