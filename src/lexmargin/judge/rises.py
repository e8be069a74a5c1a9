"""Curves that leave a point, and the gains that were evaluated along one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.linalg.norms import Array

__all__ = ["Ascent", "Rise"]


@final
@dataclass(frozen=True, eq=False)
class Ascent:
    """The curve `u(s) = θ + s d + c(s)`, c the shortest step that brings f_held back to its value.

    direction
        d (d,), of length 1 in the coordinates of the vicinity.
    held
        the margin functions that the correction holds.
    order
        2 along a tangent, where the gain is of second order; 1 where a kink is left.
    """

    direction: Array
    held: Indices
    order: int


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Rise:
    """Gains that were evaluated along an ascent.

    rate
        κ of the gain κ s^order of ½‖u‖², at the shortest length that shows it.
    shortest, longest
        the lengths between which every gain follows the rate.
    before, after, step
        ``worth`` at the point, the best one met along the curve, and at which length.
    """

    ascent: Ascent
    rate: float
    shortest: float
    longest: float
    before: float
    after: float
    step: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "order": self.ascent.order,
            "rate": self.rate,
            "shortest": self.shortest,
            "longest": self.longest,
        }
