"""One colour a solver, told apart and legible on light and on dark paper."""

from __future__ import annotations

import math
from typing import Final

from lexmargin.outputs import svg

__all__ = ["colour", "palette", "style_sheet"]

_LEVELS: Final = {False: (0.45, 0.58, 0.52), True: (0.70, 0.82, 0.76)}
"""Lightness in OKLab on light and on dark paper, in turn: neighbours on the wheel differ in it
too, and every one has a contrast of 3 and more with its paper, which the test measures."""
# From OKLab to the cube roots of what cones see (Ottosson 2020).
_ROOTS: Final = (
    (0.3963377774, 0.2158037573),
    (-0.1055613458, -0.0638541728),
    (-0.0894841775, -1.2914855480),
)
_SRGB: Final = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)
"""From the cubes of those to linear sRGB."""
# The curve of sRGB, IEC 61966-2-1: linear below the first number, with the second as its slope.
_CURVE: Final = (0.0031308, 12.92, 1.055, 2.4)
_ROUNDING: Final = 1e-9
"""Of a channel beside 1: far below the 1/255 that a screen shows."""
_CHROMA: Final = 0.15
"""As colourful as most hues of sRGB can be at these lightnesses; the others are as they can."""


def palette(count: int, dark: bool = False) -> tuple[str, ...]:
    """Return so many colours as ``#rrggbb``, evenly spread over the hues of OKLab (Ottosson)."""
    levels = _LEVELS[dark]
    # The wheel is gone around three times, so that names beside each other are far apart in hue.
    steps = 3 if count > 3 and count % 3 else 1
    return tuple(
        _rgb(levels[k % len(levels)], 2.0 * math.pi * ((k * steps) % count) / max(count, 1))
        for k in range(count)
    )


def colour(style: int) -> str:
    """Return the colour of a solver as the page names it; a notebook, which is none, has eight."""
    return f"var(--s{style},{svg.colour(style)})"


def style_sheet(count: int) -> str:
    """Return the rules that give so many colours their values, light and dark."""
    light, dark = (
        "".join(f"--s{k}:{value};" for k, value in enumerate(palette(count, which)))
        for which in (False, True)
    )
    return f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"


def _rgb(lightness: float, hue: float) -> str:
    """Return the colour with the most chroma, up to the wanted one, that a screen can show."""
    for k in range(20, -1, -1):
        chroma = _CHROMA * k / 20
        channels = _linear(lightness, chroma * math.cos(hue), chroma * math.sin(hue))
        if all(-_ROUNDING <= c <= 1.0 for c in channels):
            break
    return "#" + "".join(f"{round(255 * _gamma(max(c, 0.0))):02x}" for c in channels)


def _linear(lightness: float, a: float, b: float) -> tuple[float, float, float]:
    """Return linear sRGB of a colour in OKLab."""
    roots = (lightness + of_a * a + of_b * b for of_a, of_b in _ROOTS)
    cones = tuple(root**3 for root in roots)
    long, middle, short = (sum(w * c for w, c in zip(row, cones, strict=True)) for row in _SRGB)
    return long, middle, short


def _gamma(channel: float) -> float:
    """Return a channel as a screen takes it (IEC 61966-2-1)."""
    below, slope, scale, power = _CURVE
    if channel <= below:
        return slope * channel
    return float(scale * channel ** (1.0 / power) - (scale - 1.0))
