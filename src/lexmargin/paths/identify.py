"""Which norm's margin an optimizer maximised: a direction against one norm after another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.errors import LexmarginError, NotSeparableError, ParameterError
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.inputs.kinds import Exponent, checked
from lexmargin.inputs.stored import StoredAlone
from lexmargin.judge import Certificate, Verdict, certify
from lexmargin.linalg.norms import check_norm, unit_scale, vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.outputs.display import frame, html_table
from lexmargin.paths.descend import Descent
from lexmargin.predictors.base import Predictor
from lexmargin.run.stages import Start
from lexmargin.solve import solve

__all__ = ["NORMS", "Identified", "NormFit", "identify"]

NORMS: Final = (1.0, 1.5, 2.0, 3.0, math.inf)
"""Those that are tried where none is named: of coordinate, gradient and sign descent, and between
them one on either side."""
_MOVED: Final = 0.02
"""How far a direction may lie from the limit that it is said to belong to; a unit vector's largest
distance is 2."""
_APART: Final = 2.0
"""How many times further another norm's limit must lie: a path that is on its way is nearer to what
it goes to, but a third limit between two may be passed."""


@final
@dataclass(frozen=True, eq=False)
class NormFit:
    """A direction against the max margin of one norm.

    Attributes:
        norm: p.
        verdict: of the direction itself.
        stationarity: its ε in this norm, None where no margin is positive.
        limit: (d,) unit vector, the stationary direction of the norm that a solver reached from
            it; for linear scores the max margin.
        limit_verdict: of the limit.
        moved: distance between the two; NaN where there is no certified limit.
        shortfall: ``1 - γ(direction)/γ(limit)``, margins over the norm to the degree.
        trend: (R,) distance of the run's records to the limit; empty without a run.
    """

    norm: float
    verdict: Verdict
    stationarity: float | None
    limit: FloatArray
    limit_verdict: Verdict
    moved: float
    shortfall: float
    trend: FloatArray

    @property
    def nears(self) -> bool:
        """Whether the last records of the run come nearer to the limit; True without a run."""
        if self.trend.size < 2:
            return True
        return bool(self.trend[-1] <= self.trend[self.trend.size // 2])


@final
@dataclass(frozen=True, eq=False)
class Identified(StoredAlone):
    """Which norm's margin a direction maximises.

    Attributes:
        fits: one per norm, the nearest limit first, those without a certified limit last.
        norm: p of the norm it belongs to; None where none can be named.
        coincide: other norms in which that limit is certified: the data do not tell them apart.
        reason: why none is named; empty where one is.
    """

    fits: tuple[NormFit, ...]
    norm: float | None
    coincide: tuple[float, ...]
    reason: str

    def to_frame(self) -> Any:
        """Return the fits as a ``pandas.DataFrame``, one row per norm."""
        return frame(dict(zip(_HEAD, zip(*self._rows(), strict=True), strict=True)))

    def _rows(self) -> list[tuple[object, ...]]:
        return [
            (
                _word(fit.norm),
                str(fit.verdict),
                math.nan if fit.stationarity is None else fit.stationarity,
                fit.moved,
                fit.shortfall,
                str(fit.limit_verdict),
            )
            for fit in self.fits
        ]

    def __str__(self) -> str:
        if self.norm is None:
            return f"no norm: {self.reason}"
        also = ", ".join(_word(p) for p in self.coincide)
        return f"the max margin of {_word(self.norm)}" + (f", which is that of {also}" * bool(also))

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>{html_table(self._rows(), _HEAD)}"


_HEAD: Final = ("norm", "verdict", "ε", "distance", "shortfall", "limit")


@checked
def identify(
    direction: Descent | Start,
    predictor: Predictor,
    data: Dataset,
    *,
    norms: Sequence[Exponent] = NORMS,
    seed: int = 0,
    time_limit: float | None = None,
) -> Identified:
    """Find the norm ‖·‖ with ``⟨θ, G⟩ = ‖θ‖ ‖G‖_*``, ``G = Σ λ_n ∇f_n(θ)``, λ >= 0 on the support.

    From the direction a solver goes to a stationary point of every norm's hard margin (eq. 18), and
    the judge certifies it; the direction belongs to the norm whose limit is within .02, unless the
    limit of another, which is not stationary in the first, lies nearly as close.

    Args:
        direction: θ, flat ``(d,)`` or block by block, or a run.
        predictor, data: define ``f_n``; homogeneous.
        norms: p of every norm that is tried.
        seed: of the solvers' random choices.
        time_limit: seconds for each norm.

    Raises:
        DegreeError: the predictor is not homogeneous.
        NotSeparableError: the direction does not separate the samples.
        ParameterError: no norms, or a p below 1.

    Source: Gunasekar et al. (2018), Tsilivis et al. (2025).
    """
    tried = tuple(dict.fromkeys(check_norm(float(p)) for p in norms))
    if not tried:
        raise ParameterError("There is no norm to try.", "Name one: norms=[1, 2, 'inf'].")
    functions = MarginFunctions(predictor, data)
    run = direction if isinstance(direction, Descent) else None
    given = direction.theta if isinstance(direction, Descent) else direction
    theta = unit_scale(functions.point(given))
    if not float(functions.values(theta).min()) > 0.0:
        raise NotSeparableError(
            "The direction does not separate the samples.",
            "Follow the optimizer until every margin is positive.",
        )
    seen = () if run is None else run.records.direction[run.records.margin > 0.0]
    fits = sorted(
        (_fit(predictor, data, theta, p, np.asarray(seen), seed, time_limit) for p in tried),
        key=lambda fit: (math.isnan(fit.moved), fit.moved),
    )
    return _named(tuple(fits), predictor, data)


def _fit(
    predictor: Predictor,
    data: Dataset,
    theta: FloatArray,
    p: float,
    seen: FloatArray,
    seed: int,
    time_limit: float | None,
) -> NormFit:
    problem = HardMargin(predictor, data, p)
    given = certify(problem, theta)
    unit = theta / vector_norm(theta, 2.0)
    try:
        found = solve(problem, start=theta, seed=seed, time_limit=time_limit)
    except LexmarginError:
        limit, verdict = np.full_like(unit, math.nan), Verdict.UNDECIDED
    else:
        limit = found.direction / vector_norm(found.direction, 2.0)
        judged: Certificate | None = found.judgement
        verdict = Verdict.UNDECIDED if judged is None else judged.verdict
        if judged is None or not judged.certified:
            limit = np.full_like(unit, math.nan)
    margins = [_margin(problem, point) for point in (unit, limit)]
    return NormFit(
        norm=p,
        verdict=given.verdict,
        stationarity=given.stationarity,
        limit=limit,
        limit_verdict=verdict,
        moved=float(np.linalg.norm(unit - limit)),
        shortfall=1.0 - margins[0] / margins[1],
        trend=np.linalg.norm(seen - limit, axis=1) if len(seen) else np.zeros(0),
    )


def _margin(problem: HardMargin, unit: FloatArray) -> float:
    values = problem.functions.values(unit / vector_norm(unit, problem.norm_p))
    return float(values.min())


def _named(fits: tuple[NormFit, ...], predictor: Predictor, data: Dataset) -> Identified:
    best = fits[0]
    if not best.moved <= _MOVED:
        near = "no limit was certified" if math.isnan(best.moved) else (
            f"the nearest limit, of {_word(best.norm)}, is {best.moved:.2g} away"
        )  # fmt: skip
        return Identified(fits, None, (), near)
    same = tuple(
        fit.norm
        for fit in fits[1:]
        if certify(HardMargin(predictor, data, fit.norm), best.limit).certified
    )
    for other in fits[1:]:
        if other.norm not in same and other.moved <= _APART * best.moved:
            words = f"{_word(best.norm)} ({best.moved:.2g}) and {_word(other.norm)}"
            return Identified(fits, None, (), f"{words} ({other.moved:.2g}) are both near")
    if not best.nears:
        return Identified(fits, None, (), f"the run goes away from the limit of {_word(best.norm)}")
    return Identified(fits, best.norm, same, "")


def _word(p: float) -> str:
    return "ℓ∞" if math.isinf(p) else f"ℓ{p:g}"
