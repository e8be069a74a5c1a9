"""Which units a comparison consists of: names and globs checked before any work starts."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, product
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from lexmargin.compare.contender import Contender
from lexmargin.compare.jobs import Limits, Unit, code_digest, packages_of
from lexmargin.compare.sources import (
    Source,
    contender_source,
    file_source,
    object_source,
    profile_source,
)
from lexmargin.errors import LibraryError, ParameterError, UnknownNameError, nearest
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.limits import COMPARISON_UNITS
from lexmargin.shelf.collection import PREFIX, collection
from lexmargin.shelf.library import Library
from lexmargin.shelf.library import grade as named_grade
from lexmargin.shelf.profiles import Handles, Profile
from lexmargin.solution import BackendName

__all__ = ["GROUPS", "Problem", "Solver", "chosen_problems", "chosen_profiles", "plan"]

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


Problem: TypeAlias = str | Path | Formulation
"""A name, a glob, a file, a folder of files, or the problem itself."""
Solver: TypeAlias = str | Contender
"""A profile, a glob over profiles, a group, or a model of one's own."""


def plan(
    library: Library,
    problems: Sequence[Problem],
    solvers: Sequence[Solver],
    grades: Sequence[str] = ("default",),
    seeds: Sequence[int] = (0,),
    limits: Limits | None = None,
    *,
    scaled: Sequence[bool] = (False,),
) -> tuple[Unit, ...]:
    """Return the units of problems × entrants × scalings × grades × seeds, in that order.

    Args:
        library: the shelves.
        problems: names, last parts of names, files, folders, globs over names, or formulations;
            ``"collection"`` is every problem of the collection.
        solvers: names, globs over names, groups (:data:`GROUPS`), or contenders.
        grades: names of grades.
        seeds: of every random choice, 0 or more.
        limits: of each unit.
        scaled: whether the toolkit chooses the unit of the margins, instead of showing solvers the
            numbers as they are; both for two rows side by side.

    Raises:
        UnknownNameError: a name that is on no shelf, or a glob that matches nothing.
        ParameterError: a limit that is not positive, a negative seed, nothing to compare, a
            contender with the name of another entrant.
        LibraryError: a file that cannot be read as what it should be.
        UnsupportedError: an object that cannot be sent to another process.
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
    given: tuple[tuple[str, Sequence[Any]], ...] = (
        ("problems", problems), ("solvers", solvers), ("grades", grades), ("seeds", seeds),
        ("scalings", scaled),
    )  # fmt: skip
    for what, values in given:
        if not values:
            raise ParameterError(
                f"There are no {what} to compare.", f"Name at least one of {what}."
            )
    chosen_grades = [named_grade(name) for name in _distinct(grades)]
    stated = chosen_problems(library, problems)
    entrants = chosen_entrants(library, solvers)
    combinations = list(product(_distinct(scaled), chosen_grades, _distinct(seeds)))
    units = len(stated) * len(entrants) * len(combinations)
    if units > COMPARISON_UNITS:
        raise ParameterError(f"These are {units} units.", f"Compare at most {COMPARISON_UNITS}.")
    code = code_digest()
    return tuple(
        Unit(problem, entrant, grade, seed, limits, scaling, versions, code)
        for problem in stated
        for entrant, versions in entrants
        for scaling, grade, seed in combinations
    )


def chosen_problems(library: Library, given: Sequence[Problem]) -> tuple[Source, ...]:
    """Return the problems of names, globs, files, folders and objects, in the order given."""
    known = library.problem_paths()
    files: dict[str, Path] = {}
    chosen: dict[str, Source | None] = {}
    for one in given:
        if isinstance(one, Formulation):
            name = _fresh(one.data.name or one.word, chosen)
            chosen[name] = object_source(name, one)
            continue
        if isinstance(one, str) and one.partition("/")[0] == PREFIX:
            for name in _collected(one):
                chosen.setdefault(name, object_source(name, collection()[name].problem))
            continue
        for name, path in _files(library, known, one):
            files[name] = path
            chosen.setdefault(name, None)
    return tuple(
        file_source(name, library.problem(files[name])) if source is None else source
        for name, source in chosen.items()
    )


def _collected(word: str) -> list[str]:
    """Return the names of the collection that a word, a name or a glob stands for."""
    known = collection()
    if word == PREFIX or _is_glob(word):
        return _matching("*" if word == PREFIX else word, known, "problem")
    if word not in known:
        raise UnknownNameError(f"The collection has no problem {word!r}.", nearest(word, known))
    return [word]


def _files(
    library: Library, known: Mapping[str, Path], given: str | Path
) -> Iterator[tuple[str, Path]]:
    """Return the names and files of one word or path."""
    text = str(given)
    if isinstance(given, str) and _is_glob(given):
        yield from ((found, known[found]) for found in _matching(given, known, "problem"))
    elif text not in known and (isinstance(given, Path) or "/" in text) and Path(text).is_dir():
        folder = Path(text)
        paths = sorted(folder.rglob("*.toml"))
        if not paths:
            raise LibraryError(f"{folder} holds no problem files.", "Name a folder of TOML files.")
        yield from ((p.relative_to(folder).with_suffix("").as_posix(), p) for p in paths)
    else:
        path = library.problem(given).path
        yield next((other for other, where in known.items() if where == path), text), path


def _fresh(name: str, taken: Mapping[str, Any]) -> str:
    """Return the name, with a number where it is taken."""
    numbered = (f"{name}-{k}" for k in count(2))
    return name if name not in taken else next(n for n in numbered if n not in taken)


def chosen_entrants(
    library: Library, given: Sequence[Solver]
) -> tuple[tuple[Source, tuple[tuple[str, str], ...]], ...]:
    """Return who answers, with the versions that the answers depend on, in the order given."""
    chosen: dict[str, Contender | None] = {}
    for one in given:
        found = chosen_profiles(library, [one]) if isinstance(one, str) else ()
        if isinstance(one, Contender):
            if one.name in chosen or one.name in library.profile_paths():
                raise ParameterError(
                    f"Two entrants are called {one.name!r}.", "Give the contender a name='…'."
                )
            chosen[one.name] = one
        for name in found:
            chosen.setdefault(name, None)
    paths = library.profile_paths()
    return tuple(
        (profile_source(name, paths[name]), packages_of(library.profile(name)))
        if own is None
        else (contender_source(own), packages_of(None))
        for name, own in chosen.items()
    )


def chosen_profiles(library: Library, names: Sequence[str]) -> tuple[str, ...]:
    """Return the profiles of names, globs over names and groups, in the order given."""
    known = library.profile_paths()
    chosen: dict[str, None] = {}
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
        chosen |= dict.fromkeys(found)
    return tuple(chosen)


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
