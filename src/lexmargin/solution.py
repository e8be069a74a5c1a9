"""Answers: what a solver did, what it claims, and what we measured, on separate axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from lexmargin.formulations.levels import Level
from lexmargin.inputs.display import frame, html_table
from lexmargin.ops.base import FloatArray

if TYPE_CHECKING:
    from lexmargin.judge.certificate import Certificate

__all__ = ["BackendName", "Claim", "Ran", "RawAnswer", "Solution", "SolverSettings", "Times"]


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
@dataclass(frozen=True, repr=False)
class Solution:
    """One answer, as the solver gave it and as we judge it (design.md §5).

    ``problem`` is its own name, where it came from a file, else the word of its formulation.
    ``polished`` is (distance moved between unit directions, residual reached) where Newton steps
    on the KKT system improved the solver's answer; ``others`` are further stationary points.
    """

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
    certificate: Certificate | None
    times: Times
    solver: str
    versions: Mapping[str, str]
    seed: int
    iterations: int | None = None
    polished: tuple[float, float] | None = None
    levels: tuple[Level, ...] = ()
    others: tuple[Solution, ...] = ()
    claimed_bound: float | None = None
    """The best objective that any point can have, says the solver; the certificate never reads it.
    """

    unjudged: str = ""
    """Why an answer has no certificate, where its problem is none that is judged here."""

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
        if self.certificate is not None:
            return self.certificate.verdict.value
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
        found, count = self.certificate, self.margins.size
        support = np.isin(np.arange(count), [] if found is None else found.support)
        return frame(
            {
                "margin": self.margins,
                "multiplier": self.multipliers if found is None else found.multipliers,
                "support": support,
            }
        )

    def _repr_html_(self) -> str:
        shown = "" if self.certificate is None else self.certificate._repr_html_()
        return html_table(self._rows()) + shown

    def report(self) -> str:
        """Return a short text: the run, the solver's claim, then our certificate."""
        text = "\n".join(f"{name:<16}{value}" for name, value in self._rows())
        return text if self.certificate is None else f"{text}\n\n{self.certificate.report()}"

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
            moved, residual = self.polished
            lines.append(("polished", f"moved {moved:.1e}, residual {residual:.1e}"))
        for k, level in enumerate(self.levels):
            if level.approached:
                last = ", ".join(f"{value:.6g}" for _, value in level.approached)
                reach = f"level {k + 1} falls to {last} up to γ = {level.approached[-1][0]:g}"
                lines.append(("not attained", reach))
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return the object of design.md §6; non-finite numbers become None."""
        certificate = None if self.certificate is None else self.certificate.to_json()
        return {
            "problem": self.problem,
            "formulation": self.formulation,
            "solver": self.solver,
            "ran": self.ran.value,
            "claim": self.claim.value,
            "raw_status": self.raw_status,
            "claimed_bound": finite(self.claimed_bound),
            "claimed_gap": finite(self.claimed_gap),
            "theta": [finite(block) for block in self.theta],
            "direction": finite(self.direction),
            "objective": finite(self.objective),
            "margin": finite(self.margin),
            "margins": finite(self.margins),
            "multipliers": finite(self.multipliers),
            "certificate": certificate,
            **({"unjudged": self.unjudged} if self.unjudged else {}),
            "times": {
                "build": finite(self.times.build),
                "solve": finite(self.times.solve),
                "certify": finite(self.times.certify),
            },
            "iterations": self.iterations,
            "seed": self.seed,
            "levels": [level.to_json() for level in self.levels],
            "polished": None
            if self.polished is None
            else {"moved": finite(self.polished[0]), "residual": finite(self.polished[1])},
            "versions": dict(self.versions),
            "others": [other.to_json() for other in self.others],
        }


def finite(value: Any) -> Any:
    """Return numbers and arrays as JSON values, with None for every non-finite number."""
    if isinstance(value, np.ndarray):
        return finite(value.tolist())
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value
