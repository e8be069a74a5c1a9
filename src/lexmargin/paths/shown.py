"""What was shown of a point of a path: that it is the answer, or only that it is stationary."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import final

from lexmargin.judge import Verdict

__all__ = ["Shown"]


@final
class Shown(StrEnum):
    """What was shown of a point, from the least to the most."""

    NOTHING = "nothing"
    """Not even that it is stationary."""
    STATIONARY = "stationary"
    """No first-order change helps; on a nonconvex path another point may be better."""
    LOCAL = "local"
    """Second order proves a strict local optimum; another branch may be better."""
    GLOBAL = "global"
    """A bound proves that no point is better."""

    @classmethod
    def of(cls, verdict: Verdict) -> Shown:
        """Return what a verdict shows."""
        if verdict is Verdict.GLOBAL:
            return cls.GLOBAL
        if verdict is Verdict.STRICT_LOCAL:
            return cls.LOCAL
        return cls.STATIONARY if verdict.certified else cls.NOTHING

    @classmethod
    def least(cls, found: Iterable[Shown]) -> Shown:
        """Return what holds of all points: the least of them; nothing where there is none."""
        ranks = tuple(cls)
        return min(found, key=ranks.index, default=cls.NOTHING)
