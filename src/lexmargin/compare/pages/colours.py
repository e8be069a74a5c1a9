"""One colour a solver, told apart and legible on light and on dark paper."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["colour", "palette", "style_sheet"]

_LIGHT: Final = (0.45, 0.58, 0.52)
_DARK: Final = (0.70, 0.82, 0.76)
"""Lightness in OKLab, in turn: neighbours on the wheel differ in it too, and every one has a
contrast of 3 and more with its paper, which the test measures."""
_CHROMA: Final = 0.15
"""As colourful as most hues of sRGB can be at these lightnesses; the others are as they can."""


def palette(count: int, dark: bool = False) -> tuple[str, ...]:
    """Return so many colours as ``#rrggbb``, evenly spread over the hues of OKLab (Ottosson)."""
    levels = _DARK if dark else _LIGHT
    # The wheel is gone around three times, so that names beside each other are far apart in hue.
    steps = 3 if count > 3 and count % 3 else 1
    return tuple(
        _rgb(levels[k % len(levels)], 2.0 * math.pi * ((k * steps) % count) / max(count, 1))
        for k in range(count)
    )


def colour(style: int) -> str:
    """Return the colour of a solver as the page names it."""
    return f"var(--s{style})"


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
        if all(-1e-9 <= c <= 1.0 for c in channels):
            break
    return "#" + "".join(f"{round(255 * _gamma(max(c, 0.0))):02x}" for c in channels)


def _linear(lightness: float, a: float, b: float) -> tuple[float, float, float]:
    """Return linear sRGB of a colour in OKLab (B. Ottosson, 2020)."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )


def _gamma(channel: float) -> float:
    if channel <= 0.0031308:
        return 12.92 * channel
    return float(1.055 * channel ** (1.0 / 2.4) - 0.055)
