"""An eighth formulation, as others would write it: costs per parameter, a level per margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

import lexmargin as lm
from lexmargin.formulations import Kkt
from lexmargin.formulations.base import MARGIN, Formulation
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.predictors import Predictor
from lexmargin.program import Combination, Constraint, Expression, Margins, Program, SquaredNorm


@final
@dataclass(frozen=True)
class Levels(Expression):
    """``r_n``, one number per margin function."""

    numbers: tuple[float, ...]

    def evaluate(self, ops: Any, values: Any) -> Any:
        return ops.constant(np.array(self.numbers))

    def __str__(self) -> str:
        return "r_n"


@dataclass(frozen=True)
class Uneven(Formulation):
    """``min ½ Σ c_i w_i²  s.t.  f_n(w) >= r_n``, c of every parameter."""

    predictor: Predictor
    data: lm.Dataset
    costs: tuple[float, ...]
    wanted: tuple[float, ...]

    name: ClassVar[str] = "uneven-costs"
    equation: ClassVar[str] = "none of the paper"

    def program(self, unit: float = 1.0) -> Program:
        variables = self.block_variables()
        blocks = tuple(variable.name for variable in variables)
        margins = Margins(MarginFunctions(self.predictor, self.data, unit), blocks)
        wanted = Levels(tuple(number / unit for number in self.wanted))
        firsts = [block.reshape(-1)[0] for block in self.functions.blocks(np.array(self.costs))]
        terms = [
            (0.5 * float(cost), SquaredNorm((block,), block))
            for cost, block in zip(firsts, blocks, strict=True)
        ]
        return Program(
            name=self.name,
            equation=self.equation,
            sense=Sense.MINIMIZE,
            objective=Combination(tuple(terms)),
            variables=variables,
            constraints=(Constraint(MARGIN, margins, Relation.AT_LEAST, wanted, "n"),),
            curvature=self.functions.curvature,
        )

    def objective(self, theta: FloatArray) -> float:
        return 0.5 * float(np.sum(np.array(self.costs) * theta * theta))

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        record = Kkt(
            functions=self.functions,
            point=theta,
            costs=np.array(self.costs),
            required=np.array(self.wanted),
            level=1.0,
        )
        return (record,)
