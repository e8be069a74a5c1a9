"""Units of a comparison: one problem, one profile, one grade, one seed, and the limits."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from lexmargin.compare.sources import OwnModule, Source, digest
from lexmargin.inputs.kinds import checked_class
from lexmargin.shelf.profiles import Grade, Profile
from lexmargin.version import installed

__all__ = ["FORMAT", "Limits", "Unit", "canonical", "code_digest", "packages_of"]


FORMAT: Final = 3
"""Version of the result files; files of another version are refused, never mixed."""

_PACKAGES: Final = (
    "lexmargin",
    "numpy",
    "scipy",
    "cvxpy",
    "pyomo",
    "casadi",
    "scikit-learn",
)


@final
@checked_class
@dataclass(frozen=True)
class Limits:
    """What one unit may use: wall seconds of the solver, MiB beyond what the process starts with.

    The certificate gets as many seconds again, counted from the moment the solver has ended.
    """

    seconds: float = 60.0
    mebibytes: int = 4096


@final
@dataclass(frozen=True)
class Unit:
    """The specification of one run; equal specifications have equal results.

    Where the files of its sources are is no part of the identity, their contents are.
    ``scaled`` lets the toolkit measure margins in a power of two near their size, which is what
    :func:`lexmargin.solve` does; without it the solver sees the numbers as they are.
    """

    problem: Source
    entrant: Source
    grade: Grade
    seed: int
    limits: Limits
    scaled: bool
    versions: tuple[tuple[str, str], ...]
    code: str

    @property
    def modules(self) -> tuple[OwnModule, ...]:
        """Somebody's own modules, which the unit's process imports first."""
        return tuple(dict.fromkeys((*self.problem.modules, *self.entrant.modules)))

    def __str__(self) -> str:
        return f"{self.problem.name} {self.entrant.name} {self.grade.name}"

    def identity(self) -> dict[str, Any]:
        """Return what decides the result, as JSON values."""
        own = {module.name: module.sha256 for module in self.modules}
        return {
            "format": FORMAT,
            "problem": self.problem.name,
            "problem_digest": self.problem.digest,
            "profile": self.entrant.name,
            "profile_digest": self.entrant.digest,
            "grade": dict(vars(self.grade)),
            "seed": self.seed,
            "limits": dict(vars(self.limits)),
            "scaled": self.scaled,
            "versions": dict(self.versions),
            "code": self.code,
            **({"modules": own} if own else {}),
        }

    @functools.cached_property
    def key(self) -> str:
        """SHA-256 of the identity: the name of the result's file."""
        return digest(canonical(self.identity()))


def canonical(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted keys, no spaces, finite numbers, UTF-8."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def packages_of(profile: Profile | None) -> tuple[tuple[str, str], ...]:
    """Return the versions that a result depends on: of a profile's package, and of the rest."""
    names = sorted({*_PACKAGES, "" if profile is None else profile.requires} - {""})
    return tuple((name, found) for name in names if (found := installed(name)) is not None)


@functools.cache
def code_digest() -> str:
    """Return the digest of this package's modules: another program is another experiment."""
    package = Path(__file__).resolve().parents[1]
    skipped = (package / "library", package / "templates")
    parts = [
        f"{path.relative_to(package).as_posix()} {digest(path.read_bytes())}"
        for path in sorted(package.rglob("*.py"))
        if not any(folder in path.parents for folder in skipped)
    ]
    return digest("\n".join(parts).encode())
