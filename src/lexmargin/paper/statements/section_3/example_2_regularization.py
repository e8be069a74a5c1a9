"""Example 2 on the regularization path: the log predictor stays away from the max margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

from lexmargin.formulations import RegularizationPath
from lexmargin.paper.evidence import Backing
from lexmargin.paper.log_paths import TOY, max_margin, ratio
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Effort, Measurement, Plant, Relation
from lexmargin.predictors import Linear, Log
from lexmargin.solve import solve

__all__ = ["STATEMENT", "ExampleTwoRegularization"]

_EXACT: Final = 1e-6
"""Of a ratio of two coordinates solved for."""
_STRENGTHS: Final = (1e-1, 1e-3, 1e-5, 1e-7, 1e-10)
"""μ, falling; below, the minimiser's norm exceeds what the solver scales to."""


@final
@dataclass(frozen=True)
class ExampleTwoRegularization(PlainStatement):
    """`min Σ 1/(θ·z_n) + μ‖θ‖²`: θ_2/θ_1 = 2 at every μ, and 8 at the max margin.

    By coordinates `1/θ_1² = 2μθ_1` and `8/θ_2² = 2μθ_2`, so that `(θ_2/θ_1)³ = 8`.

    Attributes:
        log: the predictor; without it the score is linear, under the exponential loss.
    """

    id: ClassVar[str] = "example-2-regularization"
    title: ClassVar[str] = "The log predictor on the regularization path"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.EXAMPLE_2_PATHS,)
    equation: ClassVar[str] = (
        r"\arg\min_\theta\sum_n e^{-\log(\theta^\top z_n)}+\mu\|\theta\|^2\ \not\to\ \Theta_m^*"
    )
    says: ClassVar[str] = (
        "In setup A (linear prediction with the loss exp(-log u)) the regularization path does "
        "not necessarily converge to the margin path."
    )

    log: bool = True

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant("a linear score under the exponential loss", ExampleTwoRegularization(log=False)),
        )

    def measure(self, effort: Effort) -> Measurement:
        """Solve §2.2 at falling strengths."""
        strengths = _STRENGTHS[1::3] if effort is Effort.QUICK else _STRENGTHS
        best = max_margin(TOY)
        predictor = Log() if self.log else Linear()
        answers = [solve(RegularizationPath(predictor, TOY, strength=mu)) for mu in strengths]
        seen = tuple(ratio(answer.direction) for answer in answers)
        shown = Backing.of(a.certificate for a in (best, *answers))
        name = f"Z = (1,0), (0,1/8), f = {'log θ·z' if self.log else 'θ·z'}"
        checks = (
            shown.check(name, "θ_2/θ_1 at the max margin", ratio(best.direction), Relation.EQUAL,
                        8, _EXACT),
            shown.check(name, f"largest |θ_2/θ_1 - 2|, μ from {strengths[0]:g} to "
                        f"{strengths[-1]:g}", max(abs(s - 2.0) for s in seen), Relation.AT_MOST,
                        0.0, _EXACT),
        )  # fmt: skip
        return Measurement(checks)


STATEMENT = ExampleTwoRegularization()
