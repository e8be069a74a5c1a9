"""Answers: what a solver did, what it claims, and what we measured, on separate axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, final

import numpy as np
import numpy.typing as npt

from lexmargin.errors import LibraryError, ShapeError, UnjudgedError
from lexmargin.formulations.levels import Level, Proof
from lexmargin.inputs.family import LATER
from lexmargin.inputs.stored import StoredAlone
from lexmargin.ops.base import FloatArray
from lexmargin.outputs.display import frame, html_table
from lexmargin.outputs.svg import sorted_margins

if TYPE_CHECKING:
    from lexmargin.judge.certificate import Certificate

__all__ = [
    "BackendName",
    "Claim",
    "Improvement",
    "Ran",
    "RawAnswer",
    "Solution",
    "SolverSettings",
    "Times",
    "claimed_multipliers",
]


class BackendName(StrEnum):
    """The compiler and runner that carries a program to its solver."""

    CVXPY = "cvxpy"
    PYOMO = "pyomo"
    CASADI = "casadi"
    SCIPY = "scipy"
    CVXPY_NLP = "cvxpy-nlp"
    PYOMO_SOLVER = "pyomo-solver"
    UNO = "unopy"
    SKLEARN = "scikit-learn"
    DESCENT = "descent"
    NEWTON = "newton"
    FACE = "face"
    ACTIVE_SET = "active-set"
    CONVEX_CONCAVE = "convex-concave"
    FIXED_PATTERN = "fixed-pattern"
    AUGMENTED_LAGRANGIAN = "augmented-lagrangian"


class Ran(StrEnum):
    """What happened to the run, whatever the answer is worth."""

    FINISHED = "FINISHED"
    """The solver ended by its own rule."""
    ITERATION_LIMIT = "ITERATION_LIMIT"
    """It used up its iterations."""
    TIME_LIMIT = "TIME_LIMIT"
    """It used up its time, or was ended from outside."""
    NUMERICAL = "NUMERICAL"
    """It gave up for numerical reasons."""
    CRASHED = "CRASHED"
    """It raised, or its process died."""
    MISSING = "MISSING"
    """It is not installed."""


_OF_FILE: Final = "read from a file"
_ENDED: Final = {
    Ran.ITERATION_LIMIT: "ended by the limit of iterations",
    Ran.TIME_LIMIT: "ended by the time limit",
    Ran.NUMERICAL: "the solver gave up",
    Ran.CRASHED: "the solver crashed",
    Ran.MISSING: "the solver is not installed",
}


class Claim(StrEnum):
    """The solver's word about its answer; the certificate never reads it."""

    OPTIMAL = "OPTIMAL"
    LOCALLY_OPTIMAL = "LOCALLY_OPTIMAL"
    INFEASIBLE = "INFEASIBLE"
    LOCALLY_INFEASIBLE = "LOCALLY_INFEASIBLE"
    UNBOUNDED = "UNBOUNDED"
    NOTHING = "NOTHING"


@final
@dataclass(frozen=True)
class SolverSettings:
    """What a backend is told: the native solver, its own options, the limits.

    Attributes:
        solver: the backend's name of the solver.
        options: the solver's own option names and values.
        time_limit: seconds, enforced from inside as far as the solver allows; None for none.
        verbose: let the solver print; otherwise everything it writes is captured.
    """

    solver: str
    options: Mapping[str, float | int | str | bool] = field(default_factory=dict)
    time_limit: float | None = None
    verbose: bool = False


@final
@dataclass(frozen=True)
class RawAnswer:
    """A backend's answer to one program, untouched by any judgement.

    Attributes:
        values: variable name -> array in the variable's shape; empty when there is no answer.
        multipliers: constraint name -> array, λ >= 0 for ``left >= right`` and for
            ``left <= right``, free for equalities, for the Lagrangian of *minimisation*.
        ran, claim, raw_status: the status axes and the solver's own word.
        iterations: as the solver counts them, or None.
        build_seconds, solve_seconds: model building, and the solver itself.
        phases: finer split of the build, seconds by phase name.
        log: what the solver printed.
    """

    values: Mapping[str, FloatArray]
    multipliers: Mapping[str, FloatArray]
    ran: Ran
    claim: Claim
    raw_status: str
    iterations: int | None = None
    build_seconds: float = 0.0
    solve_seconds: float = 0.0
    phases: Mapping[str, float] = field(default_factory=dict)
    log: str = ""
    levels: tuple[Level, ...] = ()
    """Levels of a staged problem that the backend answered as a whole."""
    objective: float | None = None
    """The program's objective as the solver states it, where it also states a bound."""
    bound: float | None = None
    """The solver's bound on that objective over all points: a claim like any other."""

    @property
    def has_values(self) -> bool:
        """True when there is a finite point to judge."""
        return bool(self.values) and all(np.all(np.isfinite(v)) for v in self.values.values())


@final
@dataclass(frozen=True)
class Times:
    """Seconds spent building, solving and certifying."""

    build: float
    solve: float
    certify: float


@final
@dataclass(frozen=True)
class Improvement:
    """What Newton steps on the KKT system did to a solver's answer.

    Attributes:
        moved: distance between the unit directions before and after.
        residual: of the KKT system, reached.
    """

    moved: float
    residual: float


@final
@dataclass(frozen=True, repr=False, kw_only=True)
class Solution(StoredAlone):
    """One answer, as the solver gave it and as we judge it (design.md §5).

    ``problem`` is its own name, where it came from a file, else the word of its formulation.
    ``polished`` is there where Newton steps improved the solver's answer; ``others`` are further
    stationary points. ``judgement`` is the certificate, None where there is none: ``unjudged`` or
    ``ran`` says why.

    A file holds no certificate but what was said of it: a solution that is read is unjudged, and
    ``certify(problem, solution)`` judges it, with the multipliers that it carries as a claim.
    """

    computed: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "claimed_gap": lambda one: one.claimed_gap,
        "certificate": lambda one: one.judgement and one.judgement.to_json(),
    }
    problem: str
    formulation: str
    theta: tuple[FloatArray, ...]
    direction: FloatArray
    objective: float
    margins: FloatArray
    margin: float
    multipliers: FloatArray
    ran: Ran
    claim: Claim
    raw_status: str
    times: Times
    solver: str
    versions: Mapping[str, str]
    seed: int
    judgement: Certificate | None = field(default=None, metadata={"internal": True})
    iterations: int | None = None
    polished: Improvement | None = None
    levels: tuple[Level, ...] = ()
    others: tuple[Solution, ...] = ()
    claimed_bound: float | None = None
    """The best objective that any point can have, says the solver; the certificate never reads it.
    """

    unjudged: str = field(default="", metadata=LATER)
    """Why an answer has no certificate: its problem is none that is judged here, or time was up."""

    @property
    def certificate(self) -> Certificate:
        """Our word about the answer.

        Raises:
            UnjudgedError: there is none; ``judgement`` is None then.
        """
        if self.judgement is None:
            why = self.unjudged or self.word
            raise UnjudgedError(f"The answer of {self.solver} has no certificate: {why}.")
        return self.judgement

    @property
    def claims(self) -> FloatArray:
        """λ as the answer claims it: (N,), or of one level after another (L, N)."""
        return claimed_multipliers(self.multipliers, self.levels)

    @property
    def claimed_gap(self) -> float | None:
        """The part of the claimed bound that the objective misses it by, |bound - value|/|bound|.

        Not proven by us: a certificate says GLOBAL only with a bound of its own.
        """
        if self.claimed_bound is None or not np.isfinite(self.objective):
            return None
        size = max(abs(self.claimed_bound), abs(self.objective))
        return abs(self.claimed_bound - self.objective) / size if size > 0.0 else 0.0

    @property
    def word(self) -> str:
        """Our verdict, or why there is none."""
        if self.judgement is not None:
            return self.judgement.verdict.value
        ended = self.raw_status if self.ran is Ran.FINISHED else _ENDED[self.ran]
        return self.unjudged or f"none: {ended}"

    def named(self, name: str) -> Solution:
        """Return the solution with the problem's own name."""
        return replace(self, problem=name, others=tuple(one.named(name) for one in self.others))

    def __repr__(self) -> str:
        return (
            f"<Solution of {self.problem}: {self.word}, objective {self.objective:.6g}, "
            f"margin {self.margin:.6g}, by {self.solver}>"
        )

    def to_frame(self) -> Any:
        """Return margins and multipliers as a ``pandas.DataFrame``, one row per margin function.

        The multipliers are the certificate's where there is one, else the solver's; ``support``
        says which margin functions the word rests on.
        """
        found = self.judgement
        return frame(
            {
                "margin": self.margins,
                "multiplier": self.multipliers if found is None else found.multipliers,
                "support": self._support,
            }
        )

    def _repr_html_(self) -> str:
        found = self.judgement
        shown = "" if found is None else found._repr_html_()
        return html_table(self._rows()) + sorted_margins(self.margins, self._support) + shown

    @property
    def _support(self) -> npt.NDArray[np.bool_]:
        held: Any = () if self.judgement is None else self.judgement.support
        return np.isin(np.arange(self.margins.size), held)

    def report(self) -> str:
        """Return a short text: the run, the solver's claim, then our certificate."""
        text = "\n".join(f"{name:<16}{value}" for name, value in self._rows())
        return text if self.judgement is None else f"{text}\n\n{self.judgement.report()}"

    def _rows(self) -> list[tuple[str, str]]:
        named = self.problem != self.formulation
        lines = [
            ("problem", f"{self.problem} ({self.formulation})" if named else self.problem),
            ("solver", f"{self.solver}, {self.ran.value}, iterations {self.iterations}"),
            ("its claim", f"{self.claim.value} ({self.raw_status})"),
            ("our verdict", self.word),
            ("objective", f"{self.objective:.12g}"),
            (
                "seconds",
                f"build {self.times.build:.3f}, solve {self.times.solve:.3f}, "
                f"certify {self.times.certify:.3f}",
            ),
        ]
        if self.claimed_bound is not None and self.claimed_gap is not None:
            claim = f"{self.claimed_bound:.12g}, claimed gap {self.claimed_gap:.3e}"
            lines.append(("its bound", f"{claim} (not proven by us)"))
        if self.polished is not None:
            moved, residual = self.polished.moved, self.polished.residual
            lines.append(("polished", f"moved {moved:.1e}, residual {residual:.1e}"))
        for k, level in enumerate(self.levels):
            if level.approached:
                last = ", ".join(f"{value:.6g}" for _, value in level.approached)
                reach = f"level {k + 1} falls to {last} up to γ = {level.approached[-1][0]:g}"
                lines.append(("not attained", reach))
        return lines

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """Return the solution that :meth:`to_json` has written, unjudged.

        Raises:
            LibraryError, UnknownNameError: anything else.
        """
        return super().from_json(stored)._of_file(stored)

    def _of_file(self, stored: Mapping[str, Any]) -> Self:
        """Return the solution with what its file says of it, which nobody has measured."""
        said, others = stored["certificate"], stored["others"]
        word = said.get("verdict") if isinstance(said, dict) else None
        if said is not None and not isinstance(word, str):
            raise LibraryError("The certificate of the saved Solution has no verdict.")
        flat = self.margins.ndim == 1 and self.direction.ndim == 1
        if not flat or self.multipliers.shape != self.margins.shape:
            raise LibraryError("The arrays of the saved Solution do not fit together.")
        unjudged = self.unjudged
        # Whatever a file says of it: nobody takes that for a verdict.
        if word is not None:
            unjudged = f"{_OF_FILE} that says {word:.20}"
        elif not unjudged.startswith(_OF_FILE):
            unjudged = f"{_OF_FILE}, where it had no certificate: {unjudged or self.word}"
        pairs = zip(self.others, others, strict=True)
        return replace(
            self,
            unjudged=unjudged,
            levels=tuple(replace(level, proof=Proof.LOCAL) for level in self.levels),
            others=tuple(one._of_file(raw) for one, raw in pairs),
        )


def claimed_multipliers(multipliers: FloatArray, levels: tuple[Level, ...]) -> FloatArray:
    """Return λ as it is claimed: of one level after another (L, N) where a solver has them.

    Raises:
        ShapeError: λ of levels that are not of one length, as only a file may hold.
    """
    later = [level.multipliers for level in levels[1:] if level.multipliers is not None]
    if any(values.shape != multipliers.shape for values in later):
        raise ShapeError("The levels have multipliers of several lengths.", "Give one per margin.")
    return np.vstack([multipliers, *later]) if later else multipliers
