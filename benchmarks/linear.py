"""Linear margins as cases: every answer is measured against one proven bound, in NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from cases import ENGINE, SOLVE, Answer, Case, Judgement, engine, solve
from instances import bytes_of
from peers import Solver, signed

import lexmargin as lm
from lexmargin.formulations.base import Formulation
from lexmargin.ops.base import FloatArray

__all__ = ["FREE", "linear_case", "margin_gap", "stated"]

FREE: Final = lm.Sum([lm.Linear(), lm.Bias()])


def stated(data: lm.Dataset, bias: bool, norm: float = 2.0) -> Formulation:
    """Return the hard margin, or with a free bias eq. 13, which leaves it out of the norm."""
    if bias:
        return lm.WSet(FREE, data)
    return lm.HardMargin(lm.Linear(), data, norm="inf" if math.isinf(norm) else norm)


def plane(Z: Any, y: FloatArray, bias: bool, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return w and the margins f with the best bias for it, so that w alone is compared."""
    w = theta[: Z.shape[1]]
    f = np.asarray(Z @ w)
    if bias:
        f = f - y * 0.5 * float(f[y > 0].min() - f[y < 0].min())
    return w, f


def margin_gap(
    Z: Any, y: FloatArray, bias: bool, norm: float, theta: FloatArray, multipliers: FloatArray
) -> float:
    """Return ``1 - margin/bound`` with ``‖Σ λ_n z_n‖_q / Σ λ_n``, which no margin exceeds.

    With a free bias this needs ``λ·y = 0``, which rescaling the λ of one class gives.
    """
    lam = np.maximum(multipliers, 0.0)
    if bias:
        up, down = float(lam[y > 0].sum()), float(lam[y < 0].sum())
        lam = np.where(y > 0, lam * (down / up if up > 0 else 0.0), lam)
    dual = 1.0 if math.isinf(norm) else math.inf if norm == 1 else norm / (norm - 1.0)
    if not lam.sum() > 0.0:
        return math.nan
    bound = float(np.linalg.norm(np.asarray(Z.T @ lam), dual) / lam.sum())
    w, f = plane(Z, y, bias, theta)
    size = float(np.linalg.norm(w, norm))
    return 1.0 - float(f.min()) / size / bound if size > 0.0 else math.inf


def linear_case(
    name: str,
    X: Any,
    y: FloatArray,
    peers: Mapping[str, Solver],
    *,
    bias: bool = False,
    norm: float = 2.0,
    **words: Any,
) -> Case[Answer]:
    """Return a case; the bound is that of the first answer with multipliers, which is ours."""
    data = lm.Dataset(X, y)
    Z = signed(X, y)
    labels = y if bias else None
    known: list[FloatArray] = []

    def judged(answer: Answer) -> Judgement:
        if answer.multipliers.size and not known:
            known.append(answer.multipliers)
        gap = margin_gap(Z, y, bias, norm, answer.theta, known[0]) if known else math.nan
        return Judgement(
            answer.certificate[0], answer.certificate[1], gap, answer.certificate[2],
            {} if answer.iterations is None else {"passes": float(answer.iterations)},
        )  # fmt: skip

    def peer(solver: Solver) -> Callable[[], Answer]:
        return lambda: Answer(solver(Z, labels), np.empty(0))

    ways: dict[str, Callable[[], Answer]] = {
        SOLVE: lambda: solve(stated(data, bias, norm)),
        ENGINE: lambda: engine(stated(data, bias, norm)),
    }
    ways |= {peer_name: peer(solver) for peer_name, solver in peers.items()}
    return Case(name, ways, judged, bytes_of(X), **words)
