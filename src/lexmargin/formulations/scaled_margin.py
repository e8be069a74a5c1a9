"""The scaled margin problem of sums of homogeneous parts: eq. 14."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations.base import MARGIN, Formulation, StageAnswer
from lexmargin.formulations.kkt import Kkt, Powers
from lexmargin.formulations.parts import Parts
from lexmargin.inputs.checks import Moderate
from lexmargin.inputs.kinds import checked_class
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.predictors.base import Predictor
from lexmargin.program import Combination, Constant, Constraint, Program, SquaredNorm

__all__ = ["ScaledMargin", "scaled_program"]

_STAGE_RATIO = 1e5
"""Factor of γ from stage to stage: a larger jump leaves starts that solvers cannot use."""


@final
@checked_class
@dataclass(frozen=True, repr=False)
class ScaledMargin(Formulation):
    """``min Σ_k γ^{2/α_k} ‖w_k‖²  s.t.  f_n(w) >= 1`` (eq. 14), for sums of homogeneous parts.

    The change of variables ``ρθ_k = w_k γ^{1/α_k}`` makes it eq. 11 with γ = γ*(ρ). Solved in
    stages: γ grows by at most 1e5 from one to the next, and each is scaled by the answer before it,
    objective divided by its value there, so that solvers see numbers of order 1 up to γ = 1e20.

    Args:
        predictor, data: margin functions that are homogeneous or a sum of homogeneous parts.
        gamma: γ > 0.

    Raises:
        DegreeError: the predictor is neither.
        ParameterError: γ is not a positive finite number.
    """

    predictor: Predictor
    data: Dataset
    gamma: Moderate

    name: ClassVar[str] = "scaled-margin"
    equation: ClassVar[str] = "eq. 14"
    stages_only_start: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.parts  # noqa: B018  a predictor without degrees says so now

    @cached_property
    def parts(self) -> Parts:
        """The homogeneous parts of eq. 10."""
        return Parts(self.functions, self.name)

    @cached_property
    def gammas(self) -> tuple[float, ...]:
        """γ of every stage; the last one twice, the second time in the scales of the first."""
        stages = [min(self.gamma, _STAGE_RATIO)]
        while stages[-1] < self.gamma:
            stages.append(min(self.gamma, stages[-1] * _STAGE_RATIO))
        return (*stages, self.gamma)

    def _scales(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        """Return s_k of the program that follows these answers."""
        if not answers:
            return self.parts.natural_scales
        weights = self.parts.log_weights(self.gammas[len(answers)])
        return self.parts.scales(weights, self.theta(answers, unit))

    def _log_divisor(self, answers: tuple[StageAnswer, ...], unit: float) -> float:
        weights = self.parts.log_weights(self.gammas[len(answers)])
        if not answers:
            return float(np.max(weights + 2 * np.log(self.parts.natural_scales)))
        return self.parts.log_cost(weights, self.theta(answers, unit))

    def program(self, unit: float = 1.0) -> Program:
        return self._program((), unit)

    def _program(self, answers: tuple[StageAnswer, ...], unit: float) -> Program:
        gamma = self.gammas[len(answers)]
        return scaled_program(
            self,
            self.parts,
            self.parts.log_weights(gamma),
            self._scales(answers, unit),
            self._log_divisor(answers, unit),
            unit,
            f"eq. 14, γ = {gamma:g}, scaled",
        )

    def next_program(self, answers: tuple[StageAnswer, ...], unit: float = 1.0) -> Program | None:
        return None if len(answers) >= len(self.gammas) else self._program(answers, unit)

    def next_values(self, answers: tuple[StageAnswer, ...], unit: float) -> dict[str, FloatArray]:
        if len(answers) >= len(self.gammas):
            return dict(answers[-1].values)
        return self.parts.write(self.theta(answers, unit), self._scales(answers, unit))

    def theta(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        return self.parts.read(answers[-1].values, self._scales(answers[:-1], unit))

    def initial_values(self, theta: FloatArray, unit: float) -> dict[str, FloatArray]:
        stretched = self.parts.feasible(theta)
        w = theta if stretched is None else stretched
        return self.parts.write(w, self._scales((), unit))

    def objective(self, theta: FloatArray) -> float:
        return float(np.exp(self.parts.log_cost(self.parts.log_weights(self.gamma), theta)))

    def margin_multipliers(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        """Return λ with ``γ^{2/α_k} w_k = Σ λ_n ∇_k f_n(w)``: half those of the objective."""
        found = answers[-1].multipliers.get(MARGIN)
        if found is None:
            return np.full(self.functions.count, np.nan)
        return np.asarray(found * 0.5 * math.exp(self._log_divisor(answers[:-1], unit)))

    def bound_of(self, theta: FloatArray, objective: float, bound: float) -> float | None:
        # The program's objective is a positive multiple of the problem's.
        return self.objective(theta) * (bound / objective) if objective > 0.0 else None

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        """Return the data of ``γ^{2/α_k} w_k = Σ_n λ_n ∇_k f_n(w)``, λ on the samples with f = 1.

        The costs are divided by the largest ``γ^{2/α_k}``, which λ absorbs.
        """
        powers = Powers(self.gamma, tuple(float(a) for a in self.parts.degrees))
        costs = powers.spread(self.functions)
        found = Kkt(functions=self.functions, point=theta, costs=costs, powers=powers, level=1.0)
        return (found,)


def scaled_program(
    problem: Formulation,
    parts: Parts,
    log_weights: FloatArray,
    scales: FloatArray,
    log_divisor: float,
    unit: float,
    equation: str,
) -> Program:
    """Return ``min Σ_k e^{l_k} ‖w_k‖²`` in ``w_k = s_k v_k``, divided by ``e^log_divisor``."""
    terms = []
    for k, weight in enumerate(log_weights):
        exponent = weight + 2.0 * math.log(scales[k]) - log_divisor
        # A coefficient below 1e-300 adds nothing to the others.
        terms.append((math.exp(max(exponent, -690.0)), SquaredNorm(parts.names(k), f"w_{k + 1}")))
    return Program(
        name=str(problem.name),
        equation=equation,
        sense=Sense.MINIMIZE,
        objective=Combination(tuple(terms)),
        variables=problem.block_variables(),
        constraints=(
            Constraint(MARGIN, parts.margins(scales, unit), Relation.AT_LEAST, Constant(1.0), "n"),
        ),
        curvature=parts.functions.curvature,
    )
