"""Units of a comparison: one problem, one profile, one grade, one seed, and the limits."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from lexmargin.compare.own_modules import OwnModule, modules_of
from lexmargin.errors import LibraryError
from lexmargin.inputs.files import read_file
from lexmargin.inputs.json_text import canonical
from lexmargin.inputs.kinds import checked_class
from lexmargin.inputs.limits import HASHED_BYTES
from lexmargin.shelf.library import Library
from lexmargin.shelf.problems import ProblemFile
from lexmargin.shelf.profiles import Grade, Profile
from lexmargin.version import installed

__all__ = [
    "FORMAT",
    "Limits",
    "Unit",
    "code_digest",
    "digest",
    "problem_digest",
    "unit_of",
]


FORMAT: Final = 2
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

    The two paths say where the files are; they are no part of the identity, their contents are.
    ``scaled`` lets the toolkit measure margins in a power of two near their size, which is what
    :func:`lexmargin.solve` does; without it the solver sees the numbers as they are.
    """

    problem: str
    problem_path: str
    problem_digest: str
    profile: str
    profile_path: str
    profile_digest: str
    grade: Grade
    seed: int
    limits: Limits
    scaled: bool
    versions: tuple[tuple[str, str], ...]
    code: str
    modules: tuple[OwnModule, ...] = ()

    def identity(self) -> dict[str, Any]:
        """Return what decides the result, as JSON values."""
        own = {module.name: module.sha256 for module in self.modules}
        return {
            "format": FORMAT,
            "problem": self.problem,
            "problem_digest": self.problem_digest,
            "profile": self.profile,
            "profile_digest": self.profile_digest,
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


def digest(content: bytes) -> str:
    """Return 32 hexadecimal digits of the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()[:32]


def problem_digest(problem: ProblemFile) -> str:
    """Return the digest of a problem file and of the file of samples it names.

    Raises:
        LibraryError: a file of samples that cannot be read.
    """
    parts = [_read(problem.path)]
    for name in (problem.data.csv, problem.data.npz):
        if name is not None:
            parts.append(_read(problem.folder / name))
    return digest(b"".join(digest(part).encode() for part in parts))


def unit_of(
    library: Library,
    problem: tuple[str, Path],
    profile: tuple[str, Path],
    grade: Grade,
    seed: int,
    limits: Limits,
    *,
    scaled: bool = False,
) -> Unit:
    """Return the unit of one combination; problem and profile are (name, path)."""
    read = library.problem(problem[1])
    return Unit(
        problem=problem[0],
        problem_path=str(problem[1].resolve()),
        problem_digest=problem_digest(read),
        profile=profile[0],
        profile_path=str(profile[1].resolve()),
        profile_digest=digest(_read(profile[1])),
        grade=grade,
        seed=seed,
        limits=limits,
        scaled=scaled,
        versions=_versions(library.profile(profile[0])),
        code=code_digest(),
        modules=modules_of(read),
    )


def _versions(profile: Profile) -> tuple[tuple[str, str], ...]:
    names = sorted({*_PACKAGES, profile.requires} - {""})
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


def _read(path: Path) -> bytes:
    return read_file(path, HASHED_BYTES, LibraryError, "Check the path.")
