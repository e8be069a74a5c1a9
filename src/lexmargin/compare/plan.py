"""Which units a comparison consists of: names and globs checked before any work starts."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from lexmargin.compare.jobs import Limits, Unit, unit_of
from lexmargin.errors import ParameterError, UnknownNameError, nearest
from lexmargin.inputs.limits import COMPARISON_UNITS
from lexmargin.shelf.library import Library
from lexmargin.shelf.library import grade as named_grade
from lexmargin.shelf.profiles import Handles, Profile
from lexmargin.solution import BackendName

__all__ = ["GROUPS", "chosen_problems", "chosen_profiles", "plan"]

_T = TypeVar("_T")
_BASELINES: Final = (BackendName.SKLEARN, BackendName.DESCENT)


def _is_baseline(profile: Profile) -> bool:
    return profile.backend in _BASELINES


def _is_nonconvex(profile: Profile) -> bool:
    return not _is_baseline(profile) and Handles.NONCONVEX in profile.handles


def _is_convex(profile: Profile) -> bool:
    return not _is_baseline(profile) and Handles.NONCONVEX not in profile.handles


GROUPS: Final[Mapping[str, Callable[[Profile], bool]]] = {
    "all": lambda profile: True,
    "convex": _is_convex,
    "nonconvex": _is_nonconvex,
    "baselines": _is_baseline,
}
"""Names for several profiles at once."""


def plan(
    library: Library,
    problems: Sequence[str],
    solvers: Sequence[str],
    grades: Sequence[str] = ("default",),
    seeds: Sequence[int] = (0,),
    limits: Limits | None = None,
    *,
    scaled: bool = False,
) -> tuple[Unit, ...]:
    """Return the units of problems × profiles × grades × seeds, in that order.

    Args:
        library: the shelves.
        problems: names, last parts of names, files, or globs over names.
        solvers: names, globs over names, or groups (:data:`GROUPS`).
        grades: names of grades.
        seeds: of every random choice, 0 or more.
        limits: of each unit.
        scaled: let the toolkit choose the unit of the margins, instead of showing solvers the
            numbers as they are.

    Raises:
        UnknownNameError: a name that is on no shelf, or a glob that matches nothing.
        ParameterError: a limit that is not positive, a negative seed, nothing to compare.
        LibraryError: a file that cannot be read as what it should be.
    """
    limits = limits or Limits()
    if not (math.isfinite(limits.seconds) and limits.seconds > 0):
        raise ParameterError(
            f"The time limit is {limits.seconds:g} s.", "Give a positive number of seconds."
        )
    if limits.mebibytes < 1:
        raise ParameterError(
            f"The memory limit is {limits.mebibytes} MiB.", "Give a positive number of MiB."
        )
    for seed in seeds:
        if seed < 0:
            raise ParameterError(f"A seed is {seed}.", "Give 0 or more.")
    given = (("problems", problems), ("solvers", solvers), ("grades", grades), ("seeds", seeds))
    for what, values in given:
        if not values:
            raise ParameterError(
                f"There are no {what} to compare.", f"Name at least one of {what}."
            )
    chosen_grades = [named_grade(name) for name in _distinct(grades)]
    paths = chosen_problems(library, problems)
    profiles = chosen_profiles(library, solvers)
    count = len(paths) * len(profiles) * len(chosen_grades) * len(seeds)
    if count > COMPARISON_UNITS:
        raise ParameterError(f"These are {count} units.", f"Compare at most {COMPARISON_UNITS}.")
    return tuple(
        unit_of(library, problem, profile, grade, seed, limits, scaled=scaled)
        for problem in paths.items()
        for profile in profiles.items()
        for grade in chosen_grades
        for seed in _distinct(seeds)
    )


def chosen_problems(library: Library, names: Sequence[str]) -> dict[str, Path]:
    """Return the problem files of names and globs, in the order given."""
    known = library.problem_paths()
    chosen: dict[str, Path] = {}
    for name in names:
        if _is_glob(name):
            chosen |= {found: known[found] for found in _matching(name, known, "problem")}
            continue
        path = library.problem(name).path
        full = next((other for other, where in known.items() if where == path), name)
        chosen[full] = path
    return chosen


def chosen_profiles(library: Library, names: Sequence[str]) -> dict[str, Path]:
    """Return the profile files of names, globs and groups, in the order given."""
    known = library.profile_paths()
    chosen: dict[str, Path] = {}
    for name in names:
        if name in GROUPS and name not in known:
            belongs = GROUPS[name]
            found = [other for other in known if belongs(library.profile(other))]
        elif _is_glob(name):
            found = _matching(name, known, "solver profile")
        elif name in known:
            found = [name]
        else:
            hint = nearest(name, [*known, *GROUPS])
            raise UnknownNameError(f"There is no solver profile {name!r}.", hint)
        for other in found:
            library.profile(other)
        chosen |= {other: known[other] for other in found}
    return chosen


def _is_glob(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def _matching(pattern: str, known: Iterable[str], what: str) -> list[str]:
    names = list(known)
    found = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
    if not found:
        raise UnknownNameError(
            f"No {what} matches {pattern!r}.", nearest(pattern.strip("*?[]/"), names)
        )
    return found


def _distinct(values: Sequence[_T]) -> list[_T]:
    return list(dict.fromkeys(values))
