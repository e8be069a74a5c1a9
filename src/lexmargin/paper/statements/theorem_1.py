"""Theorem 1 (Lemma 4): scaled by γ*^{1/α_k}, both paths settle on the W-set (eq. 13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data import Dataset, load_dataset
from lexmargin.formulations import ConstrainedPath, MarginPath, WSet
from lexmargin.paper.evidence import residual
from lexmargin.paper.statement import Check, Effort, Measurement, Relation, Statement
from lexmargin.paths import trace
from lexmargin.plots import BLUE, GREEN, VERMILION, style
from lexmargin.predictors import Bias, Linear, Sum
from lexmargin.solve import solve

__all__ = ["STATEMENT", "TheoremOne"]

_NEAR: Final = 0.01
"""Relative distance to w_1* at ρ = 1e3; the distance falls like 1/γ*."""


@final
@dataclass(frozen=True)
class TheoremOne(Statement):
    """`ρ θ_1(ρ)/γ*(ρ)^{1/α_1} → w_1*` on the margin path and on the constrained path.

    Attributes:
        last: the largest ρ.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "theorem-1"
    title: ClassVar[str] = "Both paths settle on the W-set"
    reference: ClassVar[str] = "Theorem 1, Lemma 4, eq. 12 and 13"
    says: ClassVar[str] = (
        "ρ θ_k(ρ)/γ*(ρ)^{1/α_k} tends to some w* that solves min ‖w_1‖² s.t. f_n(w) ≥ 1, on the "
        "margin path and on the constrained path. Here f_n = y_n(θ_1·x_n + b|b|), degrees 1, 2."
    )
    problems: ClassVar[tuple[str, ...]] = ("sums/bias-free-signed-square", "real/wine-0")
    caption: ClassVar[str] = (
        "Relative distance of ρθ₁/γ to w₁*, the free-bias SVM: on the margin path (filled) and on "
        "the constrained path (open) it falls like 1/ρ."
    )

    last: float = 1e3
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Trace both paths, scale by the own margin, and take distances to the certified w_1*."""
        runs = [("x = (3,0), (1,1), y = +1, -1", Dataset([[3, 0], [1, 1]], [1, -1]))]
        if not self.toy_only:
            runs.append(("wine", load_dataset("wine", positive=[0], standardize=True)))
            if effort is Effort.FULL:
                runs.append(("iris", load_dataset("iris", positive=[0], standardize=True)))
        count = 3 if effort is Effort.QUICK else 9
        predictor = Sum((Linear(), Bias()))
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        for number, (name, data) in enumerate(runs):
            limit = solve(WSet(predictor, data))
            target = limit.theta[0]
            top = float(np.log10(self.last))
            grid = [float(r) for r in np.logspace(min(1.0, top - 0.5), top, count)]
            paths = {"margin path": MarginPath, "constrained path": ConstrainedPath}
            for word, formulation in paths.items():
                path = trace(formulation(predictor, data), grid)
                scaled = [p.rho * p.theta[: target.size] / p.margin for p in path.points]
                apart = [float(np.linalg.norm(w - target) / np.linalg.norm(target)) for w in scaled]
                known = limit.certificate is not None and limit.certificate.certified
                checks.append(
                    Check(
                        f"{name}, linear plus b|b|, {word}",
                        f"‖ρθ_1/γ - w_1*‖/‖w_1*‖ at ρ = {grid[-1]:g}",
                        apart[-1],
                        Relation.AT_MOST,
                        0.0,
                        _NEAR,
                        residual([limit.certificate, *(p.certificate for p in path.points)]),
                        path.certified and known,
                    )
                )
                curves |= {f"rho {number}": tuple(grid), f"{word} {number}": tuple(apart)}
        return Measurement(tuple(checks), curves)

    def draw(self, measurement: Measurement) -> Any:
        """Distances over ρ on both paths."""
        curves = measurement.curves
        names = [check.instance.split(", linear")[0] for check in measurement.checks[::2]]
        with style() as plt:
            figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
            for number, (name, color) in enumerate(
                zip(names, (BLUE, VERMILION, GREEN), strict=False)
            ):
                rho = curves[f"rho {number}"]
                axes.loglog(rho, curves[f"margin path {number}"], "o-", color=color, ms=5)
                axes.loglog(
                    rho, curves[f"constrained path {number}"], "o--", color=color, ms=5, mfc="white"
                )
                axes.plot([], [], color=color, label=name)
            axes.plot([], [], "o-", color="black", ms=5, label="margin path")
            axes.plot([], [], "o--", color="black", ms=5, mfc="white", label="constrained path")
            axes.set_xlabel("scale ρ")
            axes.set_ylabel("relative distance of $\\rho\\theta_1/\\gamma$ to $w_1^*$")
            axes.legend(frameon=False)
            return figure


STATEMENT = TheoremOne()
