"""A predictor of one's own: F(x; u, v) = Σ x_i (u_i² - v_i²), solved and judged.

Pages: extend/predictor, extend/problem, quickstart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar, final

import lexmargin as lm
from lexmargin.ops.base import Ops
from lexmargin.predictors import Predictor
from lexmargin.predictors.base import Shape
from lexmargin.run import conformance

T = TypeVar("T")


@final
@dataclass(frozen=True)
class SquaredWeights(Predictor):
    """``F(x; u, v) = Σ x_i (u_i² - v_i²)``."""

    kind: ClassVar[str] = "squared-weights"
    outputs = 1

    @property
    def block_count(self) -> int:
        return 2

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        return (n_features,), (n_features,)

    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        u, v = theta
        raised = ops.linear(X, ops.power(u, 2))
        lowered = ops.linear(X, ops.power(v, 2))
        return ops.add(raised, ops.scale(lowered, -1.0))


print("degree", SquaredWeights().homogeneity(2).degree)
# ½‖θ‖² >= ½‖β‖₁ for β = u² - v², and by duality (λ = (170, 40)/142) no separator with margins 1
# has a smaller ‖β‖₁ than 210/142.
data = lm.Dataset([[0.6, -1.0], [-1.0, -0.7], [1.0, 0.6]], [1, -1, 1])
problem = lm.HardMargin(SquaredWeights(), data)
print(problem.explain().partition(":")[0])
solution = lm.solve(problem)
print(solution.certificate.certified, "objective", round(solution.objective, 6))
u, v = solution.theta
print("β", (u**2 - v**2).round(6))
print("wrong in it:", conformance.predictor(problem, solution.theta))
turned = [u * 1.05, v]
print("a wrong point:", lm.certify(problem, turned).verdict)
lm.save(problem, "mine.toml", title="Mine", source="a transcript")
print("read back:", lm.load("mine.toml") == problem)
