"""Which profile answers a problem where none is named, and which is asked second."""

from __future__ import annotations

from lexmargin.backends import backend
from lexmargin.formulations.base import Formulation
from lexmargin.shelf.library import Library
from lexmargin.shelf.profiles import Profile

__all__ = ["SPECIALISED", "choose_profile", "second_choice"]

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
    # A backend made for a problem of the paper would answer that one.
    for name in SPECIALISED if problem.is_judged else ():
        if name in library.profiles():
            profile = library.profile(name)
            engine = backend(profile.backend)
            if engine.suits(problem) and not engine.available(profile.solver):
                return profile
    if problem.ends_at_vertices:
        # A simplex method ends at a vertex of a face, an interior-point method finds no interior.
        simplex = library.profile("highs")
        if not backend(simplex.backend).available(simplex.solver):
            return simplex
    if problem.program().is_convex:
        return library.profile("clarabel")
    pyomo = library.profile("ipopt")
    if not backend(pyomo.backend).available(pyomo.solver):
        return pyomo
    return library.profile("ipopt-casadi")


def second_choice(problem: Formulation, library: Library, first: Profile) -> Profile | None:
    """Return who else may answer a convex problem, where the default profile was not certified."""
    if problem.data.is_sparse or not (problem.is_judged and problem.program().is_convex):
        return None
    profile = library.profile("clarabel")
    usable = not backend(profile.backend).available(profile.solver)
    return profile if usable and profile.name != first.name else None
