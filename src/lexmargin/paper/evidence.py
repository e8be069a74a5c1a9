"""What certificates say together about a figure that several answers stand behind."""

from __future__ import annotations

import math
from collections.abc import Iterable

from lexmargin.judge import Certificate

__all__ = ["certified", "residual"]


def certified(certificates: Iterable[Certificate | None]) -> bool:
    """Tell whether there is at least one certificate and every one of them is positive."""
    found = list(certificates)
    return bool(found) and all(c is not None and c.certified for c in found)


def residual(certificates: Iterable[Certificate | None]) -> float:
    """Return the largest of ε, the angle of Remark 2 and the infeasibility; NaN without any."""
    values = [
        value
        for c in certificates
        if c is not None
        for value in (c.stationarity, c.feasibility, math.nan if c.angle is None else c.angle)
        if math.isfinite(value)
    ]
    return max(values, default=math.nan)
