"""§5, left open: with shared parameters the leading part alone decides the limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations import ConstrainedPath, HardMargin
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.paths import trace
from lexmargin.predictors import Linear, Polynomial
from lexmargin.solve import solve

__all__ = ["STATEMENT", "SharedParameters"]

_SLOPE: Final = math.sqrt(2.0) / 4.0
"""ρ times the distance: (1 + ρ sin φ) cos φ is largest where ρ cos 2φ = sin φ, near φ = π/4."""
_SETTLED: Final = 0.05
"""Of γ*(ρ)/ρ² at ρ = 100, where the skip still adds 1/ρ times a margin of 1."""


@final
@dataclass(frozen=True)
class SharedParameters(PlainStatement):
    """`F(x; w, a) = (1 + a) w·x`, a residual block whose skip shares w: the limit is that of a w·x.

    Proof: `f_n(ρθ)/ρ² → f^H_n(θ)` uniformly on the sphere, so that margins and maximisers do;
    Lemma 3 gives the constrained path the same margin up to log N, which is o(ρ²).

    Attributes:
        skip: take the skip's own margin problem, a = 0, for the limit.
    """

    id: ClassVar[str] = "shared-parameters"
    title: ClassVar[str] = "Shared parameters keep the leading part"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.SHARED,)
    beyond: ClassVar[str] = "proved in the row's docstring"
    equation: ClassVar[str] = (
        r"f_n(\rho\theta)=\rho^M f^H_n(\theta)+o(\rho^M)\ \Rightarrow\ "
        r"\lim\theta_c(\rho)\in\arg\max_{\|\theta\|\le 1}\min_n f^H_n(\theta)"
    )
    says: ClassVar[str] = (
        "Sums with shared parameters, such as ResNets, are left to future work. If the part of "
        "the highest degree separates the data, both paths go to its max margin; who shares what "
        "plays no part. On (1 + a) w·x the limit is that of a w·x: w the SVM, a = ‖w‖."
    )
    caption: ClassVar[str] = (
        "Distance of the constrained path of (1 + a) w·x to the max margin of a w·x, two data "
        "sets: it falls like 1/ρ."
    )
    axes: ClassVar[tuple[str, str]] = ("scale ρ", "distance to the leading part's max margin")

    skip: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Solve the SVM of the leading part and trace the path of the whole."""
        grid = [3.0, 100] if effort is Effort.QUICK else [3.0, 5, 10, 20, 50, 100]
        block = Polynomial(((1, 0, 0), (0, 1, 0), (1, 0, 1), (0, 1, 1)))
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"rho": tuple(grid)}
        samples: tuple[tuple[tuple[float, float], ...], ...] = (
            ((1.0, 0.0), (0.0, 2.0)), ((1.0, 1.0), (3.0, 1.0), (1.0, 2.0))
        )  # fmt: skip
        for Z in samples[:1] if effort is Effort.QUICK else samples:
            svm = solve(HardMargin(Linear(), rows(Z)))
            share = 0.0 if self.skip else math.sqrt(0.5)
            limit: FloatArray = np.array([*(math.sqrt(1.0 - share**2) * svm.direction), share])
            # Features of w_1, w_2, a w_1, a w_2.
            data = rows(tuple((*z, *z) for z in Z))
            path = trace(ConstrainedPath(block, data), grid)
            apart = []
            for point in path.points:
                theta = point.theta / np.linalg.norm(point.theta)
                # (w, a) and (-w, -a) have the same leading part.
                turned = -theta if theta[2] < 0.0 else theta
                apart.append(float(np.linalg.norm(turned - limit)))
            word = f"Z = {', '.join(str(z) for z in Z)}, (1 + a) w·x".replace(".0", "")
            shown = Backing.of([svm.certificate, *(p.certificate for p in path.points)])
            checks += [
                shown.check(word, f"ρ times the distance to the limit at ρ = {grid[-1]:g}",
                            grid[-1] * apart[-1], Relation.EQUAL, _SLOPE, 1.0 / grid[-1]),
                shown.check(word, f"γ(ρ, θ_c)/ρ² at ρ = {grid[-1]:g}, half the SVM's margin",
                            path.points[-1].margin / grid[-1] ** 2, Relation.EQUAL,
                            svm.margin / 2.0, _SETTLED),
            ]  # fmt: skip
            curves[word] = tuple(apart)
        return Measurement(tuple(checks), curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the skip's margin problem for the limit", SharedParameters(skip=True)),)


STATEMENT = SharedParameters()
