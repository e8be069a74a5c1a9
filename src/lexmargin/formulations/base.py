"""What every formulation is: a problem of the paper that yields programs, one after another."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.errors import DegreeError, ParameterError
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.ops.degree import HomogeneityKind
from lexmargin.predictors.base import Predictor
from lexmargin.program import Program, Variable

__all__ = ["Formulation", "FormulationName", "Kkt", "StageAnswer", "checked_norm", "vector_norm"]

MARGIN = "margin"
"""Name of the constraints ``f_n >= …`` in every program; their multipliers are λ."""


class FormulationName(StrEnum):
    """The problems of the paper, as named in files and results."""

    HARD_MARGIN = "hard-margin"
    MARGIN_PATH = "margin-path"
    CONSTRAINED_PATH = "constrained-path"
    REGULARIZATION_PATH = "regularization-path"
    SCALED_MARGIN = "scaled-margin"
    W_SET = "w-set"
    LEXICOGRAPHIC = "lexicographic"


@final
@dataclass(frozen=True)
class StageAnswer:
    """What a backend answered to one program: values of variables, multipliers of constraints."""

    values: Mapping[str, FloatArray]
    multipliers: Mapping[str, FloatArray]


@final
@dataclass(frozen=True, eq=False)
class Kkt:
    """What a stationarity certificate compares at a point: ``target = Σ_n λ_n ∇f_n``, λ >= 0.

    Attributes:
        target: the vector that must lie in the cone of the active gradients (d,); math.md §3.
        values: f_n at the point (N,).
        jacobian: ∇f_n at the point (N, d).
        level: the number that active f_n equal, ``f_n >= level``; None where nothing is active
            and the weights of the loss are the multipliers.
    """

    target: FloatArray
    values: FloatArray
    jacobian: FloatArray
    level: float | None


class Formulation(ABC):
    """A problem of the paper for one predictor on one data set.

    ``theta`` means the unknowns as the paper states the problem (w for the hard margin, θ in the
    unit ball for the paths), flattened block by block. ``name`` is the word in results: a
    :class:`FormulationName` for the problems of the paper, any other word for others.
    """

    name: ClassVar[str]
    equation: ClassVar[str]
    stages_only_start: ClassVar[bool] = False
    """Whether a stage does nothing but start the next one, which may then mend its answer."""
    predictor: Predictor
    data: Dataset

    @functools.cached_property
    def functions(self) -> MarginFunctions:
        """The margin functions f_n."""
        return MarginFunctions(self.predictor, self.data)

    @property
    def norm_p(self) -> float:
        """p of the norm ‖·‖_p that the direction is normalised in."""
        return 2.0

    @property
    def rho_value(self) -> float:
        """ρ at which the margin functions are evaluated: ``f_n(ρ theta)``."""
        return 1.0

    @abstractmethod
    def program(self, unit: float = 1.0) -> Program:
        """Return the (first) program; margins are measured in ``unit``, a power of two."""

    def next_program(self, answers: tuple[StageAnswer, ...], unit: float = 1.0) -> Program | None:
        """Return the program of the next stage given the answers so far, None when done."""
        return None if answers else self.program(unit)

    def next_values(self, answers: tuple[StageAnswer, ...], unit: float) -> dict[str, FloatArray]:
        """Return values of the next program's variables to start from: those of the last answer."""
        return dict(answers[-1].values)

    @abstractmethod
    def theta(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        """Return theta, flat, from the answers of all stages."""

    @abstractmethod
    def initial_values(self, theta: FloatArray, unit: float) -> dict[str, FloatArray]:
        """Return values of the program's variables that correspond to a flat ``theta``."""

    @abstractmethod
    def objective(self, theta: FloatArray) -> float:
        """Return the objective as the paper states it, recomputed at ``theta``."""

    def margin_multipliers(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        """Return the solver's multipliers of ``f_n``, in the paper's units."""
        found = answers[-1].multipliers.get(MARGIN)
        return np.full(self.functions.count, np.nan) if found is None else found / unit

    def explain(self) -> str:
        """Return which route solves this problem, and why."""
        program = self.program()
        if program.is_convex:
            kind = "affine" if program.curvature <= Curvature.AFFINE else "concave"
            return f"convex: every f_n is {kind} in θ -> CVXPY"
        if program.curvature <= Curvature.CONCAVE:
            kind = program.curvature.name.lower()
            why = f"the margin functions are {kind}, but the program is not convex"
        else:
            why = "the margin functions are not known to be concave in θ"
        return f"nonconvex: {why} -> Pyomo -> .nl -> exact derivatives (CasADi) -> Ipopt"

    def require_homogeneous(self) -> float:
        """Return α (Definition 1), or raise :class:`DegreeError` saying why there is none."""
        found = self.functions.homogeneity
        if found.degree is not None:
            return found.degree
        if found.kind is HomogeneityKind.SUM:
            degrees = ", ".join(f"{part.degree:g}" for part in found.parts)
            raise DegreeError(
                f"{self.name} needs a homogeneous predictor; this one is a sum of parts of "
                f"degrees {degrees}.",
                "Use scaled-margin, w-set, margin-path or constrained-path.",
            )
        raise DegreeError(
            f"{self.name} needs a homogeneous predictor; this one is not: {found.reason}.",
            "Use margin-path or constrained-path.",
        )

    def block_variables(self) -> tuple[Variable, ...]:
        """Return one variable per parameter block: ``w1, w2, …``."""
        shapes = self.functions.shapes
        return tuple(Variable(f"w{k + 1}", shape) for k, shape in enumerate(shapes))

    def blocks_of(self, answer: StageAnswer) -> FloatArray:
        """Return the parameter blocks of an answer, flat."""
        names = [variable.name for variable in self.block_variables()]
        return np.concatenate(
            [np.asarray(answer.values[n], dtype=float).reshape(-1) for n in names]
        )


def checked_norm(norm: float | str) -> float:
    """Return p of a norm given as a number >= 1 or "inf".

    Raises :class:`ParameterError` for anything else.
    """
    try:
        p = float(norm)
    except (TypeError, ValueError):
        p = np.nan
    if not p >= 1.0:
        raise ParameterError(f"norm must be a number >= 1 or 'inf', not {norm!r}.")
    return p


def vector_norm(theta: FloatArray, p: float) -> float:
    """Return ``‖theta‖_p`` without overflow or underflow."""
    largest = float(np.max(np.abs(theta), initial=0.0))
    if largest == 0.0 or not np.isfinite(largest):
        return largest
    return largest * float(np.linalg.norm(theta / largest, p))
