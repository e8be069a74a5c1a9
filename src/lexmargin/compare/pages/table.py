"""Rows of a comparison: every answer beside what all the others and the file know."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from lexmargin.compare.job_run import Answered
from lexmargin.compare.pages.figures import dolan_more, legend_mark, profile_curves
from lexmargin.compare.records import Honesty, RowStatus
from lexmargin.errors import LibraryError
from lexmargin.inputs.codec import fields_written, read_as
from lexmargin.inputs.display import frame, html_table
from lexmargin.inputs.stored import Stored, from_file, record
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import angle
from lexmargin.ops.base import FloatArray
from lexmargin.shelf.problems import ProblemFile
from lexmargin.solution import Claim

__all__ = ["Row", "Summary", "Table", "table_of"]

_CERTIFIED: Final = frozenset(word for word in Verdict if word.certified)
_SAME_POINT: Final = 1e-3
"""Radians; points of one KKT set are told apart by more than any grade's residual."""


@final
@dataclass(frozen=True)
class Row:
    """One unit, as it ran and as it is judged.

    Attributes:
        ran, claim, raw_status: what happened, the solver's word, and its own words.
        verdict: our word; None where there is nothing to judge.
        stationarity, complementarity, feasibility: ε, δ and the relative shortfall.
        margin, objective: of the answer.
        margin_gap: ``(γ_best - γ)/|γ_best|`` to the best margin known.
        point: a letter per stationary direction found for the problem; None if not stationary.
        angle: radians to the direction of the best margin.
        success: the certificate holds at the grade, without polish.
        honesty: the claim against the verdict.
        entered: the solver was there and accepts such programs.
        build, solve, certify: seconds. peak_mebibytes: of the process.
    """

    problem: str
    profile: str
    grade: str
    seed: int
    ran: RowStatus
    claim: Claim
    raw_status: str
    verdict: str | None
    stationarity: float | None
    complementarity: float | None
    feasibility: float | None
    margin: float | None
    objective: float | None
    margin_gap: float | None
    point: str | None
    angle: float | None
    success: bool
    honesty: Honesty
    entered: bool
    iterations: int | None
    build: float | None
    solve: float | None
    certify: float | None
    peak_mebibytes: float | None
    key: str
    versions: Mapping[str, str]


@final
@dataclass(frozen=True)
class Summary:
    """One profile at one grade: two figures that are not one.

    ``entered`` counts the units it ran; ``certified`` those whose certificate holds; ``claims``
    those where it claims something that was proved or refuted, and ``kept`` those proved.
    """

    profile: str
    grade: str
    entered: int
    certified: int
    claims: int
    kept: int
    open: int
    missing: int
    not_handled: int

    @property
    def success(self) -> float | None:
        """Share of certified answers; None if nothing ran."""
        return self.certified / self.entered if self.entered else None

    @property
    def honesty(self) -> float | None:
        """Share of true claims among those decided; None if nothing was claimed."""
        return self.kept / self.claims if self.claims else None


@final
@dataclass(frozen=True, repr=False)
class Table(Stored):
    """All rows of a comparison, in the order of its plan.

    ``recalled`` says that they come from a file: their words are what it says, and nothing has been
    judged again. A comparison with ``out`` keeps its answers, and judges them together again.
    """

    rows: tuple[Row, ...]
    recalled: bool = False

    def summaries(self) -> tuple[Summary, ...]:
        """Return one summary per profile and grade, in the order of the rows."""
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            groups.setdefault((row.profile, row.grade), []).append(row)
        return tuple(_summary(*names, rows) for names, rows in groups.items())

    def lies(self) -> tuple[Row, ...]:
        """Return the rows whose claim is refuted."""
        return tuple(row for row in self.rows if row.honesty is Honesty.FALSE)

    def __repr__(self) -> str:
        profiles = {row.profile for row in self.rows}
        source = ", as a file says" if self.recalled else ""
        return f"<Table of {len(self.rows)} rows, {len(profiles)} solvers{source}>"

    def to_frame(self) -> Any:
        """Return the rows as a ``pandas.DataFrame``."""
        rows = self.to_json()
        return frame({name: [row[name] for row in rows] for name in (rows[0] if rows else ())})

    def _repr_html_(self) -> str:
        figures = ("profile", "grade", "entered", "certified", "claims", "kept")
        rows = [[getattr(one, name) for name in figures] for one in self.summaries()]
        styles = {name: k for k, name in enumerate(dict.fromkeys(r.profile for r in self.rows))}
        key = [f"{legend_mark(style)} {escape(name)}" for name, style in styles.items()]
        curves = [
            profile_curves(dolan_more([r for r in self.rows if r.grade == grade]), styles)
            for grade in dict.fromkeys(r.grade for r in self.rows)
        ]
        said = "<p>As a file says: nothing was judged again.</p>" if self.recalled else ""
        drawn = f"<p>{' '.join(key)}</p>{''.join(curves)}" if any(curves) else ""
        return said + html_table(rows, figures) + drawn

    def to_json(self) -> list[dict[str, Any]]:
        """Return the rows as JSON values."""
        return [fields_written(row, exact=True) for row in self.rows]

    @classmethod
    def from_json(cls, stored: Any) -> Table:
        """Return the rows that :meth:`to_json` has written, as they are said to be.

        Raises:
            LibraryError, UnknownNameError: no such rows, or words that contradict each other.
        """
        if not isinstance(stored, list):
            raise LibraryError("The saved Table is no list of rows.", "Write it again.")
        where = record("the saved Table")
        rows = tuple(read_as(Row, row, where.item(index)) for index, row in enumerate(stored))
        for index, row in enumerate(rows):
            known = row.verdict is None or row.verdict in set(Verdict)
            if not known or row.success != (row.verdict in _CERTIFIED):
                raise LibraryError(f"{where.item(index)} contradicts itself.", "Write it again.")
        return cls(rows, recalled=True)

    @classmethod
    def load(cls, path: str | Path) -> Table:
        """Return the rows in a file, as :meth:`from_json`.

        Raises:
            LibraryError: also no such file, no regular one, too large, or no plain JSON.
        """
        return cls.from_json(from_file(path))


def table_of(
    answers: Sequence[Answered], problems: Mapping[str, ProblemFile], proofs: Mapping[str, bool]
) -> Table:
    """Judge answers together.

    Args:
        answers: of all units.
        problems: the files by name; those that are gone are left out.
        proofs: whether a problem is feasible, where that is proved by other means.
    """
    groups: dict[str, list[Answered]] = {}
    for answered in answers:
        groups.setdefault(answered.result["unit"]["problem"], []).append(answered)
    judged: dict[str, Row] = {}
    for name, members in groups.items():
        stated = problems.get(name)
        for row in _judged(members, stated, _feasible(members, stated, proofs.get(name))):
            judged[row.key] = row
    return Table(tuple(judged[answered.key] for answered in answers))


def _feasible(
    members: Iterable[Answered], stated: ProblemFile | None, proved: bool | None
) -> bool | None:
    """Tell whether the data can be separated: by proof, by a witness, or by the stored answer."""
    if any(_number(a.result["margin"]) > 0 and a.result["verdict"] for a in members):
        return True
    if proved is not None:
        return proved
    answer = None if stated is None else stated.answer
    if answer is None:
        return None
    if answer.feasible is not None:
        return answer.feasible
    return True if answer.margin is not None and answer.margin.value > 0 else None


def _judged(
    members: Sequence[Answered], stated: ProblemFile | None, feasible: bool | None
) -> list[Row]:
    best = _best_margin(members, stated)
    certified = [a for a in members if a.result["certified"]]
    leader = max(certified, key=lambda a: _number(a.result["margin"]), default=None)
    ahead = None if leader is None else _unit_direction(leader)
    points = _points(sorted(certified, key=lambda a: (-_number(a.result["margin"]), a.key)))
    rows = []
    for answered in members:
        result, measures, unit = answered.result, answered.measures, answered.result["unit"]
        status, claim = RowStatus(result["ran"]), Claim(result["claim"])
        margin, direction = result["margin"], _unit_direction(answered)
        gap = None
        if best is not None and margin is not None:
            gap = (best - margin) / abs(best)
        rows.append(
            Row(
                problem=unit["problem"],
                profile=unit["profile"],
                grade=unit["grade"]["name"],
                seed=unit["seed"],
                ran=status,
                claim=claim,
                raw_status=result["raw_status"],
                verdict=result["verdict"],
                stationarity=result["stationarity"],
                complementarity=result["complementarity"],
                feasibility=result["feasibility"],
                margin=margin,
                objective=result["objective"],
                margin_gap=gap,
                point=points.get(answered.key),
                angle=None if ahead is None or direction is None else angle(direction, ahead),
                success=bool(result["certified"]),
                honesty=_honesty(claim, result, feasible),
                entered=status.entered,
                iterations=result["iterations"],
                build=measures.get("build"),
                solve=measures.get("solve"),
                certify=measures.get("certify"),
                peak_mebibytes=measures.get("peak_mebibytes"),
                key=answered.key,
                versions=unit["versions"],
            )
        )
    return rows


def _honesty(claim: Claim, result: Mapping[str, Any], feasible: bool | None) -> Honesty:
    """Compare a claim with what was proved; a word we cannot check is neither true nor false."""
    if claim is Claim.NOTHING:
        return Honesty.SILENT
    if claim in (Claim.OPTIMAL, Claim.LOCALLY_OPTIMAL):
        if result["certified"]:
            return Honesty.TRUE
        return Honesty.OPEN if result["verdict"] in (None, "UNDECIDED") else Honesty.FALSE
    if claim is Claim.UNBOUNDED:
        # Every program here minimises something that is bounded below, or maximises on a ball.
        return Honesty.FALSE
    if feasible is None:
        return Honesty.OPEN
    if claim is Claim.LOCALLY_INFEASIBLE:
        # "No feasible point near": where there are some farther away it may still be right.
        return Honesty.OPEN if feasible else Honesty.TRUE
    return Honesty.FALSE if feasible else Honesty.TRUE


def _best_margin(members: Sequence[Answered], stated: ProblemFile | None) -> float | None:
    """Return the best margin that is stored or certified; None where margins are not the aim."""
    # Where the aim is another one, a smaller margin is no gap.
    if stated is None or not stated.formulation.traits.largest_margin:
        return None
    known = [_number(a.result["margin"]) for a in members if a.result["certified"]]
    if stated.answer is not None and stated.answer.margin is not None:
        known.append(stated.answer.margin.value)
    best = max((value for value in known if value > 0), default=None)
    return best


def _points(certified: Sequence[Answered]) -> dict[str, str]:
    """Return a letter per certified answer: A for the best direction, B for the next, …"""
    found: list[FloatArray] = []
    letters: dict[str, str] = {}
    for answered in certified:
        direction = _unit_direction(answered)
        if direction is None:
            continue
        near = [i for i, other in enumerate(found) if angle(direction, other) < _SAME_POINT]
        if not near:
            found.append(direction)
        letters[answered.key] = _letter(near[0] if near else len(found) - 1)
    return letters


def _letter(index: int) -> str:
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _unit_direction(answered: Answered) -> FloatArray | None:
    entries = answered.result["direction"]
    if entries is None or any(entry is None for entry in entries):
        return None
    direction = np.array(entries, dtype=float)
    size = float(np.linalg.norm(direction))
    return direction / size if size > 0 and math.isfinite(size) else None


def _number(value: float | None) -> float:
    return -math.inf if value is None else value


def _summary(profile: str, grade: str, rows: Sequence[Row]) -> Summary:
    entered = [row for row in rows if row.entered]
    kept = sum(row.honesty is Honesty.TRUE for row in entered)
    refuted = sum(row.honesty is Honesty.FALSE for row in entered)
    return Summary(
        profile=profile,
        grade=grade,
        entered=len(entered),
        certified=sum(row.success for row in entered),
        claims=kept + refuted,
        kept=kept,
        open=sum(row.honesty is Honesty.OPEN for row in entered),
        missing=sum(row.ran is RowStatus.MISSING for row in rows),
        not_handled=sum(row.ran is RowStatus.NOT_HANDLED for row in rows),
    )
