"""Backends: Program -> native model -> raw answer. Nothing here judges an answer."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from lexmargin.backends.base import Backend, Compiled
from lexmargin.errors import UnsupportedError
from lexmargin.solution import BackendName

__all__ = ["BACKEND_MODULES", "Backend", "BackendName", "Compiled", "backend"]

_HOMES: Final = {
    BackendName.CVXPY: ("models.cvxpy", "CvxpyBackend"),
    BackendName.PYOMO: ("models.pyomo", "PyomoBackend"),
    BackendName.CASADI: ("models.casadi", "CasadiBackend"),
    BackendName.NEWTON: ("losses.newton_backend", "NewtonBackend"),
    BackendName.FACE: ("levels.face_backend", "FaceBackend"),
    BackendName.ACTIVE_SET: ("linear.active_set", "ActiveSetBackend"),
    BackendName.CONVEX_CONCAVE: ("kinked.convex_concave", "ConvexConcaveBackend"),
    BackendName.FIXED_PATTERN: ("kinked.fixed_pattern", "FixedPatternBackend"),
    BackendName.AUGMENTED_LAGRANGIAN: ("smooth.augmented_lagrangian", "AugmentedLagrangianBackend"),
    BackendName.SCIPY: ("models.scipy", "ScipyBackend"),
    BackendName.UNO: ("models.uno", "UnoBackend"),
    BackendName.CVXPY_NLP: ("models.cvxpy_nlp", "CvxpyNlpBackend"),
    BackendName.PYOMO_SOLVER: ("models.pyomo_solver", "PyomoSolverBackend"),
    BackendName.SKLEARN: ("models.sklearn", "SklearnBackend"),
}
BACKEND_MODULES: Final = tuple(f"{__name__}.{module}" for module, _ in _HOMES.values())


def backend(name: BackendName) -> Backend:
    """Return the backend of that name; its modelling system is imported when it is used."""
    if name not in _HOMES:
        raise UnsupportedError(
            f"There is no compiler for {name.value} programs.", "Use cvxpy, pyomo or casadi."
        )
    module, kind = _HOMES[name]
    made: Backend = getattr(import_module(f"{__name__}.{module}"), kind)()
    return made
