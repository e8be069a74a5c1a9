"""Figures of a comparison as inline SVG: numbers in, text out, no script and no style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

from lexmargin.compare.pages.colours import colour
from lexmargin.compare.pages.table import Row, Summary
from lexmargin.compare.performance import Performance, whole_seconds

__all__ = ["accuracy", "legend_mark", "profile_curves", "success_and_honesty", "unit"]

_WIDTH: Final = 640
"""Of every figure in units of the page: what the text column of the report holds."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 28, 12, 46
"""Room around the axes for their numbers and labels; less cuts them off."""
_APART: Final = 6
"""Between the middle of a line and its raw and scaled figures: two rings of one line touch."""
_DASHES: Final = ("", "6 3", "2 3", "8 3 2 3")
_SMALLEST: Final = 1e-17
"""Stands for 0 on the logarithmic axis: below the rounding of 1, so that nothing lies there."""


def profile_curves(performances: Sequence[Performance], styles: Mapping[str, int]) -> str:
    """Draw performance profiles on a logarithmic axis."""
    series = [one for one in performances if one.problems]
    if not any(one.steps for one in series):
        return ""
    height = 300
    last = max((s.steps[-1][0] for s in series if s.steps), default=1.0)
    decades = max(1.0, math.log10(last) * 1.05)

    def x(ratio: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(1.0, math.log10(ratio) / decades)

    def y(share: float) -> float:
        return height - _BOTTOM - (height - _BOTTOM - _TOP) * share

    parts = [_grid_y(y, [0.0, 0.25, 0.5, 0.75, 1.0], [f"{25 * k} %" for k in range(5)])]
    parts += [
        _tick_x(x(10.0**k), height, f"{10**k:,}×".replace(",", " "))
        for k in range(int(decades) + 1)
    ]
    for item in series:
        points, share = [(x(1.0), y(0.0))], 0.0
        for ratio, reached in item.steps:
            points += [(x(ratio), y(share)), (x(ratio), y(reached))]
            share = reached
        points.append((_WIDTH - _RIGHT, y(share)))
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour(styles[item.profile])}" '
            f'stroke-width="2" stroke-dasharray="{_dash(styles[item.profile])}">'
            f"<title>{escape(item.profile)}</title></polyline>"
        )
    parts.append(_label_x(height, "time over the shortest time of any solver"))
    return _svg(height, parts, "Performance profiles: share of problems certified within a ratio")


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
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * share

    def y(value: float) -> float:
        share = (math.log10(max(value, _SMALLEST)) + 17.0) / 17.0
        return height - _BOTTOM - (height - _BOTTOM - _TOP) * min(1.0, share)

    exponents = [-16, -12, -8, -4, 0]
    parts = [_grid_y(y, [10.0**k for k in exponents], [_power(k) for k in exponents])]
    parts += [_tick_x(x(10.0**k), height, _power(k)) for k in range(low, high + 1)]
    for row, spent in zip(judged, seconds, strict=True):
        words = (
            f"{row.problem}, {row.profile}, {row.grade}: {row.verdict}, ε = {row.stationarity:.1e}"
        )
        parts.append(
            _mark(x(spent), y(row.stationarity or 0.0), styles[row.profile], words, row.success)
        )
    parts.append(_label_x(height, "seconds to import, build, compile and solve"))
    return _svg(height, parts, "Time against accuracy: the stationarity residual ε of every answer")


def success_and_honesty(entries: Sequence[Sequence[Summary]], styles: Mapping[str, int]) -> str:
    """Draw both figures of every profile: filled for success, hollow for honesty.

    Args:
        entries: of each line the summaries, one for the raw problems, one for the scaled ones.
        styles: a number for each profile.
    """
    if not entries:
        return ""
    left, step = 200, 26
    height = _TOP + step * len(entries) + _BOTTOM

    def x(share: float) -> float:
        return left + (_WIDTH - left - _RIGHT - 8) * share

    parts = []
    for k in range(5):
        parts.append(
            f'<line x1="{x(k / 4):.1f}" y1="{_TOP}" x2="{x(k / 4):.1f}" y2="{height - _BOTTOM}" '
            f'class="grid"/>'
        )
        parts.append(_tick_x(x(k / 4), height, f"{25 * k} %"))
    for i, summaries in enumerate(entries):
        middle = _TOP + step * (i + 0.5)
        name = escape(f"{summaries[0].profile} · {summaries[0].grade}")
        parts.append(f'<text x="{left - 14}" y="{middle + 4:.1f}" text-anchor="end">{name}</text>')
        for s in summaries:
            y = middle + (0 if len(summaries) == 1 else _APART if s.scaled else -_APART)
            parts.append(_two_figures(s, x, y, f"{name}, {unit(s.scaled)}", styles[s.profile]))
    return _svg(height, parts, "Success (filled) and honesty (hollow) of every solver")


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
        f'stroke-dasharray="{_dash(style)}"/>'
    )
    return (
        f'<svg class="key" viewBox="0 0 34 14" width="34" height="14" aria-hidden="true">{line}'
        f"{_mark(17, 7, style, '', True)}</svg>"
    )


def _mark(x: float, y: float, style: int, words: str, filled: bool) -> str:
    ink = colour(style)
    shape = style % 4
    paint = f'fill="{ink}"' if filled else f'fill="none" stroke="{ink}" stroke-width="1.5"'
    title = f"<title>{escape(words)}</title>" if words else ""
    if shape == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" {paint}>{title}</circle>'
    corners = {
        1: ((-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)),
        2: ((0, -4.5), (4.5, 3.5), (-4.5, 3.5)),
        3: ((0, -5), (5, 0), (0, 5), (-5, 0)),
    }[shape]
    points = " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners)
    return f'<polygon points="{points}" {paint}>{title}</polygon>'


def _dash(style: int) -> str:
    return _DASHES[style % len(_DASHES)]


def _power(exponent: int) -> str:
    digits = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{digits}"


def _grid_y(y: Callable[[float], float], values: Sequence[float], words: Sequence[str]) -> str:
    lines = []
    for value, word in zip(values, words, strict=True):
        at = y(value)
        lines.append(
            f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{_WIDTH - _RIGHT}" y2="{at:.1f}" class="grid"/>'
            f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{word}</text>'
        )
    return "".join(lines)


def _tick_x(x: float, height: float, word: str) -> str:
    return f'<text x="{x:.1f}" y="{height - _BOTTOM + 18:.1f}" text-anchor="middle">{word}</text>'


def _label_x(height: float, word: str) -> str:
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return f'<text x="{middle:.1f}" y="{height - 6:.1f}" text-anchor="middle">{escape(word)}</text>'


def _svg(height: float, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
