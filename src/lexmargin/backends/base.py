"""What a backend is: it compiles a program once and answers as often as it is asked."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from lexmargin.errors import ParameterError, ShapeError, UnknownNameError, nearest
from lexmargin.formulations.base import Formulation
from lexmargin.ops.base import FloatArray
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = [
    "Backend",
    "Compiled",
    "checked_parameters",
    "import_problem",
    "no_answer",
    "starting_values",
]


class Compiled(ABC):
    """A program in a solver's own terms, with its derivatives.

    Multipliers, of every backend: ``λ`` belongs to the Lagrangian of minimisation
    ``objective - Σ λ (left - right)`` for ``>=`` and ``==``, and
    ``objective + Σ λ (left - right)`` for ``<=``; so λ >= 0 for inequalities, and
    ``∇objective = Σ λ ∇left`` for ``>=``.
    """

    @abstractmethod
    def solve(
        self,
        settings: SolverSettings,
        start: Mapping[str, FloatArray] | None = None,
        parameters: Mapping[str, float] | None = None,
        multipliers: Mapping[str, FloatArray] | None = None,
    ) -> RawAnswer:
        """Return the solver's answer.

        Args:
            settings: the solver, its own options, the limits.
            start: values of variables; those left out start at ``program.start``, or at 0.
            parameters: new values of the program's parameters, without compiling again.
            multipliers: a warm start of the multipliers, by constraint name.

        Raises:
            UnsupportedError: the solver cannot handle such programs at all.
            UnknownNameError: a variable or a parameter that the program does not have.
            ShapeError: a start of the wrong shape.
            ParameterError: an option that the solver does not know.
        """


class Backend(ABC):
    """A route from programs to solvers."""

    @abstractmethod
    def available(self, solver: str) -> str:
        """Return "" if the solver can be loaded here, else the sentence why not."""

    @abstractmethod
    def compile(self, program: Program) -> Compiled:
        """Return the native model of a program.

        Raises:
            MissingBackendError: the modelling system is not installed.
            UnsupportedError: the program is outside what the modelling system accepts.
        """

    def suits(self, problem: Formulation) -> bool:
        """Say whether this backend is made for such problems, and should be the default."""
        return False

    def whole(self, problem: Formulation, settings: SolverSettings) -> RawAnswer | None:
        """Answer all stages of a formulation at once; None to go program by program."""
        return None


def import_problem(modules: Sequence[str]) -> str:
    """Return "" if all modules can be imported, else a sentence naming the first that cannot."""
    for module in modules:
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            return f"{module} cannot be imported ({error}); install it."
    return ""


def starting_values(
    program: Program, start: Mapping[str, FloatArray] | None
) -> dict[str, FloatArray]:
    """Return a value for every variable: the given one, else the program's, else 0."""
    start = {} if start is None else start
    shapes = {variable.name: variable.shape for variable in program.variables}
    for name in start:
        if name not in shapes:
            raise UnknownNameError(f"The program has no variable {name!r}.", nearest(name, shapes))
    defaults = dict(program.start)
    values: dict[str, FloatArray] = {}
    for name, shape in shapes.items():
        value = np.asarray(start.get(name, np.full(shape, defaults.get(name, 0.0))), dtype=float)
        if value.shape != shape:
            raise ShapeError(f"The start of {name} has shape {value.shape}, it must be {shape}.")
        values[name] = value
    return values


def checked_parameters(
    program: Program, parameters: Mapping[str, float] | None
) -> dict[str, float]:
    """Return a value for every parameter: the given one, else the program's."""
    values = {parameter.name: parameter.value for parameter in program.parameters}
    for name, value in ({} if parameters is None else parameters).items():
        if name not in values:
            raise UnknownNameError(f"The program has no parameter {name!r}.", nearest(name, values))
        number = float(value)
        if not (np.isfinite(number) and number >= 0):
            raise ParameterError(f"The parameter {name} is {value!r}.", "Give a number >= 0.")
        values[name] = number
    return values


def no_answer(ran: Ran, raw_status: str, *, log: str = "", solve_seconds: float = 0.0) -> RawAnswer:
    """Return an answer without values."""
    return RawAnswer(
        values={},
        multipliers={},
        ran=ran,
        claim=Claim.NOTHING,
        raw_status=raw_status,
        solve_seconds=solve_seconds,
        log=log,
    )
