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
    raise UnsupportedError(
        f"There is no compiler for {name.value} programs.", "Use cvxpy, pyomo or casadi."
    )
