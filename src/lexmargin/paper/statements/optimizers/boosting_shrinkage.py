"""AdaBoost: near the ℓ1 margin with shrinkage, a cycle below it without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import HardMargin
from lexmargin.optimizers import AdaBoost
from lexmargin.paper.evidence import Backing
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Effort, Measurement, Plant, Relation, Statement
from lexmargin.paths import descend
from lexmargin.predictors import Linear
from lexmargin.solve import solve

__all__ = ["STATEMENT", "BoostingShrinkage"]

_ROWS: Final = (
    (-1, 1, 1, 1, 1, -1, -1, 1),
    (-1, 1, 1, -1, -1, 1, 1, 1),
    (1, -1, 1, 1, 1, -1, 1, 1),
    (1, -1, 1, 1, -1, 1, 1, 1),
    (1, -1, 1, -1, 1, 1, 1, -1),
    (1, 1, -1, 1, 1, 1, 1, -1),
    (1, 1, -1, 1, 1, 1, -1, 1),
    (1, 1, 1, 1, -1, -1, 1, -1),
)
"""Eight weak learners on eight samples that AdaBoost cycles on (Rudin et al. 2004)."""
_CYCLE: Final = 1.0 / 3.0
"""Margin of the cycle."""
_LARGEST: Final = 3.0 / 8.0
"""Of the same rows."""
_SETTLED: Final = 1e-3
"""Margin that the number of steps below leaves open: it falls like their inverse."""


@final
@dataclass(frozen=True)
class BoostingShrinkage(Statement):
    """AdaBoost with shrinkage ν ends near the ℓ1 max margin; with ν = 1 it may stay below.

    Attributes:
        shrinkage: ν of the run that comes near.
        whole: ν of the run that does not.
    """

    id: ClassVar[str] = "boosting-shrinkage"
    title: ClassVar[str] = "Boosting with shrinkage comes near the ℓ1 margin; AdaBoost need not"
    passages: ClassVar[tuple[Passage, ...]] = ()
    beyond: ClassVar[str] = (
        "Telgarsky (ICML 2013, arXiv 1303.4172); Rudin, Daubechies, Schapire (JMLR 2004)"
    )
    equation: ClassVar[str] = (
        r"\theta_j\leftarrow\theta_j+\nu\,\tfrac12\ln\frac{1+r_j}{1-r_j},\quad "
        r"r_j=\max_i|\nabla_i\log L|"
    )
    says: ClassVar[str] = (
        "Boosting whose steps are shrunk ends near the largest ℓ1 margin, the nearer the more it "
        "is shrunk. Without shrinkage it may fall into a cycle whose margin is smaller: on these "
        "rows a third, where three eighths are possible."
    )

    shrinkage: float = 0.1
    whole: float = 1.0

    def measure(self, effort: Effort) -> Measurement:
        """Boost with both, and solve for the largest margin."""
        data = Dataset(np.array(_ROWS, dtype=float), np.ones(8), one_class=True)
        best = solve(HardMargin(Linear(), data, norm=1.0))
        largest = Backing.of([best.certificate])
        margins = {}
        for nu in (self.shrinkage, self.whole):
            steps = 20_000 if effort is Effort.QUICK else 200_000
            path = descend(
                Linear(), data, start=np.zeros(8), optimizer=AdaBoost(nu), steps=steps, polish=False
            )
            w = path.theta[0].reshape(-1)
            margins[nu] = float((data.X @ w).min() / np.abs(w).sum())
        name = "8 weak learners on 8 samples"
        return Measurement(
            (
                largest.check(
                    name, "largest ℓ1 margin", best.margin, Relation.EQUAL, _LARGEST, _SETTLED
                ),
                largest.check(
                    name, f"margin with shrinkage {self.shrinkage:g}", margins[self.shrinkage],
                    Relation.AT_LEAST, best.margin, self.shrinkage * best.margin,
                ),
                largest.check(
                    name, f"margin with ν = {self.whole:g}", margins[self.whole], Relation.EQUAL,
                    _CYCLE, _SETTLED,
                ),
            )
        )  # fmt: skip

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("ν = 1/2 in the place of no shrinkage", BoostingShrinkage(whole=0.5)),)


STATEMENT = BoostingShrinkage()
