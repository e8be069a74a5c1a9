"""Levels whose least value is known at a glance: a cost of 0, and a bias beside held scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.bounds.parts import is_linear, members_of
from lexmargin.judge.proved import BoundMethod, Proved
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import EPS
from lexmargin.predictors.bias import Bias, BiasForm

__all__ = ["HeldScores", "ZeroCost"]


@final
@dataclass(frozen=True)
class ZeroCost:
    """A point that costs nothing: an entry of its target, as its square may underflow."""

    method = BoundMethod.ZERO

    def applies(self, kkt: Kkt) -> bool:
        return kkt.costs is not None and kkt.loss is None and not np.any(kkt.target)

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved:
        what = "the cost = 0" if kkt.part is None else f"‖w_{kkt.part + 1}‖ = 0, discarded"
        why = f"{what}: no feasible point has less"
        return Proved(method=self.method, value=0.0, sentence=why, excess=0.0)


@final
@dataclass(frozen=True)
class HeldScores:
    """`‖w_2‖² = |β|` of one bias, at least the |β| nearest to 0 that the held scores leave."""

    method = BoundMethod.HELD

    def applies(self, kkt: Kkt) -> bool:
        deeper = [one for one in members_of(kkt) if not is_linear(one.predictor)]
        alone = len(deeper) == 1 and isinstance(deeper[0].predictor, Bias)
        return alone and kkt.part == 1 and kkt.free is not None and not kkt.functions.multi_class

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        if kkt.parts is None:
            return None
        w, first = kkt.point, kkt.parts.entries(0)
        rows = kkt.jacobian[:, first]
        rounding = EPS * (w.size + 8) * (1.0 + np.abs(rows) @ np.abs(w[first]))
        needed = 1.0 - rows @ w[first] - rounding
        positive = np.asarray(kkt.functions.data.signed) > 0
        low = float(np.max(needed[positive], initial=-np.inf))
        high = float(np.min(-needed[~positive], initial=np.inf))
        forms = [m.predictor.form for m in members_of(kkt) if isinstance(m.predictor, Bias)]
        least = max(0.0, low) if BiasForm.SQUARE in forms else max(0.0, low, -high)
        size = float(np.sum(kkt.target * kkt.point))
        return Proved(
            method=self.method,
            value=least,
            sentence="no bias is smaller",
            reached=size,
            # |β| is part of a score, and scores are compared with 1.
            excess=max(0.0, size - least) / max(1.0, least),
        )
