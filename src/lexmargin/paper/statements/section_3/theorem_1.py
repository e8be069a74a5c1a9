"""Theorem 1 (Lemma 4): scaled by γ*^{1/α_k}, both paths settle on the W-set (eq. 13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset, load_dataset
from lexmargin.formulations import ConstrainedPath, MarginPath, WSet
from lexmargin.paper.evidence import Backing, residual
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Statement
from lexmargin.paths import trace
from lexmargin.plots import BLUE, GREEN, VERMILION, panels
from lexmargin.predictors import Bias, Linear, Sum
from lexmargin.solve import solve

__all__ = ["STATEMENT", "TheoremOne"]

_NEAR: Final = 0.01
"""Relative distance to w_k* at ρ = 1e3; the distance falls like 1/γ*."""


@final
@dataclass(frozen=True)
class TheoremOne(Statement):
    """`ρ θ_k(ρ)/γ*(ρ)^{1/α_k} → w_k*` on the margin path and on the constrained path.

    Attributes:
        last: the largest ρ.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "theorem-1"
    title: ClassVar[str] = "Both paths settle on the W-set"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.THEOREM_1, Passage.LEMMA_4)
    equation: ClassVar[str] = (
        r"\rho\,\theta_k=(w_k^*+o(1))\,\gamma^*(\rho)^{1/\alpha_k},\quad "
        r"w^*\in\mathrm{argmin}_w\,\|w_1\|^2\ \text{s.t.}\ f_n(w)\ge 1\ \forall n"
    )
    says: ClassVar[str] = (
        "The scaled parts settle on a solution of eq. 13, on the margin path and on the "
        "constrained path. Here f_n = y_n(θ_1·x_n + b|b|), degrees 1, 2."
    )
    problems: ClassVar[tuple[str, ...]] = ("sums/bias-free-signed-square", "real/wine-0")
    caption: ClassVar[str] = (
        "Above: the scaled parameters ρθ_k/γ*^{1/α_k} on the toy (points) settle on w*, the "
        "free-bias SVM (dashed). Below: their relative distance to w*, all parts together; on the "
        "margin path (filled) and on the constrained path (open) it falls like 1/ρ."
    )

    last: float = 1e3
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Trace both paths, scale by γ*(ρ), and take distances to the certified w*."""
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
            known = limit.certificate.certified
            top = float(np.log10(self.last))
            grid = [float(r) for r in np.logspace(min(1.0, top - 0.5), top, count)]
            paths = {"margin path": MarginPath, "constrained path": ConstrainedPath}
            for word, formulation in paths.items():
                path = trace(formulation(predictor, data), grid)
                # γ*(ρ) is the margin path's own margin, and the best known one beside the other.
                best = [
                    p.margin if formulation is MarginPath else p.best_margin for p in path.points
                ]
                size = data.n_features
                parts = [
                    (p.rho * p.theta[:size] / g, p.rho * p.theta[size:] / g**0.5)
                    for p, g in zip(path.points, best, strict=True)
                ]
                for k, target in enumerate(limit.theta):
                    last = parts[-1][k]
                    checks.append(
                        Backing(
                            residual([limit.certificate, *(p.certificate for p in path.points)]),
                            path.certified and known,
                        ).small(
                            f"{name}, linear plus b|b|, {word}",
                            f"‖ρθ_{k + 1}/γ*^(1/{k + 1}) - w_{k + 1}*‖/‖w_{k + 1}*‖ "
                            f"at ρ = {grid[-1]:g}",
                            float(np.linalg.norm(last - target) / np.linalg.norm(target)),
                            _NEAR,
                        )
                    )
                flat = np.array([np.concatenate(part) for part in parts])
                whole = np.concatenate(limit.theta)
                apart = np.linalg.norm(flat - whole, axis=1) / np.linalg.norm(whole)
                curves |= {f"rho {number}": tuple(grid), f"{word} {number}": tuple(apart)}
                if not number:
                    curves |= {f"limit {i}": (float(v),) for i, v in enumerate(whole)}
                    curves |= {f"{word} w {i}": tuple(v) for i, v in enumerate(flat.T)}
        return Measurement(tuple(checks), curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("ρ up to 3, where γ*(ρ) is not large", TheoremOne(last=3.0, toy_only=True)),)

    def draw(self, measurement: Measurement) -> Any:
        """Scaled parameters of the toy, and distances over ρ on both paths."""
        curves = measurement.curves
        names = [check.instance.split(", linear")[0] for check in measurement.checks[::4]]
        names[0] = "toy"
        paths = (("margin path", "-", None), ("constrained path", "--", "white"))
        with panels(2, 3.2) as (figure, (left, right)):
            parts = ((BLUE, "$\\theta_{1,1}$"), (GREEN, "$\\theta_{1,2}$"), (VERMILION, "$b$"))
            for number, (color, label) in enumerate(parts):
                left.axhline(curves[f"limit {number}"][0], color=color, ls="--", lw=0.8)
                for word, dash, fill in paths:
                    at = curves[f"{word} w {number}"]
                    look = f"o{dash}"
                    left.plot(curves["rho 0"], at, look, color=color, ms=4, lw=0.8, mfc=fill)
                left.plot([], [], "o-", color=color, ms=4, lw=0.8, label=label)
            left.set_xscale("log")
            left.set_xlabel("scale ρ")
            left.set_ylabel("toy: $\\rho\\theta_k/\\gamma^{*1/\\alpha_k}$")
            left.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
            for number, (name, color) in enumerate(
                zip(names, (BLUE, VERMILION, GREEN), strict=False)
            ):
                for word, dash, fill in paths:
                    at = curves[f"{word} {number}"]
                    look = f"o{dash}"
                    right.loglog(curves[f"rho {number}"], at, look, color=color, ms=4, mfc=fill)
                right.plot([], [], color=color, label=name)
            for word, dash, fill in paths:
                right.plot([], [], f"o{dash}", color="black", ms=4, mfc=fill, label=word)
            right.set_xlabel("scale ρ")
            right.set_ylabel("relative distance to $w^*$")
            right.legend(
                frameon=False, loc="lower left", bbox_to_anchor=(-0.1, 1.0), ncols=2, fontsize=8
            )
            return figure


STATEMENT = TheoremOne()
