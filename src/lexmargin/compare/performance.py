"""How fast: shifted geometric means of the times, and performance profiles, of every entrant.

The shifted geometric mean of times t_p over problems P is ``exp(1/|P| Σ log(t_p + s)) - s``: unlike
the mean it is not that of the slowest problem, and unlike the geometric one it does not hang on
times that are too short to matter (Achterberg 2007). A problem without a success counts with the
time limit. The performance profile is ``ρ(τ) = |{p : t_p <= τ min t_p}| / |P|`` (Dolan & Moré 2002,
eq. 1-2), t_p infinite without a success.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from lexmargin.compare.pages.table import Row

__all__ = ["SHIFT", "Performance", "performances", "shifted_mean", "whole_seconds"]

SHIFT: Final = 0.01
"""Seconds s: about what building a model takes; which of two shorter times is shorter is noise."""
_SHORTEST: Final = 1e-6
"""Seconds of a time that a clock shows as 0, so that ratios exist."""


@final
@dataclass(frozen=True)
class Performance:
    """One entrant at one grade and scaling, over the problems that some entrant succeeds at.

    Attributes:
        profile, grade, scaled: whose.
        problems: how many of these problems it entered.
        solving: shifted geometric mean of the seconds of the solver itself, over them.
        whole: the same with importing, building and compiling.
        steps: (τ, ρ) where its profile of ``whole`` rises, over all problems that anyone solved.
    """

    profile: str
    grade: str
    scaled: bool
    problems: int
    solving: float | None
    whole: float | None
    steps: tuple[tuple[float, float], ...]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values under the names of the attributes."""
        return {**vars(self), "steps": [list(step) for step in self.steps]}


def performances(rows: Sequence[Row]) -> tuple[Performance, ...]:
    """Return the performance of every entrant, compared within its grade."""
    found = []
    for grade in dict.fromkeys(row.grade for row in rows):
        found += _of_grade(grade, [row for row in rows if row.grade == grade])
    return tuple(found)


def _of_grade(grade: str, rows: Sequence[Row]) -> list[Performance]:
    solved = {(row.problem, row.seed) for row in rows if row.success and row.solve is not None}
    best: dict[tuple[str, int], float] = {}
    for row in rows:
        if row.success and (row.problem, row.seed) in solved:
            key = (row.problem, row.seed)
            best[key] = min(best.get(key, math.inf), whole_seconds(row))
    found = []
    for profile, scaled in dict.fromkeys((row.profile, row.scaled) for row in rows):
        own = [row for row in rows if (row.profile, row.scaled) == (profile, scaled)]
        entered = [r for r in own if r.entered and (r.problem, r.seed) in solved]
        ratios = sorted(whole_seconds(r) / best[r.problem, r.seed] for r in entered if r.success)
        steps = tuple((ratio, (k + 1) / len(solved)) for k, ratio in enumerate(ratios))
        solving, whole = _mean(entered, solver_seconds), _mean(entered, whole_seconds)
        found.append(Performance(profile, grade, scaled, len(entered), solving, whole, steps))
    return found


def _mean(rows: Sequence[Row], seconds: Callable[[Row], float]) -> float | None:
    if not rows:
        return None
    return shifted_mean([seconds(r) if r.success else r.limit for r in rows])


def shifted_mean(seconds: Sequence[float], shift: float = SHIFT) -> float:
    """Return ``exp(1/|P| Σ log(t_p + s)) - s``."""
    return math.exp(sum(math.log(t + shift) for t in seconds) / len(seconds)) - shift


def solver_seconds(row: Row) -> float:
    """Return the seconds of the solver itself."""
    return max(row.solve or 0.0, _SHORTEST)


def whole_seconds(row: Row) -> float:
    """Return the seconds from a problem to an answer, importing and compiling included."""
    parts = (row.load, row.build, row.compile, row.solve)
    return max(sum(part or 0.0 for part in parts), _SHORTEST)
