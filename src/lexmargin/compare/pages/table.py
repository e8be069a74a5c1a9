"""Rows of a comparison: every answer beside what all the others and the file know."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from lexmargin.compare.job_run import Answered
from lexmargin.compare.own_measure import OwnMeasure
from lexmargin.compare.pages.figures import legend_mark, profile_curves
from lexmargin.compare.performance import performances
from lexmargin.compare.records import Honesty, RowStatus
from lexmargin.errors import LibraryError
from lexmargin.inputs.codec import fields_written, read_as
from lexmargin.inputs.stored import Stored, columns, from_file, record
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import angle
from lexmargin.ops.base import FloatArray
from lexmargin.outputs.display import frame, html_table
from lexmargin.shelf.problems import AnswerSpec
from lexmargin.solution import Claim

__all__ = ["Row", "Summary", "Table", "failure_of", "table_of"]

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
        success: the certificate holds at the grade, without polish; or nothing is feasible, which
            is proved, and it says so.
        honesty: the claim against the verdict.
        entered: the solver was there and accepts such programs.
        build, solve, certify: seconds, the modelling system's compilation not among them.
        peak_mebibytes: of the process.
        scaled: whether the toolkit chose the unit of the margins.
        failure: in words, why it is no success or what is false; "" where there is nothing to say.
        own: whether the claim holds by the solver's own measure; own_excess: its largest residual
            over its own tolerance.
        load, compile: seconds to import the solver, and of the modelling system to compile.
        limit: seconds that the unit had.
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
    scaled: bool = False
    failure: str = ""
    own: OwnMeasure = OwnMeasure.UNMEASURED
    own_excess: float | None = None
    load: float | None = None
    compile: float | None = None
    limit: float = math.inf


@final
@dataclass(frozen=True)
class Summary:
    """One profile at one grade: two figures that are not one.

    ``entered`` counts the units it ran; ``certified`` the successes; ``claims`` those where it
    claims something that was proved, or refuted and false by its own measure too, and ``kept``
    those proved; ``not_meant`` those refuted, and true by its own measure; ``coarse`` those less
    accurate than what is verified, which nobody has asked for.
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
    not_meant: int = 0
    coarse: int = 0
    scaled: bool = False

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
    ``machine`` says where its times are from.
    """

    rows: tuple[Row, ...]
    recalled: bool = False
    machine: Mapping[str, str] = field(default_factory=dict)

    def summaries(self) -> tuple[Summary, ...]:
        """Return one summary per profile, grade and scaling, in the order of the rows."""
        groups: dict[tuple[str, str, bool], list[Row]] = {}
        for row in self.rows:
            groups.setdefault((row.profile, row.grade, row.scaled), []).append(row)
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
        return frame(columns(self.rows))

    def _repr_html_(self) -> str:
        figures = ("profile", "grade", "entered", "certified", "claims", "kept")
        rows = [[getattr(one, name) for name in figures] for one in self.summaries()]
        styles = {name: k for k, name in enumerate(dict.fromkeys(r.profile for r in self.rows))}
        key = [f"{legend_mark(style)} {escape(name)}" for name, style in styles.items()]
        curves = [
            profile_curves(performances([r for r in self.rows if r.grade == grade]), styles)
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
            right = row.claim in _INFEASIBLE and row.honesty is Honesty.TRUE
            if not known or row.success != (right or row.verdict in _CERTIFIED):
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
    answers: Sequence[Answered],
    known: Mapping[str, AnswerSpec],
    machine: Mapping[str, str] | None = None,
) -> Table:
    """Judge answers together.

    Args:
        answers: of all units.
        known: what is known of the problems, by name.
        machine: where they are from.
    """
    groups: dict[str, list[Answered]] = {}
    for answered in answers:
        groups.setdefault(answered.result["unit"]["problem"], []).append(answered)
    judged: dict[str, Row] = {}
    for name, members in groups.items():
        stored = known.get(name)
        for row in _judged(members, stored, _feasible(members, stored)):
            judged[row.key] = row
    return Table(tuple(judged[a.key] for a in answers), machine=machine or {})


def _feasible(members: Sequence[Answered], answer: AnswerSpec | None) -> bool | None:
    """Tell whether the data can be separated: by proof, by a witness, or by the stored answer."""
    proved = [a.result["feasible"] for a in members if a.result["feasible"] is not None]
    if proved:
        return bool(proved[0])
    if any(_number(a.result["margin"]) > 0 and a.result["verdict"] for a in members):
        return True
    if answer is None:
        return None
    if answer.feasible is not None:
        return answer.feasible
    return True if answer.margin is not None and answer.margin.value > 0 else None


def _judged(
    members: Sequence[Answered], stored: AnswerSpec | None, feasible: bool | None
) -> list[Row]:
    best = _best_margin(members, stored)
    certified = [a for a in members if a.result["certified"]]
    leader = max(certified, key=lambda a: _number(a.result["margin"]), default=None)
    objectives = [a.result["objective"] for a in certified if a.result["objective"] is not None]
    least = min(objectives, default=None)
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
        own = OwnMeasure(result["own_word"])
        honesty = _honesty(claim, result, feasible, own, _is_near(result, gap, least))
        infeasible = claim in _INFEASIBLE and honesty is Honesty.TRUE
        success = bool(result["certified"]) or infeasible
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
                success=success,
                honesty=honesty,
                entered=status.entered,
                iterations=result["iterations"],
                build=measures.get("build"),
                solve=measures.get("solve"),
                certify=measures.get("certify"),
                peak_mebibytes=measures.get("peak_mebibytes"),
                key=answered.key,
                versions=unit["versions"],
                scaled=unit["scaled"],
                failure=failure_of(status, claim, result, honesty, success=success),
                own=own,
                own_excess=result["own_excess"],
                load=measures.get("load"),
                compile=measures.get("compile"),
                limit=unit["limits"]["seconds"],
            )
        )
    return rows


_FAR: Final = 1e-2
"""Relative gap, or residual, of a point that is no coarse answer but another one: as a sine 0.6
degrees, and ten times the loosest grade."""
_INFEASIBLE: Final = (Claim.INFEASIBLE, Claim.LOCALLY_INFEASIBLE)


def _honesty(
    claim: Claim, result: Mapping[str, Any], feasible: bool | None, own: OwnMeasure, near: bool
) -> Honesty:
    """Compare a claim with what was proved; a word we cannot check is neither true nor false."""
    refuted = Honesty.NOT_MEANT if own is OwnMeasure.MET else Honesty.FALSE
    if claim is Claim.NOTHING:
        return Honesty.SILENT
    if claim in (Claim.OPTIMAL, Claim.LOCALLY_OPTIMAL):
        if result["certified"]:
            return Honesty.TRUE
        if feasible is False:
            return Honesty.FALSE
        if result["verdict"] in (None, Verdict.UNDECIDED):
            return Honesty.OPEN
        return Honesty.COARSE if _is_coarse(result, own, near) else refuted
    if claim is Claim.UNBOUNDED:
        # Every program here minimises something that is bounded below, or maximises on a ball.
        return Honesty.FALSE
    if feasible is None:
        return Honesty.OPEN
    if claim is Claim.LOCALLY_INFEASIBLE:
        # "No feasible point near": where there are some farther away it may still be right.
        return Honesty.OPEN if feasible else Honesty.TRUE
    return refuted if feasible else Honesty.TRUE


def _is_coarse(result: Mapping[str, Any], own: OwnMeasure, near: bool) -> bool:
    """Say whether a refuted optimum is near one, and nobody has asked its solver for more."""
    asked = result["unit"]["grade"]["tolerance"] is not None
    missed = own is OwnMeasure.MISSED or (own is OwnMeasure.UNMEASURED and asked)
    return near and result["verdict"] == Verdict.NOT_STATIONARY and not missed


def _is_near(result: Mapping[str, Any], gap: float | None, least: float | None) -> bool:
    """Say whether an answer is that of the problem but for its accuracy.

    Args:
        result: of the unit.
        gap: to the best margin, where margins are the aim.
        least: the objective of a certified answer.
    """
    if gap is not None:
        return gap <= _FAR
    objective, short = result["objective"], result["feasibility"]
    if short is None or short > _FAR:
        return False
    if least is not None and objective is not None and abs(objective - least) <= _FAR * abs(least):
        return True
    return result["stationarity"] is not None and result["stationarity"] <= _FAR


_ENDS: Final[Mapping[RowStatus, str]] = {
    RowStatus.ITERATION_LIMIT: "ended by its limit of iterations",
    RowStatus.TIME_LIMIT: "ended by the time limit",
    RowStatus.NUMERICAL: "gave up",
    RowStatus.CRASHED: "crashed",
    RowStatus.MISSING: "not installed here",
    RowStatus.NOT_HANDLED: "does not handle it",
}


def failure_of(
    status: RowStatus, claim: Claim, result: Mapping[str, Any], honesty: Honesty, *, success: bool
) -> str:
    """Return in words why an answer is no success, or what is false about it; "" for a good one."""
    if success and honesty is not Honesty.FALSE:
        return ""
    parts = []
    if status in _ENDS and not success:
        parts.append(f"{_ENDS[status]}: {result['raw_status']}")
    word, excess = claim.value.lower().replace("_", " "), result["own_excess"]
    times = "" if excess is None else f" (largest residual {excess:.1e} of its tolerance)"
    if honesty is Honesty.FALSE:
        missed = result["own_word"] == OwnMeasure.MISSED.value
        by_own = f", false by its own measure too{times}" if missed else ""
        unknown = "" if missed else " (its own measure is not known here)"
        parts.append(f"claims {word}, which is refuted{by_own}{unknown}")
    elif honesty is Honesty.NOT_MEANT:
        parts.append(f"claims {word}, true by its own measure{times}, but not what was meant")
    elif honesty is Honesty.COARSE:
        met = result["own_word"] == OwnMeasure.MET.value
        by_own = f"true by its own measure{times}, but " if met else ""
        parts.append(f"claims {word}, {by_own}less accurate than what is verified here")
    elif honesty is Honesty.OPEN and not success:
        parts.append(f"claims {word}, which nobody has proved or refuted")
    verdict = result["verdict"]
    if verdict is not None and not result["certified"]:
        parts.append(": ".join([verdict.lower().replace("_", " "), *result["reasons"][:1]]))
    elif not parts and not success:
        parts.append(f"no answer: {result['raw_status']}")
    return "; ".join(parts)


def _best_margin(members: Sequence[Answered], stored: AnswerSpec | None) -> float | None:
    """Return the best margin that is stored or certified; None where margins are not the aim."""
    # Where the aim is another one, a smaller margin is no gap.
    if not any(answered.result["largest_margin"] for answered in members):
        return None
    known = [_number(a.result["margin"]) for a in members if a.result["certified"]]
    if stored is not None and stored.margin is not None:
        known.append(stored.margin.value)
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


def _summary(profile: str, grade: str, scaled: bool, rows: Sequence[Row]) -> Summary:
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
        not_meant=sum(row.honesty is Honesty.NOT_MEANT for row in entered),
        coarse=sum(row.honesty is Honesty.COARSE for row in entered),
        scaled=scaled,
    )
