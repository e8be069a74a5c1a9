"""The margin path: eq. 6 (max form) and eq. 7 (min-norm form)."""

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
from lexmargin.inputs.checks import Moderate
from lexmargin.inputs.kinds import Exponent, checked_class
from lexmargin.linalg.norms import vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.predictors.base import Predictor
from lexmargin.program import (
    Combination,
    Constraint,
    Expression,
    Margins,
    Norm,
    Parameter,
    Power,
    Program,
    SquaredNorm,
    Variable,
)

__all__ = ["MarginPath"]


@final
@checked_class
@dataclass(frozen=True, repr=False)
class MarginPath(Formulation):
    """``max t  s.t.  f_n(ρθ) >= t, ‖θ‖ <= 1`` (eq. 6), or ``min ‖θ‖²  s.t.  f_n(ρθ) >= γ`` (eq. 7).

    Solved in ``w = ρθ``, ``‖w‖ <= ρ``. Lemma 1 makes both forms the same set of directions when
    γ = γ*(ρ).

    Args:
        predictor, data: the margin functions, of any kind.
        rho: ρ > 0.
        norm: p of the norm, >= 1, or "inf".
        gamma: the wanted margin γ > 0 of the min-norm form; None for the max form.

    Raises:
        ParameterError: ρ <= 0, γ <= 0 or a norm below 1.
    """

    predictor: Predictor
    data: Dataset
    rho: Moderate = 1.0
    norm: Exponent = 2.0
    gamma: Moderate | None = None

    name: ClassVar[str] = "margin-path"
    equation: ClassVar[str] = "eq. 6, w = ρθ"
    traits: ClassVar[Traits] = Traits(
        largest_margin=True, in_ball=True, path="rho", reads_sparse=True
    )

    @property
    def norm_p(self) -> float:
        return float(self.norm)

    @property
    def rho_value(self) -> float:
        return self.rho

    def _size(self, blocks: tuple[str, ...]) -> Expression:
        return SquaredNorm(blocks) if self.norm_p == 2.0 else Norm(blocks, self.norm_p)

    def program(self, unit: float = 1.0) -> Program:
        variables = self.block_variables()
        blocks = tuple(v.name for v in variables)
        functions = MarginFunctions(self.predictor, self.data, unit)
        margins = Margins(functions, blocks)
        if self.gamma is not None:
            wanted = Parameter("γ", self.gamma / unit)
            size = self._size(blocks)
            return Program(
                name=self.name,
                equation="eq. 7, w = ρθ",
                sense=Sense.MINIMIZE,
                objective=size if self.norm_p == 2.0 else Power(size, 2.0),
                variables=variables,
                constraints=(Constraint(MARGIN, margins, Relation.AT_LEAST, wanted, "n"),),
                parameters=(wanted,),
                curvature=functions.curvature,
            )
        level = Variable("t")
        euclidean = self.norm_p == 2.0
        radius = Parameter("ρ²", self.rho**2) if euclidean else Parameter("ρ", self.rho)
        return Program(
            name=self.name,
            equation=self.equation,
            sense=Sense.MAXIMIZE,
            objective=Combination(((1.0, level),)),
            variables=(*variables, level),
            constraints=(
                Constraint(MARGIN, margins, Relation.AT_LEAST, level, "n"),
                Constraint("ball", self._size(blocks), Relation.AT_MOST, radius),
            ),
            parameters=(radius,),
            curvature=functions.curvature,
        )

    def theta(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        return self.blocks_of(answers[-1]) / self.rho

    def margin_multipliers(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        # Max form: Σ λ_n = 1 whatever the margins are measured in, t being measured alike.
        return super().margin_multipliers(answers, 1.0 if self.gamma is None else unit)

    def initial_values(self, theta: FloatArray, unit: float) -> dict[str, FloatArray]:
        size = vector_norm(theta, self.norm_p)
        w = theta * (self.rho / size) if size > 0 else theta
        values = {
            v.name: b for v, b in zip(self.block_variables(), self.functions.blocks(w), strict=True)
        }
        if self.gamma is None:
            margins = self.functions.values(w)
            values["t"] = np.array(float(margins.min()) / unit)
        return values

    def objective(self, theta: FloatArray) -> float:
        if self.gamma is not None:
            size = vector_norm(theta, self.norm_p)
            return size * size
        return float(self.functions.values(self.rho * theta).min())

    def worth(self, theta: FloatArray) -> float:
        value = self.objective(theta)
        return value if self.gamma is not None else -value

    def bound_of(self, theta: FloatArray, objective: float, bound: float) -> float | None:
        # The program's objective is a positive multiple of the problem's.
        return self.objective(theta) * (bound / objective) if objective > 0.0 else None

    def placed(
        self, theta: FloatArray, w: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        point, shares = super().placed(theta, w, multipliers)
        if self.gamma is None:
            return point, shares
        # f_n(ρθ) = γ from f_n(w) = 1, which is not measured again: it may lie below rounding.
        return w * (self.gamma ** (1.0 / self.require_homogeneous()) / self.rho), shares

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        """Return the data of ``θ = ρ Σ λ_n ∇f_n(ρθ)``; homogeneous f_n have it at any length."""
        functions, w = self.functions, self.scaled(theta)
        if functions.homogeneity.degree is not None:
            return (Kkt(functions=functions, point=theta, norm=self.norm_p),)
        radius = self.rho if self.gamma is None else None
        return (
            Kkt(
                functions=functions,
                point=w,
                norm=self.norm_p,
                unrounded=(theta, self.rho),
                level=self.gamma,
                radius=radius,
            ),
        )
