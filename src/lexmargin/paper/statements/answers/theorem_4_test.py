"""A computable test for Theorem 4: from which level on the constrained path may go elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import ConstrainedPath, HardMargin, Lexicographic
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.levels import first_open_level, lexicographic_best
from lexmargin.judge import Verdict, certify
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.predictors import Linear, Polynomial
from lexmargin.predictors.base import Predictor
from lexmargin.solution import Solution
from lexmargin.solve import solve

__all__ = ["STATEMENT", "TheoremFourTest"]

_LEVEL: Final = 1e-6
"""Of levels solved for, in units of the first."""
_REACHED: Final = 0.12
"""Distance of a margin to its level where it is reached; each is missed by 1, by 0.4, or by less
than 1e-4. At ρ^α = 6 the candidates' losses differ by 5e-7 of L, which ranks them safely."""
_QUARTICS: Final = ((4, 0), (3, 1), (0, 4))
"""Exponents of θ_1⁴, θ_1³θ_2, θ_2⁴, whose coefficients the samples are."""
_CLOSE: Final = (2.4, 0.0, 2.8)
"""A third sample below 2m_2 - m_1 = 3."""
_TIED: Final = (2.5, 0.0, 2.5)
"""A third sample that does not choose between the axes."""
_STARTS: Final = ((1.0, 0.1), (0.1, 1.0))
"""Beside the axes, where the maximisers of the quartics are."""


@final
@dataclass(frozen=True)
class TheoremFourTest(PlainStatement):
    """The first k with `m_k > min_{j<k} 2m_j - m_{j-1}`, or none, beside what the path does.

    Attributes:
        growth: p of the test; None takes 2, or 1 for linear scores in a polyhedral ball.
    """

    id: ClassVar[str] = "theorem-4-test"
    title: ClassVar[str] = "A test for Theorem 4 at every level"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.THEOREM_4,)
    beyond: ClassVar[str] = "proved in `first_open_level`"
    equation: ClassVar[str] = (
        r"\Theta_c^\infty\subseteq\Theta_{m,k}^*\ \text{if}\ "
        r"m_l^*\le\min_{2\le j<l}\,2m_j^*-m_{j-1}^*\quad\forall l\le k"
    )
    says: ClassVar[str] = (
        "Whether the constrained path reaches level k can be read from the levels: it does while "
        "m_k ≤ 2m_j - m_{j-1} for all j < k, where margins fall quadratically beside their "
        "maximisers, and at every level of polyhedral problems. On each instance the test names "
        "the level, and the path misses a level only from there on."
    )

    growth: float | None = None

    def measure(self, effort: Effort) -> Measurement:
        """Solve the lexicographic problems, test their levels, and compare with the path's."""
        quartics = Polynomial(_QUARTICS)
        first, second = (1.0, 0.0, 1.0), (2.0, 1.0, 2.0)
        runs: list[tuple[str, Predictor, Dataset, float, float, int, bool]] = [
            ("quartics of levels 1, 2, 10", quartics,
             rows((first, second, (9, 0.0, 10))), 2.0, 6, 3, True),
            ("quartics of levels 1, 2, 2.8", quartics,
             rows((first, second, _CLOSE)), 2.0, 6, 0, False),
            ("quartics of levels 1, 2, 2.5, 6", quartics,
             rows((first, second, _TIED, (5, 0.0, 6))), 2.0, 6, 4, True),
            ("three-levels, ℓ1: levels 1, 3, 6", Linear(),
             rows(((1.0, 1.0, 1.0), (2.0, 3.0, 3.0), (4.0, 5, 6))), 1.0, 30, 0, False),
        ]  # fmt: skip
        checks: list[Check] = []
        for name, predictor, data, norm, power, opens, misses in (
            runs[::3] if effort is Effort.QUICK else runs
        ):
            target = _lexicographic(Lexicographic(predictor, data, norm=norm))
            functions = HardMargin(predictor, data).functions
            levels = np.sort(functions.values(target.direction))
            # Ties of one level differ by rounding.
            rounded = [round(float(v) / _LEVEL) * _LEVEL for v in levels]
            growth, decided = _growth(predictor, data, target.direction, norm)
            found = first_open_level(rounded, growth if self.growth is None else self.growth)
            degree = functions.homogeneity.degree or math.nan
            at = ConstrainedPath(predictor, data, rho=power ** (1.0 / degree), norm=norm)
            path = min((solve(at, start=s) for s in _starts(at)), key=lambda a: a.objective)
            own = np.sort(functions.values(path.direction))
            short = levels - own
            shown = Backing.of((target.certificate, path.certificate))
            both = Backing(shown.residual, shown.certified and decided)
            within = slice(None, None if found is None else found - 1)
            checks += [
                both.check(name, "first level that the path may miss; 0 for none",
                           float(found or 0), Relation.EQUAL, float(opens), 0.0),
                both.small(name, f"largest shortfall below it at ρ^α = {power:g}",
                           float(short[within].max()), _REACHED),
            ]  # fmt: skip
            if misses:
                checks.append(
                    both.check(name, f"shortfall of level {opens} at ρ^α = {power:g}",
                               float(short[opens - 1]), Relation.AT_LEAST, 1.0, _REACHED)
                )  # fmt: skip
        return Measurement(tuple(checks))

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant("the polyhedral test everywhere", TheoremFourTest(growth=1.0)),
            Plant("margins that fall like the cube of the distance", TheoremFourTest(growth=3.0)),
        )


def _starts(problem: Formulation) -> list[FloatArray | None]:
    """Return a start beside every axis, where the maximisers of the quartics are."""
    if isinstance(problem.predictor, Linear):
        return [None]
    return [np.array(start) for start in _STARTS]


def _lexicographic(problem: Lexicographic) -> Solution:
    """Return the best answer of all starts: a later level stays where the first one was found."""
    answers = [solve(problem, start=start) for start in _starts(problem)]
    margins = [problem.functions.values(answer.direction) for answer in answers]
    return answers[lexicographic_best(margins, _LEVEL)[0]]


def _growth(
    predictor: Predictor, data: Dataset, direction: FloatArray, norm: float
) -> tuple[float, bool]:
    """Return p, and whether it is shown: by the shape of the problem, or by second order."""
    if isinstance(predictor, Linear) and norm in (1.0, math.inf):
        return 1.0, True
    verdict = certify(HardMargin(predictor, data), direction).verdict
    return 2.0, verdict in (Verdict.STRICT_LOCAL, Verdict.GLOBAL)


STATEMENT = TheoremFourTest()
