"""The words a certificate may end in, ordered from worst to best."""

from __future__ import annotations

from enum import StrEnum
from typing import final

__all__ = ["Verdict"]


@final
class Verdict(StrEnum):
    """What was measured about a direction; the value is the word in JSON.

    The order of the members is the order of the verdicts, from worst to best.
    """

    NOT_SEPARATING = "NOT_SEPARATING"
    """Some margin is zero or negative."""
    NOT_STATIONARY = "NOT_STATIONARY"
    """A direction raises the margin to first order: ε is bounded away from 0."""
    FRITZ_JOHN = "FRITZ_JOHN"
    """Only a multiplier that ignores the objective exists."""
    UNDECIDED = "UNDECIDED"
    """Neither a certificate nor a refutation at the accuracy of the arithmetic."""
    CLARKE_KKT = "CLARKE_KKT"
    """Stationary with one element of the generalised gradient for each support sample."""
    KKT = "KKT"
    """Stationary: ε and δ are within tolerance."""
    SADDLE = "SADDLE"
    """A KKT point that a curve leaves upwards, at every length that can be seen: no maximum."""
    STRICT_LOCAL = "STRICT_LOCAL"
    """A KKT point with a strict local maximiser within the stated radius, shown by its Hessian."""
    GLOBAL = "GLOBAL"
    """A KKT point whose margin meets an upper bound on all margins."""

    @property
    def rank(self) -> int:
        """Position in the order from worst (0) to best."""
        return tuple(Verdict).index(self)

    def at_least(self, other: Verdict) -> bool:
        """Tell whether this verdict is no worse than ``other``."""
        return self.rank >= other.rank

    @property
    def certified(self) -> bool:
        """A positive verdict that nothing measured speaks against (a saddle is not one)."""
        return self.stationary and self is not Verdict.SADDLE

    @property
    def stationary(self) -> bool:
        """Stationarity is certified; a saddle is stationary too."""
        return self.rank >= Verdict.CLARKE_KKT.rank
