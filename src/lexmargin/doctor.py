"""Which solvers really work here: a profile is available only if it solves a small problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from lexmargin.data.dataset import Dataset
from lexmargin.errors import LexmarginError, UnsupportedError
from lexmargin.formulations import (
    ConstrainedPath,
    Formulation,
    HardMargin,
    Lexicographic,
    MarginPath,
)
from lexmargin.inputs.progress import Part, Progress, Tick, telling
from lexmargin.predictors import Bias, BiasForm, DiagonalNetwork, Linear, Network, ReLU, Sum
from lexmargin.shelf.library import Library
from lexmargin.shelf.profiles import Profile
from lexmargin.solution import BackendName
from lexmargin.solve import solve

__all__ = ["Finding", "examine"]


@final
@dataclass(frozen=True)
class Finding:
    """What became of one profile: its verdict on a two-variable problem, or why there is none."""

    profile: str
    solver: str
    works: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "profile": self.profile,
            "solver": self.solver,
            "works": self.works,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        return f"{self.profile:<22}{'works' if self.works else 'fails':<8}{self.reason}"


def examine(library: Library, progress: Progress | bool | None = None) -> list[Finding]:
    """Solve small problems with every profile, and judge what comes back."""
    findings: list[Finding] = []
    names = library.profiles()
    with telling(progress) as told:
        for name in names:
            if told is not None:
                told(Tick(Part.PROFILES, len(findings), len(names), name))
            findings.append(_examined(library, library.profile(name)))
    return findings


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


def _examined(library: Library, profile: Profile) -> Finding:
    """Return the first certified answer among the problems the profile accepts."""
    reason = "accepts none of the small problems"
    if profile.backend is BackendName.DESCENT:
        reason = "runs inside `compare` alone"
    for problem in _problems():
        try:
            solution = solve(
                problem, profile.name, grade="low", library=library, starts=1, polish=False
            )
        except UnsupportedError:
            continue
        except LexmarginError as error:
            return Finding(profile.name, profile.solver, False, str(error))
        except Exception as error:
            # A doctor outlives whatever a solver's package raises, and reports it.
            fault = f"{type(error).__name__}: {error}"
            return Finding(profile.name, profile.solver, False, fault)
        certificate = solution.judgement
        if certificate is None:
            reason = f"{solution.ran}: {solution.raw_status}"
            continue
        reason = f"{problem.name} {certificate.verdict.value}"
        reason += f", ε = {certificate.stationarity:.1e}"
        if certificate.certified:
            return Finding(profile.name, profile.solver, True, reason)
    return Finding(profile.name, profile.solver, False, reason)
