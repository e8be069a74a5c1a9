"""Figures as inline SVG: numbers in, text out; no script, no style sheet, nothing to be fetched.

Words and axes have the colour of the text around them, light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "BOTTOM", "GRID", "LEFT", "RIGHT", "TOP", "WIDTH", "colour", "curve", "dash", "drawing",
    "grid_y", "label_x", "mark", "power", "sorted_margins", "tick_x",
]  # fmt: skip

WIDTH: Final = 640
"""Of every figure in units of the page: what the text column of the report holds."""
LEFT, RIGHT, TOP, BOTTOM = 72, 28, 12, 46
"""Room around the axes for their numbers and labels; less cuts them off."""
_COLOURS: Final = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#8a6d00",
    "#56b4e9",
    "#7a3e9d",
    "#b30000",
)
"""Wong's palette and two more; colour never carries the meaning alone."""
_DASHES: Final = ("", "6 3", "2 3", "8 3 2 3")
GRID: Final = 'stroke="currentColor" stroke-opacity="0.2"'
"""Of the lines behind a figure: seen on light and dark, and weaker than what stands on them."""


def mark(x: float, y: float, style: int, words: str, filled: bool, ink: str = "") -> str:
    """Draw one mark, in an ink of its own where one is given; ``words`` show under the pointer."""
    paint_of = ink or colour(style)
    shape = (style // len(_COLOURS) + style) % 4
    paint = (
        f'fill="{paint_of}"' if filled else f'fill="none" stroke="{paint_of}" stroke-width="1.5"'
    )
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


def colour(style: int) -> str:
    return _COLOURS[style % len(_COLOURS)]


def dash(style: int) -> str:
    return _DASHES[(style // len(_COLOURS) + style) % len(_DASHES)]


def power(exponent: int) -> str:
    digits = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{digits}"


def grid_y(y: Callable[[float], float], values: Sequence[float], words: Sequence[str]) -> str:
    lines = []
    for value, word in zip(values, words, strict=True):
        at = y(value)
        lines.append(
            f'<line x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}" {GRID}/>'
            f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{word}</text>'
        )
    return "".join(lines)


def tick_x(x: float, height: float, word: str) -> str:
    return f'<text x="{x:.1f}" y="{height - BOTTOM + 18:.1f}" text-anchor="middle">{word}</text>'


def label_x(height: float, word: str) -> str:
    middle = (LEFT + WIDTH - RIGHT) / 2
    return f'<text x="{middle:.1f}" y="{height - 6:.1f}" text-anchor="middle">{escape(word)}</text>'


def drawing(height: float, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12" '
        f'fill="currentColor"><title>{escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )


_HEIGHT: Final = 240
"""Of a figure beside a table: half as high as wide, so that both are seen together."""
_MARKS: Final = 400
"""Points drawn of a sorted row at most: more lie on each other, and make a page of megabytes."""
_SPAN: Final = 20.0
"""Ratio of numbers from which an axis is logarithmic: below, a linear one is easier to read."""
_ROOM: Final = 0.08
"""Part of an axis left free at its ends, so that no mark lies on the frame."""


def sorted_margins(margins: npt.NDArray[np.float64], support: npt.NDArray[np.bool_]) -> str:
    """Draw the sorted margins f_n, those of the support marked; "" where there are none.

    Args:
        margins: (N,) finite.
        support: (N,) which of them the word rests on.
    """
    if not (margins.size and np.all(np.isfinite(margins))):
        return ""
    order = np.argsort(margins, kind="stable")
    values, held = margins[order], support[order]
    y, grid = _axis_y(values)

    def x(rank: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (rank + 0.5) / values.size

    parts = [grid]
    for kind, style, chosen in (("other", 0, ~held), ("support", 1, held)):
        ranks = np.flatnonzero(chosen)
        shown = ranks[np.linspace(0, ranks.size - 1, min(ranks.size, _MARKS)).astype(np.intp)]
        words = [f"{kind} {order[rank]}: {values[rank]:.6g}" for rank in shown]
        parts += [
            mark(x(rank), y(values[rank]), style, said, style == 1)
            for rank, said in zip(shown, words, strict=True)
        ]
    count = int(held.sum())
    parts.append(label_x(_HEIGHT, f"margins, sorted: ■ support ({count}), ○ others"))
    return drawing(_HEIGHT, parts, f"{values.size} sorted margins, {count} in the support")


def curve(at: Sequence[float], values: Sequence[float], filled: Sequence[bool], word: str) -> str:
    """Draw numbers against a parameter on a logarithmic axis; "" where nothing is finite.

    Args:
        at: positive, (R,).
        values: (R,); those that are not finite are left out.
        filled: which marks are full.
        word: below the figure.
    """
    known = [k for k, value in enumerate(values) if math.isfinite(value)]
    if not known:
        return ""
    y, grid = _axis_y(np.array([values[k] for k in known]))
    low, high = math.log10(min(at[k] for k in known)), math.log10(max(at[k] for k in known))
    room = _ROOM * (high - low) or 0.5

    def x(value: float) -> float:
        share = (math.log10(value) - low + room) / (high - low + 2.0 * room)
        return LEFT + (WIDTH - LEFT - RIGHT) * share

    line = " ".join(f"{x(at[k]):.1f},{y(values[k]):.1f}" for k in sorted(known, key=at.__getitem__))
    parts = [grid, f'<polyline points="{line}" fill="none" stroke="{colour(0)}" stroke-width="2"/>']
    first, last = math.ceil(low - room), math.floor(high + room)
    step = max(1, (last - first) // 8)
    parts += [tick_x(x(10**k), _HEIGHT, power(k)) for k in range(first, last + 1, step)]
    shown = known[:: 1 + len(known) // _MARKS]
    parts += [
        mark(x(at[k]), y(values[k]), 0, f"{at[k]:.6g}: {values[k]:.6g}", filled[k]) for k in shown
    ]
    parts.append(label_x(_HEIGHT, word))
    return drawing(_HEIGHT, parts, word)


def _axis_y(values: npt.NDArray[np.float64]) -> tuple[Callable[[float], float], str]:
    """Return where a number stands, and the lines of four of them."""
    low, high = float(values.min()), float(values.max())
    logarithmic = low > 0.0 and high > _SPAN * low

    def scaled(value: float) -> float:
        # Half of each, where the whole would leave the range of doubles.
        return math.log10(value) if logarithmic else 0.5 * value

    bottom, top = scaled(low if logarithmic else min(low, 0.0)), scaled(high)
    if not logarithmic:
        top = max(top, 0.0)
    room = _ROOM * (top - bottom) or 1.0
    bottom, top = bottom - room, top + room

    def y(value: float) -> float:
        share = (scaled(value) - bottom) / (top - bottom)
        return _HEIGHT - BOTTOM - (_HEIGHT - BOTTOM - TOP) * share

    lines = np.linspace(bottom + room, top - room, 4)
    at = [10**line if logarithmic else 2.0 * line for line in map(float, lines)]
    return y, grid_y(y, at, [f"{value:.3g}" for value in at])
