"""Solver profiles and grades: who may answer, and how exactly they are asked.

A profile translates our words (:class:`Word`) into one solver's own options; a grade is one
tolerance for all solvers. Both are data, read from the ``solvers/`` shelf.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, final

from lexmargin.errors import LibraryError, ParameterError
from lexmargin.inputs.codec import Where, read_as
from lexmargin.inputs.toml import read_toml
from lexmargin.solution import BackendName

__all__ = [
    "BackendName",
    "ClaimRule",
    "Finds",
    "Grade",
    "Handles",
    "Measure",
    "Profile",
    "Word",
    "read_grades",
    "read_profile",
]


class Handles(StrEnum):
    """A class of programs that a solver accepts."""

    LP = "lp"
    QP = "qp"
    SOCP = "socp"
    EXP = "exp"
    SMOOTH = "smooth"
    NONCONVEX = "nonconvex"


class Finds(StrEnum):
    """What a solver's answer is, when its own claim is true."""

    GLOBAL = "global"
    LOCAL = "local"


class Word(StrEnum):
    """Our word for an option; a profile gives the solver's own names for it.

    ``primal``, ``dual`` and ``gap`` are the tolerances on feasibility, on stationarity and on
    complementarity (or the duality gap); ``overall`` is one on a scaled mixture of the three.
    """

    PRIMAL = "primal"
    DUAL = "dual"
    GAP = "gap"
    OVERALL = "overall"
    TIME = "time"
    ITERATIONS = "iterations"
    SEED = "seed"


_TOLERANCES: Final = (Word.PRIMAL, Word.DUAL, Word.GAP, Word.OVERALL)


@final
@dataclass(frozen=True)
class Grade:
    """One tolerance, asked of every solver alike and verified more loosely.

    ``tolerance`` is None for the grade that leaves each solver its own defaults; ``verified`` is
    the relative residual up to which our own certificate accepts the answer.
    """

    name: str
    tolerance: float | None
    verified: float


class Measure(StrEnum):
    """What a solver divides its residuals by before it compares them with a tolerance."""

    TERMS = "terms"
    """``absolute + relative · (the largest of the terms whose difference the residual is)``."""
    SUM = "sum"
    """``absolute · max(1, the sum of the sizes of what the residual is made of)``."""
    ROWS = "rows"
    """As ``terms``, the constraints scaled to rows of length 1."""
    IPOPT = "ipopt"
    """``absolute``, dual ones times ``max(100, mean |λ|)/100``."""


@final
@dataclass(frozen=True)
class ClaimRule:
    """What a solver's "optimal" and "infeasible" mean, by its own definition.

    ``absolute`` and ``relative`` are the tolerances on primal and dual residuals at the grade
    ``default``, as the route to the solver sets them; ``gap_absolute`` and ``gap_relative`` those
    on the duality gap, none where it is not tested. ``infeasible`` bounds ``‖Zᵀλ‖_∞`` of a λ with
    ``Σ λ_n = 1`` that is taken for a proof. ``scales_itself``: residuals are those of a problem
    scaled in a way that is not known here, so that a miss shows nothing.
    """

    measure: Measure
    absolute: float
    relative: float = 0.0
    gap_absolute: float | None = None
    gap_relative: float | None = None
    infeasible: float | None = None
    scales_itself: bool = False

    def at(self, tolerance: float | None) -> ClaimRule:
        """Return the rule at a grade: its tolerance in the place of every one that is tested."""
        if tolerance is None:
            return self
        asked = {
            name: tolerance
            for name in ("absolute", "relative", "gap_absolute", "gap_relative")
            if getattr(self, name)
        }
        return replace(self, **asked)  # type: ignore[arg-type]


@final
@dataclass(frozen=True)
class Profile:
    """A solver, the route to it, and its vocabulary.

    ``cite``, ``licence``, ``requires`` (the module to import) and ``install`` are for people;
    ``fixed`` holds options that are always passed, so that two routes to one solver run the
    same algorithm; ``claim`` says what its own words mean.
    """

    name: str = field(metadata={"internal": True})
    backend: BackendName
    solver: str
    handles: frozenset[Handles]
    finds: Finds
    cite: str
    requires: str
    licence: str = ""
    install: str = ""
    note: str = ""
    words: Mapping[Word, tuple[str, ...]] = field(
        default_factory=lambda: types.MappingProxyType({})
    )
    fixed: Mapping[str, float | int | str | bool] = field(
        default_factory=lambda: types.MappingProxyType({})
    )
    claim: ClaimRule | None = None

    def __reduce__(self) -> tuple[Callable[..., Profile], tuple[object, ...]]:
        # A mapping proxy cannot be pickled, and a profile travels to child processes.
        values = (getattr(self, f.name) for f in fields(self))
        return _rebuilt, tuple(dict(v) if isinstance(v, Mapping) else v for v in values)

    def lacks(self) -> tuple[Word, ...]:
        """Return the words that this solver has no option for."""
        return tuple(word for word in Word if word not in self.words)

    def options(
        self,
        grade: Grade,
        time_limit: float | None = None,
        iterations: int | None = None,
        seed: int | None = None,
    ) -> dict[str, float | int | str | bool]:
        """Return the solver's own options for a grade; words the solver lacks are left out.

        Args:
            grade: its tolerance goes to every tolerance word; none for the default grade.
            time_limit: seconds.
            iterations: at most so many.
            seed: for solvers with random parts.

        Raises:
            ParameterError: a time limit or an iteration limit that is not positive.
        """
        if time_limit is not None and not time_limit > 0:
            raise ParameterError(f"The time limit is {time_limit} s.", "Give a positive number.")
        if iterations is not None and iterations < 1:
            raise ParameterError(f"The iteration limit is {iterations}.", "Give at least 1.")
        asked: dict[Word, float | int | None] = {word: grade.tolerance for word in _TOLERANCES}
        asked[Word.TIME] = None if time_limit is None else float(time_limit)
        asked[Word.ITERATIONS] = iterations
        asked[Word.SEED] = seed
        options: dict[str, float | int | str | bool] = dict(self.fixed)
        for word, value in asked.items():
            if value is not None:
                options |= dict.fromkeys(self.words.get(word, ()), value)
        return options


def _rebuilt(*values: object) -> Profile:
    proxied = (types.MappingProxyType(v) if isinstance(v, dict) else v for v in values)
    names = (f.name for f in fields(Profile))
    return Profile(**dict(zip(names, proxied, strict=True)))  # type: ignore[arg-type]


def read_profile(path: Path) -> Profile:
    """Return the profile in a TOML file; its name is the file's.

    Raises:
        LibraryError: not readable as a profile.
        UnknownNameError: an unknown backend, class of programs or word.
    """
    return read_as(Profile, read_toml(path), Where(path), name=path.stem)


@final
@dataclass(frozen=True)
class _GradeTable:
    verified: float
    tolerance: float | None = None


def read_grades(path: Path) -> tuple[Grade, ...]:
    """Return the grades of one TOML file, in its order.

    Raises:
        LibraryError: not readable, or a tolerance outside (0, 1).
    """
    grades: list[Grade] = []
    for name, raw in read_toml(path).items():
        table = read_as(_GradeTable, raw, Where(path, name))
        for value in (table.verified, table.tolerance):
            if value is not None and not 0 < value < 1:
                raise LibraryError(f"{path}: {name} has the tolerance {value}.", "Use (0, 1).")
        grades.append(Grade(name, table.tolerance, table.verified))
    return tuple(grades)
