"""Quasi-homogeneous points: exact, near and false ones, against a linear program in the scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import lexmargin as lm
from adversarial_common import Family, Trial
from lexmargin.judge.tolerances import DEFAULT
from lexmargin.judge.trained.trained_scaled import ScaledWord, certify_scaled
from lexmargin.judge.verdict import Verdict
from quasi_cases import Planted, as_trained, planted

_NEAR = 1e-4
"""Relative distance from the least cost at which a stationary word is false: 1e3 tolerances."""


def _case(rng: np.random.Generator, rectified: bool) -> Planted:
    while True:
        found = planted(rng, rectified)
        if found is not None:
            return found


def _changed(rng: np.random.Generator, case: Planted) -> tuple[list[Any], str]:
    """Return the blocks, exact or wrong in one way, and which."""
    W1, W2, b, v = (block.copy() for block in case.blocks)
    kind = str(rng.choice(["exact", "orbit", "unbalanced", "turned", "raised"]))
    if kind == "orbit":
        # W_1 and W_2 cost nothing: any factor between them.
        c = np.exp(rng.uniform(-2.0, 2.0))
        W1, W2 = W1 * c, W2 / c
    elif kind == "unbalanced":
        c = np.exp(rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(-3.0, 0.5))
        v, b, W2 = v * c, b / c, W2 / c
    elif kind == "turned":
        size = 10.0 ** rng.uniform(-6.0, -1.0)
        blocks = [W1, W2, b, v]
        whole = np.sqrt(sum(float(np.sum(x**2)) for x in blocks))
        way = [rng.standard_normal(x.shape) for x in blocks]
        step = size * whole / np.sqrt(sum(float(np.sum(x**2)) for x in way))
        W1, W2, b, v = (x + step * d for x, d in zip(blocks, way, strict=True))
    elif kind == "raised":
        # Both sizes larger: feasible with a larger score, at a cost that is not the least.
        c = np.exp(10.0 ** rng.uniform(-3.0, 0.0))
        v, b = v * c, b * c
    return [W1, W2, b, v], kind


def _false(case: Planted, blocks: list[Any], margin: float) -> str:
    """Say why w, stretched to the margin 1, is not of the least cost; empty where it is."""
    _, _, b, v = blocks
    # λ of b and v is 1/2 each: both costs are divided by the margin.
    sizes = float(np.sum(b**2)) / margin, float(np.sum(v**2)) / margin
    if abs(sizes[0] - sizes[1]) > _NEAR * max(sizes):
        return f"‖b‖² = {sizes[0]:.6g} and ‖v‖² = {sizes[1]:.6g}"
    if sizes[0] + sizes[1] > 2.0 * case.least * (1.0 + _NEAR):
        return f"cost {sizes[0] + sizes[1]:.9g}, and {2 * case.least:.9g} is enough"
    return ""


def _judged(rng: np.random.Generator, rectified: bool, trained: bool) -> Trial:
    case = _case(rng, rectified)
    blocks, kind = _changed(rng, case)
    functions = case.problem.functions
    w = functions.flatten(blocks)
    margin = float(np.min(functions.values(w)))
    exact = kind in ("exact", "orbit")
    where = f"{kind}, {[block.shape for block in blocks]}, {case.problem.data.X.tolist()}"
    if trained:
        if not margin > 0.0:
            return Trial(None)
        # Anywhere on its orbit: the same w comes back.
        run = np.exp(rng.uniform(-3.0, 3.0) * np.array([0.25, 0.25, 0.5, 0.5]))
        theta = functions.flatten([c * block for c, block in zip(run, blocks, strict=True)])
        answer = certify_scaled(as_trained(case.problem, theta), None, DEFAULT)
        if not isinstance(answer, ScaledWord):
            return Trial(None, refused=f"no exponents: {answer}, {where}")
        if answer.discarded:
            return Trial(None, wrong=f"discarded {answer.discarded}, {where}")
        found = answer.certificate
    else:
        found = lm.certify(case.problem, w)
    word = found.verdict
    if not word.stationary:
        plain = word in (Verdict.NOT_STATIONARY, Verdict.NOT_SEPARATING)
        if exact and plain:
            return Trial(word, wrong=f"{word} at an answer, {found.reasons[0]}, {where}")
        return Trial(word, refused=f"{word}: {found.reasons[0]}, {where}" if exact else "")
    if word is Verdict.STRICT_LOCAL:
        # W_1 and W_2 may always trade a factor.
        return Trial(word, wrong=f"{word}, {where}")
    if not trained and abs(margin - 1.0) > _NEAR:
        return Trial(word, wrong=f"{word} with the margin {margin}, {where}")
    why = _false(case, blocks, margin)
    return Trial(word, wrong=f"{word}: {why}, {where}" if why else "")


def _family(rectified: bool, trained: bool) -> Callable[[np.random.Generator], Trial]:
    return lambda rng: _judged(rng, rectified, trained)


FAMILIES: dict[str, Family] = {
    "quasi-homogeneous: linear layers": _family(False, False),
    "quasi-homogeneous: rectified": _family(True, False),
    "quasi-homogeneous: trained, linear": _family(False, True),
    "quasi-homogeneous: trained, rectified": _family(True, True),
}
