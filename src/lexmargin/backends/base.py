"""What a backend is: it compiles a program once and answers as often as it is asked."""

from __future__ import annotations

import importlib
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, final

import numpy as np

from lexmargin.errors import (
    MissingBackendError,
    ParameterError,
    ShapeError,
    UnknownNameError,
    nearest,
)
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.levels import Level
from lexmargin.ops.base import FloatArray
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = [
    "Backend",
    "Compiled",
    "Found",
    "Request",
    "Stopwatch",
    "import_problem",
    "required",
]

_SOLVER = "solver"
_BUILD = "build"


@final
class Stopwatch:
    """Seconds by phase: a lap ends with a name, and what is not named yet belongs to the next."""

    def __init__(self) -> None:
        self.began = self._last = time.perf_counter()
        self.phases: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """End a phase here."""
        now = time.perf_counter()
        self.share(name, now - self._last)
        self._last = now

    def share(self, name: str, seconds: float) -> None:
        """Give a phase some seconds of the current lap, as another clock measured them."""
        self.phases[name] = self.phases.get(name, 0.0) + seconds
        self._last += seconds

    def take(self, raw: RawAnswer) -> None:
        """Give phases what a solve inside this one spent on them before its solver ran."""
        for name, seconds in raw.phases.items():
            if name != _SOLVER:
                self.share(name, seconds)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Request:
    """What one solve is asked, checked against the program.

    Attributes:
        settings: the solver, its own options, the limits.
        values: a value for every variable: the given one, else the program's, else 0.
        started: whether a start was given.
        parameters: a value for every parameter.
        multipliers: a warm start, as given.
        watch: running since the solve began.
    """

    settings: SolverSettings
    values: Mapping[str, FloatArray]
    started: bool
    parameters: Mapping[str, float]
    multipliers: Mapping[str, FloatArray] | None
    watch: Stopwatch

    @property
    def deadline(self) -> float:
        """When the time limit ends, of ``time.perf_counter()``; inf without one."""
        limit = self.settings.time_limit
        return np.inf if limit is None else self.watch.began + limit

    @property
    def late(self) -> bool:
        """Whether the time limit is over."""
        return time.perf_counter() > self.deadline

    @property
    def seconds(self) -> float:
        """Since the solve began."""
        return time.perf_counter() - self.watch.began

    @property
    def remaining(self) -> SolverSettings:
        """The settings with the time that is left."""
        limit = self.settings.time_limit
        if limit is None:
            return self.settings
        return replace(self.settings, time_limit=max(1e-3, limit - self.seconds))


@final
@dataclass(frozen=True)
class Found:
    """What a method found; fields as in :class:`~lexmargin.solution.RawAnswer`.

    ``solver_seconds`` is the solver's own clock, where it has one.
    """

    ran: Ran
    raw_status: str
    claim: Claim = Claim.NOTHING
    values: Mapping[str, FloatArray] = field(default_factory=dict)
    multipliers: Mapping[str, FloatArray] = field(default_factory=dict)
    iterations: int | None = None
    log: str = ""
    levels: tuple[Level, ...] = ()
    objective: float | None = None
    bound: float | None = None
    solver_seconds: float | None = None

    def answer(self, built: Mapping[str, float], watch: Stopwatch) -> RawAnswer:
        """Return the raw answer; the last lap of the watch is the solver's.

        Args:
            built: seconds by phase spent before, once for all answers.
            watch: running since the solve began.
        """
        watch.lap(_SOLVER)
        phases = {**built, **watch.phases}
        solving = phases[_SOLVER]
        if self.solver_seconds is not None:
            phases[_SOLVER] = self.solver_seconds
        return RawAnswer(
            values=self.values,
            multipliers=self.multipliers,
            ran=self.ran,
            claim=self.claim,
            raw_status=self.raw_status,
            iterations=self.iterations,
            build_seconds=sum(t for name, t in phases.items() if name != _SOLVER),
            solve_seconds=solving,
            phases=phases,
            log=self.log,
            levels=self.levels,
            objective=self.objective,
            bound=self.bound,
        )


class Compiled(ABC):
    """A program in a solver's own terms, with its derivatives.

    A method says how it builds its model (:meth:`_build`) and what it finds (:meth:`_run`).

    Multipliers, of every backend: ``λ`` belongs to the Lagrangian of minimisation
    ``objective - Σ λ (left - right)`` for ``>=`` and ``==``, and
    ``objective + Σ λ (left - right)`` for ``<=``; so λ >= 0 for inequalities, and
    ``∇objective = Σ λ ∇left`` for ``>=``.

    Args:
        program: what is to be solved.

    Raises:
        UnsupportedError: the program is outside what the method accepts.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._built = Stopwatch()
        self._build()
        self._built.lap(_BUILD)

    @abstractmethod
    def _build(self) -> None:
        """Build the model of ``self.program``; laps of ``self._built`` may split the time."""

    @abstractmethod
    def _run(self, request: Request) -> Found:
        """Return what the method finds."""

    @final
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
        request = Request(
            settings=settings,
            values=_starting_values(self.program, start),
            started=start is not None,
            parameters=_checked_parameters(self.program, parameters),
            multipliers=multipliers,
            watch=Stopwatch(),
        )
        return self._run(request).answer(self._built.phases, request.watch)


class Backend(ABC):
    """A route from programs to solvers."""

    imports: ClassVar[tuple[str, ...]] = ()
    """Modules without which no solver of this route runs."""

    def available(self, solver: str) -> str:
        """Return "" if the solver can be loaded here, else the sentence why not."""
        return import_problem(self.imports)

    def preloads(self, solver: str) -> tuple[str, ...]:
        """Return the modules that a process imports once for many runs of the solver."""
        return (type(self).__module__, *self.imports)

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

    def starts_anywhere(self, problem: Formulation) -> bool:
        """Say whether a start that does not separate is as good as one that does."""
        return False

    @final
    def whole(self, problem: Formulation, settings: SolverSettings) -> RawAnswer | None:
        """Answer all stages of a formulation at once; None to go program by program."""
        watch = Stopwatch()
        found = self._whole(problem, settings)
        return None if found is None else found.answer({}, watch)

    def _whole(self, problem: Formulation, settings: SolverSettings) -> Found | None:
        """Return what the method finds for all stages together, where it can."""
        return None


def import_problem(modules: Sequence[str]) -> str:
    """Return "" if all modules can be imported, else a sentence naming the first that cannot."""
    for module in modules:
        if sys.modules.get(module) is not None:
            continue
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            return f"{module} cannot be imported ({error})."
    return ""


def required(modules: Sequence[str]) -> None:
    """Raise :class:`MissingBackendError` unless all modules can be imported."""
    problem = import_problem(modules)
    if problem:
        raise MissingBackendError(problem)


def _starting_values(
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


def _checked_parameters(
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
