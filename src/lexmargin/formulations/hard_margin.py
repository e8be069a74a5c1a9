"""Hard margin: eq. 18 of the paper, rescaled to margin 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations.base import (
    MARGIN,
    Formulation,
    StageAnswer,
    Traits,
)
from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.kinds import Exponent, checked_class
from lexmargin.linalg.norms import vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.predictors.base import Predictor
from lexmargin.program import (
    Combination,
    Constant,
    Constraint,
    Expression,
    Margins,
    Norm,
    Power,
    Program,
    SquaredNorm,
)

__all__ = ["HardMargin"]


@final
@checked_class
@dataclass(frozen=True, repr=False)
class HardMargin(Formulation):
    """``min ½‖w‖²  s.t.  f_n(w) >= 1`` (eq. 18 with margin 1), for α-homogeneous predictors.

    Then ``θ = w/‖w‖`` and ``γ*(1) = ‖w‖^{-α}``. Source: math.md §2.

    Args:
        predictor, data: the margin functions.
        norm: p of the norm, >= 1, or "inf".

    Raises:
        DegreeError: the predictor is not homogeneous.
        ParameterError: the norm is below 1.
    """

    predictor: Predictor
    data: Dataset
    norm: Exponent = 2.0

    name: ClassVar[str] = "hard-margin"
    equation: ClassVar[str] = "eq. 18 with margin 1"
    traits: ClassVar[Traits] = Traits(largest_margin=True, reads_sparse=True)

    def __post_init__(self) -> None:
        self.require_homogeneous()

    @property
    def norm_p(self) -> float:
        return float(self.norm)

    @property
    def degree(self) -> float:
        """α of Definition 1."""
        return self.require_homogeneous()

    def program(self, unit: float = 1.0) -> Program:
        variables = self.block_variables()
        blocks = tuple(v.name for v in variables)
        size: Expression
        euclidean = self.norm_p == 2.0
        size = SquaredNorm(blocks) if euclidean else Power(Norm(blocks, self.norm_p), 2.0)
        functions = MarginFunctions(self.predictor, self.data, unit)
        margins = Margins(functions, blocks)
        return Program(
            name=self.name,
            equation=self.equation,
            sense=Sense.MINIMIZE,
            objective=Combination(((0.5, size),)),
            variables=variables,
            constraints=(Constraint(MARGIN, margins, Relation.AT_LEAST, Constant(1.0), "n"),),
            curvature=functions.curvature,
        )

    def theta(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        # In two steps: for the smallest doubles the whole factor is out of range.
        half = unit ** (-0.5 / self.degree)
        with np.errstate(over="ignore"):
            return np.asarray(self.blocks_of(answers[-1]) * half * half)

    def initial_values(self, theta: FloatArray, unit: float) -> dict[str, FloatArray]:
        # The program's unknown is u = unit^{1/α} w; a separating start is scaled to margin 1.
        margin = float(self.functions.values(theta).min())
        stretch = unit / margin if margin > 0 else unit
        blocks = self.functions.blocks(theta * stretch ** (1.0 / self.degree))
        return {v.name: b for v, b in zip(self.block_variables(), blocks, strict=True)}

    def objective(self, theta: FloatArray) -> float:
        # A product overflows to infinity, where a power of a float raises.
        size = vector_norm(theta, self.norm_p)
        return 0.5 * size * size

    def bound_of(self, theta: FloatArray, objective: float, bound: float) -> float | None:
        # The program's objective is a positive multiple of the problem's.
        return self.objective(theta) * (bound / objective) if objective > 0.0 else None

    def placed(
        self, theta: FloatArray, w: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        return w, multipliers

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        """Return the data of ``∇½‖w‖² = Σ λ_n ∇f_n(w)``, at any length of w."""
        return (Kkt(functions=self.functions, point=theta, norm=self.norm_p),)

    def margin_multipliers(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        found = answers[-1].multipliers.get(MARGIN)
        if found is None:
            return np.full(self.functions.count, np.nan)
        # The multipliers of tiny data may lie beyond double precision.
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(found * np.float64(unit) ** (-2.0 / self.degree))
