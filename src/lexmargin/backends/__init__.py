"""Backends: Program -> native model -> raw answer. Nothing here judges an answer."""

from __future__ import annotations

from lexmargin.backends.base import Backend, Compiled
from lexmargin.errors import UnsupportedError
from lexmargin.solution import BackendName

__all__ = ["Backend", "BackendName", "Compiled", "backend"]


def backend(name: BackendName) -> Backend:
    """Return the backend of that name; its modelling system is imported when it is used."""
    match name:
        case BackendName.CVXPY:
            from lexmargin.backends.cvxpy import CvxpyBackend

            return CvxpyBackend()
        case BackendName.PYOMO:
            from lexmargin.backends.pyomo import PyomoBackend

            return PyomoBackend()
        case BackendName.CASADI:
            from lexmargin.backends.casadi import CasadiBackend

            return CasadiBackend()
        case BackendName.NEWTON:
            from lexmargin.backends.newton import NewtonBackend

            return NewtonBackend()
        case BackendName.FACE:
            from lexmargin.backends.face_backend import FaceBackend

            return FaceBackend()
        case BackendName.ACTIVE_SET:
            from lexmargin.backends.active_set import ActiveSetBackend

            return ActiveSetBackend()
        case BackendName.CONVEX_CONCAVE:
            from lexmargin.backends.convex_concave import ConvexConcaveBackend

            return ConvexConcaveBackend()
        case BackendName.FIXED_PATTERN:
            from lexmargin.backends.fixed_pattern import FixedPatternBackend

            return FixedPatternBackend()
        case BackendName.AUGMENTED_LAGRANGIAN:
            from lexmargin.backends.augmented_lagrangian import AugmentedLagrangianBackend

            return AugmentedLagrangianBackend()
        case BackendName.SCIPY:
            from lexmargin.backends.scipy import ScipyBackend

            return ScipyBackend()
        case BackendName.UNO:
            from lexmargin.backends.uno import UnoBackend

            return UnoBackend()
        case BackendName.CVXPY_NLP:
            from lexmargin.backends.cvxpy_nlp import CvxpyNlpBackend

            return CvxpyNlpBackend()
        case BackendName.PYOMO_SOLVER:
            from lexmargin.backends.pyomo_solver import PyomoSolverBackend

            return PyomoSolverBackend()
        case BackendName.SKLEARN:
            from lexmargin.backends.sklearn import SklearnBackend

            return SklearnBackend()
    raise UnsupportedError(
        f"There is no compiler for {name.value} programs.", "Use cvxpy, pyomo or casadi."
    )
