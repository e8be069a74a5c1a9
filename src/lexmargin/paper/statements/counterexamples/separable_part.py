"""Eq. 5 on data that nothing separates: the path's direction is decided by the separable part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import ConstrainedPath, HardMargin
from lexmargin.judge import Certificate
from lexmargin.losses import Loss
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import rows as as_data
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation, Statement
from lexmargin.plots import BLUE, GREEN, GREY, ORANGE, panels
from lexmargin.predictors import Linear
from lexmargin.separability import separability
from lexmargin.separation.rows import margin_rows
from lexmargin.solve import solve

__all__ = ["STATEMENT", "SeparablePart"]

_NEAR: Final = 2.0
"""The distance to the limit is at most this over ρ: parts of bounded size, seen from radius ρ."""
_SETTLED: Final = 4.0
"""The bounded part is at most this times e^{-ργ} from its limit: what S still pulls at it."""
_RATE: Final = 1.5
"""Of the next term of ρ times the distance, over ρ."""
_INSIDE: Final = 30.0
"""A radius beyond the minimisers of the losses of R."""
_RANK: Final = 1e-9
"""Relative singular value of a direction that is not there: the rows are exact, so any small one
does."""


@final
@dataclass(frozen=True)
class SeparablePart(Statement):
    """`θ_c(ρ) → max margin of S on span(Z_R)^⊥`, and the part in span(Z_R) stays bounded.

    Attributes:
        Z: the toy's rows: two that separate, and three on an axis that do not.
        orthogonal: take the max margin on the complement of span(Z_R); without it that of S alone
            in the whole space, which is another direction.
    """

    id: ClassVar[str] = "separable-part"
    title: ClassVar[str] = "Without a separator the separable part decides the direction"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.CONSTRAINED_PATH, Passage.ASSUMPTION_1)
    beyond: ClassVar[str] = "Ji and Telgarsky (2018)"
    equation: ClassVar[str] = (
        r"\frac{P^\perp\theta_c(\rho)}{\|P^\perp\theta_c(\rho)\|}\to"
        r"\arg\max_{\|\theta\|=1,\ \theta\perp z_r\,\forall r\in R}\ \min_{n\in S}\ z_n\cdot\theta,"
        r"\qquad \rho\,P\,\theta_c(\rho)\to"
        r"\arg\min_{v\in\mathrm{span}(Z_R)}\ \sum_{r\in R}\ell(z_r\cdot v)"
    )
    says: ClassVar[str] = (
        "Where linear scores separate only a part S of the samples, the direction of the "
        "constrained path tends to the max margin of S orthogonal to the rest R, at the rate 1/ρ, "
        "and inside the span of R the path tends to the finite minimiser of R's loss."
    )
    caption: ClassVar[str] = (
        "Above: distance of the path's direction to the max margin of S on the complement of "
        "span(Z_R), falling like 1/ρ. Below: distance of the part inside the span to the "
        "minimiser of R's loss, falling like e^{-ργ}."
    )

    Z: tuple[tuple[float, ...], ...] = (
        (1.0, 0.0, 1.0),
        (0.0, 2.0, -1.0),
        (0.0, 0.0, 1.0),
        (0.0, 0.0, 1.0),
        (0.0, 0.0, -1.0),
    )
    orthogonal: bool = True

    def measure(self, effort: Effort) -> Measurement:
        """Decompose exactly, solve eq. 5 up to where R no longer hides S, compare."""
        radii = (4.0, 8, 16) if effort is Effort.QUICK else (2.0, 4.0, 8, 12, 16, 24)
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"rho": radii}
        named = [
            ("Z = (1,0,1), (0,2,-1); ±e_3", as_data(self.Z), Loss.EXPONENTIAL, 2, 3.0),
            ("Z = (1,0,1), (0,2,-1); ±e_3, logistic", as_data(self.Z), Loss.LOGISTIC, 2, 4.0),
            ("x = 1,2,2,4 of classes --++, with a bias", _line((1, 2, 2, 4), "--++"),
             Loss.LOGISTIC, 2, None),
            ("x = 1,1,0,0 of classes ++-+, with a bias", _line((1, 1, 0, 0), "++-+"),
             Loss.EXPONENTIAL, 2, None),
        ]  # fmt: skip
        for number, (name, data, loss, count, nats) in enumerate(named):
            Z = np.asarray(margin_rows(data))
            found = separability(data)
            strict, rest = np.array(found.strict), np.array(found.rest)
            span, across = _split(Z[rest])
            limit, gamma, settled, answers = self._limits(Z, strict, rest, span, across, loss)
            apart, inside = [], []
            for rho in radii:
                path = solve(ConstrainedPath(Linear(), as_data(_tuples(Z)), rho=rho, loss=loss))
                answers.append(path.certificate)
                w = rho * path.theta[0]
                apart.append(float(np.linalg.norm(w / np.linalg.norm(w) - limit)))
                inside.append(float(np.linalg.norm(span @ w - settled)))
            curves[f"apart {number}"], curves[f"inside {number}"] = tuple(apart), tuple(inside)
            shown = Backing.of(answers)
            rho = radii[-1]
            figures: list[tuple[str, float, Relation, float, float]] = [
                ("samples that some w ∈ C separates strictly", float(strict.size),
                 Relation.EQUAL, float(count), 0.0),
                (f"distance of θ_c(ρ) to the limit at ρ = {rho:g}", apart[-1],
                 Relation.AT_MOST, 0.0, _NEAR / rho),
                (f"distance of ρ P θ_c(ρ) to R's minimiser at ρ = {rho:g}", inside[-1],
                 Relation.AT_MOST, 0.0, _SETTLED * math.exp(-rho * gamma)),
            ]  # fmt: skip
            if nats is not None and self.orthogonal:
                # Near the limit 2 w_2 - w_1 tends to ln 4 + 2 w_3: the next term in closed form.
                away = across @ (w / np.linalg.norm(across @ w)) - across @ limit
                figures.append(
                    ("ρ times the distance of the direction across", rho * _size(away),
                     Relation.EQUAL, nats * math.log(2.0) / math.sqrt(5.0), _RATE / rho)
                )  # fmt: skip
            checks.extend(
                shown.check(name, quantity, value, relation, predicted, tolerance)
                for quantity, value, relation, predicted, tolerance in figures
            )
        return Measurement(tuple(checks), curves)

    def _limits(
        self,
        Z: FloatArray,
        strict: Any,
        rest: Any,
        span: FloatArray,
        across: FloatArray,
        loss: Loss,
    ) -> tuple[FloatArray, float, FloatArray, list[Certificate]]:
        """Return the limit direction, its margin, R's minimiser in the span, and certificates."""
        if self.orthogonal:
            margin = solve(HardMargin(Linear(), as_data(_tuples(Z[strict] @ across.T))))
            limit = margin.direction @ across
        else:
            margin = solve(HardMargin(Linear(), as_data(_tuples(Z[strict]))))
            limit = margin.direction
        least = solve(
            ConstrainedPath(Linear(), as_data(_tuples(Z[rest] @ span.T)), rho=_INSIDE, loss=loss)
        )
        answers = [margin.certificate, least.certificate]
        return limit, margin.margin, _INSIDE * least.theta[0], answers

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "the max margin of S in the whole space, not orthogonal to R",
                SeparablePart(orthogonal=False),
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Both distances over the radius."""
        curves = measurement.curves
        rho = np.array(curves["rho"])
        looks = ((BLUE, "o-", "toy"), (ORANGE, "s-", "toy, logistic"), (GREEN, "^-", "x = 1,2,2,4"))
        with panels(2, 2.6) as (figure, (left, right)):
            for number, (color, mark, text) in enumerate(looks):
                left.loglog(rho, curves[f"apart {number}"], mark, ms=4, color=color, label=text)
                inside = np.maximum(curves[f"inside {number}"], 1e-17)
                right.semilogy(rho, inside, mark, ms=4, color=color, label=text)
            left.loglog(rho, 1.0 / rho, "--", color=GREY, lw=0.8, label="1/ρ")
            left.set_xticks(rho, [f"{value:g}" for value in rho])
            left.minorticks_off()
            left.set_xlabel("radius ρ")
            left.set_ylabel("distance to the max margin of S")
            right.set_xlabel("radius ρ")
            right.set_ylabel("distance to R's minimiser")
            left.legend(frameon=False)
            return figure


def _line(x: tuple[int, ...], labels: str) -> Dataset:
    """Return points on a line with a feature that is 1."""
    return Dataset([(v, 1) for v in x], [1 if c == "+" else -1 for c in labels])


def _tuples(Z: FloatArray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in Z.tolist())


def _size(vector: FloatArray) -> float:
    return float(np.linalg.norm(vector))


def _split(rest: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return orthonormal rows that span the rest, and those of their complement."""
    _, sizes, basis = np.linalg.svd(rest)
    rank = int(np.count_nonzero(sizes > _RANK * sizes[0]))
    return basis[:rank], basis[rank:]


STATEMENT = SeparablePart()
