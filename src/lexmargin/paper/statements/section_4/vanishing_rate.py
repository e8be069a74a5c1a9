"""Before Definition 4: the Lagrangian's gradient vanishes faster on the optimization path."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations.loss_path import softmax
from lexmargin.linalg.norms import angle
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import EXACT
from lexmargin.paper.instances import rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.paths import EndReason, GradientFlow, descend
from lexmargin.predictors import Linear

__all__ = ["STATEMENT", "VanishingRate"]

_Z: Final = np.array([[1.0, 0.0], [0.0, 2.0]])
"""The samples, as rows z_n."""
_GOAL: Final = np.array([2.0, 1.0]) / math.sqrt(5)
"""The max-margin direction, where both paths go."""
_ACROSS: Final = np.array([1.0, -2.0])
"""What the generic path adds to ρ times the limit: its losses keep the ratio e^{-1} to e^{4}."""
_OFFSET: Final = 2.0 * math.sqrt(5)
"""Of its angle, times the norm: twice the length added, which turns θ itself towards the limit."""
_SLOPE: Final = 0.8 * math.log(2.0)
"""log t times the angle along the flow, for t → ∞: ln 4 · 2/5 (row assumption-4-directions)."""
_NEXT: Final = 1.0
"""Of that product, times log t: the size of the next term."""


@final
@dataclass(frozen=True)
class VanishingRate(PlainStatement):
    """`min_λ ‖ρ∇L(ρθ) + λθ‖ = ρ‖∇L‖ sin∠(-∇L, θ)` on two paths to one limit.

    Attributes:
        generic: let the generic path stand in the place of the optimization path.
    """

    id: ClassVar[str] = "vanishing-rate"
    title: ClassVar[str] = "The Lagrangian's gradient vanishes faster where Definition 4 holds"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.FASTER,)
    equation: ClassVar[str] = (
        r"\min_\lambda\|\rho\nabla L(\rho\theta)+\lambda\theta\|="
        r"\rho\,\|\nabla L(\rho\theta)\|\,\sin\angle(-\nabla L,\theta)"
    )
    says: ClassVar[str] = (
        "On many paths the gradient of the Lagrangian (eq. 22) goes to zero; on paths of "
        "Definition 4 it goes faster. Measured beside the loss: its share sin∠(-∇L, θ) stays on "
        "a generic path to the same limit, and falls like 1/log t along gradient flow."
    )
    caption: ClassVar[str] = (
        "Angle of -∇L and θ over the time: along gradient flow, and along ρ(2,1)/√5 + (1,-2) at "
        "the same norms. Both directions have the same limit; only the first angle has the "
        "limit 0."
    )
    axes: ClassVar[tuple[str, str]] = ("time t", "angle of $-\\nabla L$ and θ")

    generic: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Follow the flow, and take a generic point of the same norm beside every record."""
        times = tuple(float(t) for t in np.logspace(2, 100, 5 if effort is Effort.QUICK else 15))
        path = descend(Linear(), rows(tuple(map(tuple, _Z.tolist()))), start=np.zeros(2),
                       flow=GradientFlow(times[-1]), record=times, polish=False)  # fmt: skip
        flow, other, gap = [], [], []
        for size, direction in zip(path.records.norm, path.records.direction, strict=True):
            beside = _beside(float(size))
            own = beside if self.generic else float(size) * direction
            flow.append(_turned(own))
            other.append(_turned(beside))
            gap.append(math.log(math.sin(flow[-1]) / math.sin(other[-1])) + _log_slope(own)
                       - _log_slope(beside))  # fmt: skip
        last = math.log(times[-1]) if path.reason is EndReason.TIME else math.nan
        stays = angle(np.array([math.exp(-1.0), 2.0 * math.exp(4.0)]), _GOAL)
        word = "Z = (1,0), (0,2), linear"
        checks: list[Check] = [
            EXACT.check(word, f"log of the Lagrangian's gradient on the generic path at t = "
                        f"{times[-1]:g}: it goes to zero",
                        math.log(path.records.norm[-1]) + _log_slope(_beside(path.records.norm[-1]))
                        + math.log(math.sin(other[-1])), Relation.AT_MOST, -100, 0.0),
            EXACT.check(word, "its angle on the generic path", other[-1], Relation.EQUAL, stays,
                        _OFFSET / float(path.records.norm[-1])),
            EXACT.check(word, "log t times the angle along gradient flow", last * flow[-1],
                        Relation.EQUAL, _SLOPE, _NEXT / last),
            EXACT.check(word, "log of the ratio of the Lagrangian's gradients, flow to generic",
                        gap[-1], Relation.AT_MOST, -math.log(last), 0.0),
        ]  # fmt: skip
        curves = {"t": times, "gradient flow": tuple(flow), "generic path": tuple(other)}
        return Measurement(tuple(checks), curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("a generic path in the place of gradient flow", VanishingRate(generic=True)),)


def _beside(size: float) -> FloatArray:
    """Return the generic path's point of this norm."""
    return np.asarray(math.sqrt(size**2 - float(_ACROSS @ _ACROSS)) * _GOAL + _ACROSS)


def _turned(w: FloatArray) -> float:
    return float(angle(softmax(-(_Z @ w)) @ _Z, w))


def _log_slope(w: FloatArray) -> float:
    """Return log ‖∇L(w)‖."""
    f = _Z @ w
    return float(np.logaddexp.reduce(-f)) + math.log(float(np.linalg.norm(softmax(-f) @ _Z)))


STATEMENT = VanishingRate()
