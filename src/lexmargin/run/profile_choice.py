"""Which profile answers a problem where none is named, and which is asked second."""

from __future__ import annotations

from collections.abc import Iterator

from lexmargin.backends import backend
from lexmargin.formulations.base import Formulation
from lexmargin.shelf.library import Library
from lexmargin.shelf.profiles import Profile

__all__ = ["SPECIALISED", "choose_profile", "explain", "second_choice"]

SPECIALISED = (
    "face",
    "newton",
    "active-set",
    "convex-concave",
    "fixed-pattern",
    "augmented-lagrangian",
)
"""Profiles tried first, in this order, each for the problems its backend is made for."""


def choose_profile(problem: Formulation, library: Library) -> Profile:
    """Return the default profile: one made for such problems, else Clarabel or Ipopt.

    Ipopt is reached through Pyomo and cyipopt, or through CasADi where cyipopt is missing.
    """
    asked = None
    for asked in _best_first(problem, library):
        if not _missing(asked):
            break
    return asked or library.profile("ipopt-casadi")


def _best_first(problem: Formulation, library: Library) -> Iterator[Profile]:
    """Yield who may answer, whether they are installed or not."""
    # A backend made for a problem of the paper would answer that one.
    known = library.profiles()
    for name in SPECIALISED if problem.is_judged else ():
        if name in known:
            profile = library.profile(name)
            if backend(profile.backend).suits(problem):
                yield profile
    if problem.ends_at_vertices:
        # A simplex method ends at a vertex of a face, an interior-point method finds no interior.
        yield library.profile("highs")
    if problem.program().is_convex:
        yield library.profile("clarabel")
        return
    yield library.profile("ipopt")
    yield library.profile("ipopt-casadi")


def _missing(profile: Profile) -> str:
    return backend(profile.backend).available(profile.solver)


def explain(problem: Formulation, library: Library | None = None) -> str:
    """Return which route :func:`lexmargin.solve` takes with "auto", and why.

    The kind of the program, the profile that answers it and the solver behind it, who is asked
    second where that answer is not certified, and who is missing here who would come first.
    """
    shelves = library or Library()
    chosen = choose_profile(problem, shelves)
    second = second_choice(problem, shelves, chosen)
    words = f"{problem.shape_in_words()} -> {_in_words(chosen)}"
    if second is not None:
        words += f"; if that is not certified, {_in_words(second)}"
    for profile in _best_first(problem, shelves):
        if profile.name == chosen.name:
            break
        words += f"; {profile.name} would come first, but: {_missing(profile)}"
    if problem.data.weights is not None:
        kind = "those of the loss" if problem.traits.is_loss else "ignored: the problem has no loss"
        words += f"; the weights of the samples are {kind}"
    return words


def _in_words(profile: Profile) -> str:
    return f"{profile.name} ({profile.solver} through {profile.backend.value})"


def second_choice(problem: Formulation, library: Library, first: Profile) -> Profile | None:
    """Return who else may answer a convex problem, where the default profile was not certified."""
    if problem.data.is_sparse or not (problem.is_judged and problem.program().is_convex):
        return None
    profile = library.profile("clarabel")
    usable = not backend(profile.backend).available(profile.solver)
    return profile if usable and profile.name != first.name else None
