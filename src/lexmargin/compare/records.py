"""The words of a comparison."""

from __future__ import annotations

from enum import StrEnum
from typing import final

__all__ = ["Honesty", "RowStatus"]


@final
class RowStatus(StrEnum):
    """What happened to a unit: :class:`~lexmargin.solution.Ran`, and one more word."""

    FINISHED = "FINISHED"
    ITERATION_LIMIT = "ITERATION_LIMIT"
    TIME_LIMIT = "TIME_LIMIT"
    NUMERICAL = "NUMERICAL"
    CRASHED = "CRASHED"
    MISSING = "MISSING"
    NOT_HANDLED = "NOT_HANDLED"
    """The program is outside the class that the solver or its modelling system accepts."""

    @property
    def entered(self) -> bool:
        """The solver was there and accepted the program: the unit counts."""
        return self not in (RowStatus.MISSING, RowStatus.NOT_HANDLED)


@final
class Honesty(StrEnum):
    """The solver's claim against our verdict."""

    TRUE = "true"
    """It claims what the certificate finds."""
    FALSE = "false"
    """It claims what the certificate, or another certified point, refutes."""
    NOT_MEANT = "not meant"
    """What it claims holds by its own measure, and is refuted without a scale: the residuals are
    within its tolerances, which say nothing at the size of these numbers."""
    COARSE = "coarse"
    """It claims an optimum near one, less accurate than what is verified and nobody has asked of
    it: true by its own measure, or its measure is not known here."""
    OPEN = "open"
    """It claims what nobody could prove or refute."""
    SILENT = "silent"
    """It claims nothing."""
