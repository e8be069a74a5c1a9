"""A path on a grid of ρ: its points, what they show together, and the way back from a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, final

import numpy as np

from lexmargin.errors import LibraryError, ParameterError, UnsupportedError
from lexmargin.formulations import Formulation
from lexmargin.formulations.regularization_path import LEAST_STRENGTH, Jump
from lexmargin.formulations.regularization_path import jumps as find_jumps
from lexmargin.inputs.arrays import finite
from lexmargin.inputs.checks import moderate
from lexmargin.inputs.codec import Table, fields_written
from lexmargin.inputs.kinds import checked
from lexmargin.inputs.stored import Stored, columns, from_file, record
from lexmargin.ops.base import FloatArray
from lexmargin.outputs.display import frame, html_table
from lexmargin.outputs.svg import curve
from lexmargin.paths.grid import AdaptiveGrid
from lexmargin.paths.point import PathPoint, judged_point
from lexmargin.paths.shown import Shown
from lexmargin.shelf.build import stated
from lexmargin.shelf.library import Library
from lexmargin.shelf.library import grade as named_grade

__all__ = ["PathEnd", "TracedPath", "Values", "checked_grid", "traced_path"]

_MOST_DECADES: Final = 300.0
"""Margins are ρ^α times those of the unit ball; doubles end at 308 decades."""


if TYPE_CHECKING:
    Values: TypeAlias = Sequence[float] | FloatArray | AdaptiveGrid
else:
    # An array is held to what a list is.
    Values = Sequence[float] | AdaptiveGrid


class PathEnd(StrEnum):
    """Why a trace ended."""

    COMPLETE = "COMPLETE"
    """Every point was solved."""
    TIME_LIMIT = "TIME_LIMIT"
    """The time limit was reached."""
    FAILED = "FAILED"
    """The solver gave no point."""
    INTERRUPTED = "INTERRUPTED"
    """It was interrupted."""

    @property
    def sentence(self) -> str:
        """What became of the points."""
        return _ENDS[self]


_ENDS: Final = {
    PathEnd.COMPLETE: "every point was solved",
    PathEnd.TIME_LIMIT: "the time limit was reached; the remaining points are missing",
    PathEnd.FAILED: "the solver gave no point; the remaining points are missing",
    PathEnd.INTERRUPTED: "it was interrupted; the remaining points are missing",
}


@final
@dataclass(frozen=True, eq=False, repr=False)
class TracedPath(Stored):
    """A path on the grid that was solved, and what holds on this grid.

    ``assumption_1``: log L* strictly decreases in ρ (constrained path). ``assumption_2``: γ*(ρ)
    strictly increases. None where the path does not show it. ``margin_slack`` is log N of Lemma 3,
    or ``log(Σ w_n/min w_n)`` of samples with weights in the loss.
    """

    computed: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "shown": lambda path: path.shown,
        "jumps": lambda path: [{"above": j.above, "below": j.below} for j in path.jumps()],
        "points": lambda path: path._rows(),
    }
    problem: str
    points: tuple[PathPoint, ...] = field(metadata={"internal": True})
    missing: tuple[float, ...]
    end: PathEnd
    margin_slack: float
    assumption_1: bool | None
    assumption_2: bool | None
    seed: int
    solver: str

    @property
    def certified(self) -> bool:
        """True when nothing is missing and every point is stationary at least (``shown``)."""
        return not self.missing and all(point.certified for point in self.points)

    @property
    def shown(self) -> Shown:
        """What was shown of every point, the least of them; COMPLETE says that all are there."""
        return Shown.NOTHING if self.missing else Shown.least(point.shown for point in self.points)

    def slacks(self) -> FloatArray:
        """Return the slack of Lemma 3 at every point."""
        return np.array([point.slack(self.margin_slack) for point in self.points])

    def jumps(self) -> tuple[Jump, ...]:
        """Return the jumps of a regularization path; none for paths in ρ."""
        known = Formulation.family.classes.get(self.problem)
        if known is None or not known.traits.path_falls:
            return ()
        return find_jumps([(point.rho, point.theta) for point in self.points])

    def __repr__(self) -> str:
        return (
            f"<TracedPath of {self.problem}: {len(self.points)} points, {self.shown.value}, "
            f"by {self.solver}>"
        )

    def to_frame(self) -> Any:
        """Return the points as a ``pandas.DataFrame``, one row per value of the parameter."""
        return frame(self._columns())

    def _repr_html_(self) -> str:
        columns, points = self._columns(), self.points
        figure = curve(
            [point.rho for point in points],
            [point.margin for point in points],
            [point.certified for point in points],
            "margin γ against the path's parameter: ● certified, ○ not",
        )
        return html_table(zip(*columns.values(), strict=True), list(columns)) + figure

    def _columns(self) -> dict[str, list[Any]]:
        return {
            name: values
            for name, values in columns(self.points).items()
            if values[0] is None or isinstance(values[0], (int, float, str))
        }

    def _rows(self) -> list[dict[str, Any]]:
        landed = {jump.below for jump in self.jumps()}
        return [
            {
                **fields_written(point, exact=True),
                "lemma_3_slack": finite(point.slack(self.margin_slack)),
                "after_jump": point.rho in landed,
            }
            for point in self.points
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; a point is marked where a jump leads to it."""
        return fields_written(self, exact=True)

    @classmethod
    @checked
    def from_json(
        cls, stored: Any, problem: Formulation | str | Path, grade: str = "default"
    ) -> TracedPath:
        """Return the path that :meth:`to_json` has written, every point judged again.

        Of a point θ, γ*(ρ), the run and its seconds are taken from the file, where γ*(ρ) is no
        less than what the points show; all else is measured.

        Args:
            stored: plain JSON values.
            problem: whose path it is, or the name or the file of one; at whatever ρ.
            grade: whose tolerances count.

        Raises:
            LibraryError, UnknownNameError: no such values, or another problem's path.
            ShapeError, DataError, ParameterError: points that are none of this problem's.
        """
        shelves = Library()
        asked = stated(problem, shelves)
        table = Table(stored, record("the saved TracedPath"))
        table.claim_class(cls)
        table.check()
        values = table.values(cls)
        if values["problem"] != str(asked.name):
            raise LibraryError(
                f"The saved path is one of {values['problem']}, not of {asked.name}.",
                "Give the problem that was traced.",
            )
        rows = stored.get("points")
        if not isinstance(rows, list):
            raise LibraryError("The points of the saved path are no list.", "Write it again.")
        points = []
        for index, row in enumerate(rows):
            one = Table(row, table.where.at("points").item(index))
            one.claim_class(PathPoint)
            one.claim("lemma_3_slack", "after_jump")
            one.check()
            found = one.values(PathPoint)
            theta = asked.functions.point(found["theta"])
            (rho,) = checked_grid(asked, [found["rho"]])
            known = found["best_margin"]
            point = judged_point(asked.at(rho), rho, theta, named_grade(grade), known, found["ran"])
            points.append(replace(point, seconds=found["seconds"]))
        if points:
            checked_grid(asked, [point.rho for point in points])
        return traced_path(
            asked, points, values["missing"], values["end"], values["seed"], values["solver"]
        )

    @classmethod
    @checked
    def load(
        cls, path: str | Path, problem: Formulation | str | Path, grade: str = "default"
    ) -> TracedPath:
        """Return the path in a file, as :meth:`from_json`.

        Raises:
            LibraryError: also no such file, no regular one, too large, or no plain JSON.
        """
        return cls.from_json(from_file(path), problem, grade)


def traced_path(
    problem: Formulation,
    points: Sequence[PathPoint],
    missing: tuple[float, ...],
    end: PathEnd,
    seed: int,
    solver: str,
) -> TracedPath:
    """Return the path of points in the order of their grid, and what they show together."""
    points = _with_best_margins(problem, points)
    losses = problem.traits.is_loss and not problem.traits.path_falls
    return TracedPath(
        problem=str(problem.name),
        points=tuple(points),
        missing=missing,
        end=end,
        margin_slack=problem.margin_slack,
        assumption_1=_decreases([p.objective for p in points]) if losses else None,
        assumption_2=_decreases([-p.best_margin for p in points]),
        seed=seed,
        solver=solver,
    )


def checked_grid(problem: Formulation, rhos: Values) -> list[float]:
    if problem.traits.path is None:
        raise UnsupportedError(
            f"{problem.name} has no path parameter.",
            "Trace a margin path, a constrained path or a regularization path.",
        )
    ends = (rhos.first, rhos.last) if isinstance(rhos, AdaptiveGrid) else rhos
    if not isinstance(ends, Iterable):
        raise ParameterError(f"{ends!r} is no grid.", "Give a list of values.")
    falling = problem.traits.path_falls
    least = LEAST_STRENGTH if falling else 1e-100
    grid = [moderate(rho, "every value of the grid", least) for rho in ends]
    if not grid:
        raise ParameterError("The grid is empty.", "Give at least one value.")
    # The unknowns of a regularization path have the scale that the penalty leaves them.
    alpha = 1.0 if falling else problem.functions.homogeneity.degree or 1.0
    if max(abs(math.log10(rho)) for rho in grid) * alpha > _MOST_DECADES:
        raise ParameterError(
            f"The grid reaches margins of the size of {max(grid):g}^{alpha:g} or {min(grid):g}^"
            f"{alpha:g}.",
            "Give values whose margins are doubles.",
        )
    steps = np.diff(grid)
    if not np.all(steps < 0 if falling else steps > 0):
        word = "decreasing strengths" if falling else "increasing values of rho"
        raise ParameterError("The grid is not sorted.", f"Give strictly {word}.")
    return grid


def _decreases(values: list[float]) -> bool | None:
    if len(values) < 2 or not np.all(np.isfinite(values)):
        return None
    return bool(np.all(np.diff(values) < 0))


def _with_best_margins(problem: Formulation, points: Sequence[PathPoint]) -> Sequence[PathPoint]:
    """Return the points with γ*(ρ) no less than what any of them shows for the ball of radius ρ.

    A point of a smaller ball lies in the larger one; homogeneous margins can be scaled both ways.
    """
    if problem.traits.path_falls:
        return points
    degree = problem.functions.homogeneity.degree
    found = []
    for point in points:
        known = [point.best_margin]
        for other in points:
            if degree is not None:
                known.append(other.margin * (point.rho / other.rho) ** degree)
            elif other.rho <= point.rho:
                known.append(other.margin)
        # The origin lies in every ball; NaN stays NaN: γ* was not asked for.
        found.append(replace(point, best_margin=float(np.maximum.reduce(known))))
    return found
