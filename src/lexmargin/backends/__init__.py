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
            from lexmargin.backends.models.cvxpy import CvxpyBackend

            return CvxpyBackend()
        case BackendName.PYOMO:
            from lexmargin.backends.models.pyomo import PyomoBackend

            return PyomoBackend()
        case BackendName.CASADI:
            from lexmargin.backends.models.casadi import CasadiBackend

            return CasadiBackend()
        case BackendName.NEWTON:
            from lexmargin.backends.losses.newton_backend import NewtonBackend

            return NewtonBackend()
        case BackendName.FACE:
            from lexmargin.backends.levels.face_backend import FaceBackend

            return FaceBackend()
        case BackendName.ACTIVE_SET:
            from lexmargin.backends.linear.active_set import ActiveSetBackend

            return ActiveSetBackend()
        case BackendName.CONVEX_CONCAVE:
            from lexmargin.backends.kinked.convex_concave import ConvexConcaveBackend

            return ConvexConcaveBackend()
        case BackendName.FIXED_PATTERN:
            from lexmargin.backends.kinked.fixed_pattern import FixedPatternBackend

            return FixedPatternBackend()
        case BackendName.AUGMENTED_LAGRANGIAN:
            from lexmargin.backends.smooth.augmented_lagrangian import AugmentedLagrangianBackend

            return AugmentedLagrangianBackend()
        case BackendName.SCIPY:
            from lexmargin.backends.models.scipy import ScipyBackend

            return ScipyBackend()
        case BackendName.UNO:
            from lexmargin.backends.models.uno import UnoBackend

            return UnoBackend()
        case BackendName.CVXPY_NLP:
            from lexmargin.backends.models.cvxpy_nlp import CvxpyNlpBackend

            return CvxpyNlpBackend()
        case BackendName.PYOMO_SOLVER:
            from lexmargin.backends.models.pyomo_solver import PyomoSolverBackend

            return PyomoSolverBackend()
        case BackendName.SKLEARN:
            from lexmargin.backends.models.sklearn import SklearnBackend

            return SklearnBackend()
    raise UnsupportedError(
        f"There is no compiler for {name.value} programs.", "Use cvxpy, pyomo or casadi."
    )
