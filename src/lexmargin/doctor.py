"""Which solvers really work here: a profile is available only if it solves a small problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from lexmargin.data import Dataset
from lexmargin.errors import LexmarginError
from lexmargin.formulations import Formulation, HardMargin, MarginPath
from lexmargin.library import Library
from lexmargin.library_profiles import Handles, Profile
from lexmargin.predictors import DiagonalNetwork, Linear
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
        return f"{self.profile:<18}{'works' if self.works else 'fails':<8}{self.reason}"


def examine(library: Library, progress: Callable[[str], None]) -> list[Finding]:
    """Solve a problem whose answer is known with every profile, and judge what comes back."""
    findings = []
    for name in library.profiles():
        progress(name)
        findings.append(_examined(library, library.profile(name)))
    return findings


def _problem(profile: Profile) -> Formulation:
    """Return two samples on the axes, in the largest class of programs the profile handles."""
    data = Dataset([[1.0, 0.0], [0.0, 2.0]], [1, 1], one_class=True)
    if Handles.NONCONVEX in profile.handles:
        return HardMargin(DiagonalNetwork(2), data)
    if Handles.QP in profile.handles:
        return HardMargin(Linear(), data)
    return MarginPath(Linear(), data, norm=1.0)


def _examined(library: Library, profile: Profile) -> Finding:
    try:
        solution = solve(_problem(profile), profile.name, library=library, polish=False)
    except LexmarginError as error:
        return Finding(profile.name, profile.solver, False, str(error))
    except Exception as error:
        # A solver's own package may raise anything; the other profiles are still to be examined.
        return Finding(profile.name, profile.solver, False, f"{type(error).__name__}: {error}")
    certificate = solution.certificate
    if certificate is None:
        reason = f"{solution.ran}: {solution.raw_status}"
        return Finding(profile.name, profile.solver, False, reason)
    accurate = certificate.stationarity <= 1e-2 and certificate.margin > 0
    reason = f"{certificate.verdict.value}, ε = {certificate.stationarity:.1e}"
    return Finding(profile.name, profile.solver, accurate, reason)
