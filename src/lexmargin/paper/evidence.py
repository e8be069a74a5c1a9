"""What certificates say together about a figure that several answers stand behind."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self, final

from lexmargin.judge import Certificate
from lexmargin.paper.statement import Check, Reading, Relation
from lexmargin.paths import TracedPath

__all__ = ["EXACT", "Backing", "certified", "residual"]


@final
@dataclass(frozen=True)
class Backing:
    """What stands behind a figure: the largest residual found, and whether all is certified."""

    residual: float
    certified: bool

    @classmethod
    def of(cls, certificates: Iterable[Certificate]) -> Self:
        """Return what certificates say together."""
        found = list(certificates)
        return cls(residual(found), certified(found))

    @classmethod
    def along(cls, path: TracedPath) -> Self:
        """Return what the points of a path say together."""
        return cls(max(point.mismatch for point in path.points), path.certified)

    def check(
        self,
        instance: str,
        quantity: str,
        measured: float,
        relation: Relation,
        predicted: float,
        tolerance: float,
        reading: Reading = Reading.PAPER,
    ) -> Check:
        """Return the figure beside its prediction, as :class:`Check` has them."""
        return Check(
            instance, quantity, measured, relation, predicted, tolerance,
            self.residual, self.certified, reading,
        )  # fmt: skip

    def small(
        self,
        instance: str,
        quantity: str,
        measured: float,
        tolerance: float,
        reading: Reading = Reading.PAPER,
    ) -> Check:
        """Return the check of a figure that is predicted to be 0, or near it."""
        return self.check(instance, quantity, measured, Relation.AT_MOST, 0.0, tolerance, reading)


EXACT: Final = Backing(0.0, True)
"""Behind a figure that nobody solved for."""


def certified(certificates: Iterable[Certificate]) -> bool:
    """Tell whether there is at least one certificate and every one of them is positive."""
    found = list(certificates)
    return bool(found) and all(c.certified for c in found)


def residual(certificates: Iterable[Certificate]) -> float:
    """Return the largest of ε, the angle of Remark 2 and the infeasibility; NaN without any."""
    values = [
        value
        for c in certificates
        for value in (c.stationarity, c.feasibility, math.nan if c.angle is None else c.angle)
        if math.isfinite(value)
    ]
    return max(values, default=math.nan)
