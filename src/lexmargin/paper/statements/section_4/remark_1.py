"""Remark 1: an optimum that is a Fritz John point only, and why γ > 0 rules it out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations import HardMargin, MarginPath
from lexmargin.judge import Verdict, certify
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import Instance, rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.predictors import DiagonalNetwork, Linear, Polynomial
from lexmargin.solve import solve

__all__ = ["STATEMENT", "RemarkOne"]

_EPSILON: Final = 1e-8
"""ε that the certificate calls stationary."""
_PAIRS: Final = ((0.5, 1.5), (1.5, 0.5), (0.5, 1.5), (1.5, 0.5))
"""z_n of the samples and negatives of `two-diagonal-pairs`."""
_BELOW: Final = 0.96
"""A level below the most that f can be, planted."""


@final
@dataclass(frozen=True)
class RemarkOne(PlainStatement):
    """`min ‖θ‖² s.t. 2θ² - θ⁴ ≥ 1` has the optima ±1, where the only gradient is 0.

    For α-homogeneous f_n with γ > 0 there is no such point: `v = θ` gives `∇f_n·v = αf_n > 0` on
    the support (Mangasarian and Fromovitz), so that multipliers exist at every optimum.

    Attributes:
        level: γ of the first program; below 1, the most f can be, its gradient is not 0.
    """

    id: ClassVar[str] = "remark-1"
    title: ClassVar[str] = "An optimum without multipliers"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.REMARK_1,)
    equation: ClassVar[str] = (
        r"\theta\ne\sum_n\lambda_n\nabla f_n(\theta)\ \forall\lambda\ge 0,\quad "
        r"0=\sum_n\lambda_n\nabla f_n(\theta),\ \lambda\ne 0"
    )
    says: ClassVar[str] = (
        "Without a constraint qualification a global optimum need not satisfy the first-order "
        "conditions: on f = 2θ² - θ⁴ it does not, and is a Fritz John point only. For homogeneous "
        "predictors with γ > 0 that cannot happen, however dependent the gradients."
    )

    level: float = 1.0

    def measure(self, effort: Effort) -> Measurement:
        """Certify the optimum, and the optima of homogeneous instances with too many supports."""
        hill = MarginPath(Polynomial(((2,), (4,))), rows(((2.0, -1.0),)), gamma=self.level)
        # 2θ² - θ⁴ = γ at θ² = 1 - sqrt(1 - γ), the least such θ.
        optimum = math.sqrt(1.0 - math.sqrt(1.0 - self.level))
        found = certify(hill, np.array([optimum]))
        decided = found.verdict is Verdict.FRITZ_JOHN or found.certified
        word = f"min θ² s.t. 2θ² - θ⁴ ≥ {self.level:g}, one sample"
        checks: list[Check] = [
            Backing(0.0, decided).check(word, f"ε at the optimum θ = {optimum:.6g}",
                                        found.stationarity, Relation.AT_LEAST, 0.5, 0.0)
        ]  # fmt: skip
        pairs = rows(_PAIRS)
        three = rows(((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)))
        for instance in (
            Instance("two-diagonal-pairs, linear: 4 supports of rank 2", Linear(), pairs),
            Instance("Z = (1,0), (0,1), (½,½), linear: 3 of rank 2", Linear(), three),
            Instance("Z = (1,0), (0,1), (½,½), diagonal network of depth 2", DiagonalNetwork(2),
                     three),
        ):  # fmt: skip
            answer = solve(HardMargin(instance.predictor, instance.data))
            checks.append(
                Backing.of((answer.certificate,)).small(
                    instance.name,
                    "ε at the optimum, LICQ failing",
                    answer.certificate.stationarity,
                    _EPSILON,
                )
            )
        return Measurement(tuple(checks))

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the level 0.96, where the gradient is not 0", RemarkOne(level=_BELOW)),)


STATEMENT = RemarkOne()
