"""Which solvers really work here: a profile is available only if it solves a small problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

from lexmargin.data.dataset import Dataset
from lexmargin.errors import LexmarginError, MissingBackendError, UnsupportedError
from lexmargin.formulations import (
    ConstrainedPath,
    Formulation,
    HardMargin,
    Lexicographic,
    MarginPath,
)
from lexmargin.outputs.progress import Part, Progress, Tick, telling
from lexmargin.predictors import Bias, BiasForm, DiagonalNetwork, Linear, Network, ReLU, Sum
from lexmargin.shelf.library import Library
from lexmargin.shelf.profiles import Profile
from lexmargin.solution import BackendName
from lexmargin.solve import solve

__all__ = ["Finding", "State", "examine", "healthy", "summary"]


class State(StrEnum):
    """What a profile is here."""

    WORKS = "works"
    ABSENT = "absent"
    FAILS = "fails"
    INSIDE = "inside"
    """A contender of ``compare`` that answers no call of ``solve``."""


@final
@dataclass(frozen=True)
class Finding:
    """What became of one profile: its verdict on a two-variable problem, or why there is none."""

    profile: str
    solver: str
    state: State
    required: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "profile": self.profile,
            "solver": self.solver,
            "state": self.state.value,
            "required": self.required,
            "reason": self.reason,
        }


def examine(library: Library, progress: Progress | bool | None = None) -> list[Finding]:
    """Solve small problems with every profile, and judge what comes back."""
    findings: list[Finding] = []
    names = library.profiles()
    with telling(progress) as told:
        for name in names:
            if told is not None:
                told(Tick(Part.PROFILES, len(findings), len(names), name))
            profile = library.profile(name)
            state, reason = _examined(library, profile)
            findings.append(Finding(name, profile.solver, state, profile.is_required, reason))
    return findings


def healthy(findings: Sequence[Finding]) -> bool:
    """Say whether every profile that comes with lexmargin works."""
    return all(f.state in (State.WORKS, State.INSIDE) for f in findings if f.required)


def summary(findings: Sequence[Finding]) -> str:
    """Return what follows from the findings, in one sentence for each kind of profile."""
    required = [f for f in findings if f.required and f.state is not State.INSIDE]
    broken = [f.profile for f in required if f.state is not State.WORKS]
    optional = [f for f in findings if not f.required]
    absent = [f.profile for f in optional if f.state is State.ABSENT]
    failing = [f.profile for f in optional if f.state is State.FAILS]
    lines = [f"all {len(required)} profiles that come with lexmargin work"]
    if broken:
        lines = [f"profiles that come with lexmargin and do not work: {', '.join(broken)}"]
    if absent:
        lines.append(f"absent, and not needed: {', '.join(absent)}")
    if failing:
        lines.append(f"installed, and failing: {', '.join(failing)}")
    return "\n".join(lines)


def _problems() -> tuple[Formulation, ...]:
    """Return small problems with known answers, one for each kind of backend."""
    data = Dataset([[1.0, 0.0], [0.0, 2.0]], [1, 1], one_class=True)
    two = Dataset([[1.0, 0.0], [-1.0, 0.5]], [1, -1])
    return (
        HardMargin(DiagonalNetwork(2), data),
        HardMargin(Linear(), data),
        MarginPath(Linear(), data, norm=1.0),
        HardMargin(Sum([Linear(), Bias(BiasForm.PLAIN)]), two),
        HardMargin(Network((2,), ReLU()), data),
        ConstrainedPath(Linear(), data, rho=10.0),
        Lexicographic(Linear(), data, norm=1.0),
    )


def _examined(library: Library, profile: Profile) -> tuple[State, str]:
    """Return the first certified answer among the problems the profile accepts."""
    if profile.backend is BackendName.DESCENT:
        return State.INSIDE, "runs inside `compare` alone"
    reason = "accepts none of the small problems"
    for problem in _problems():
        try:
            solution = solve(
                problem, profile.name, grade="low", library=library, starts=1, polish=False
            )
        except UnsupportedError:
            continue
        except MissingBackendError as error:
            return State.ABSENT, str(error) if profile.is_required else profile.remedy
        except LexmarginError as error:
            return State.FAILS, str(error)
        except Exception as error:
            # A doctor outlives whatever a solver's package raises, and reports it.
            return State.FAILS, f"{type(error).__name__}: {error}"
        certificate = solution.judgement
        if certificate is None:
            reason = f"{solution.ran}: {solution.raw_status}"
            continue
        reason = f"{problem.name} {certificate.verdict.value}"
        reason += f", ε = {certificate.stationarity:.1e}"
        if certificate.certified:
            return State.WORKS, reason
    return State.FAILS, reason
