"""Quasi-homogeneous points: exact, near and false ones, against a linear program in the scores."""

from __future__ import annotations

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


def _case(rng: np.random.Generator, rectified: bool, last: bool) -> Planted:
    while True:
        found = planted(rng, rectified, last)
        if found is not None:
            return found


def _changed(rng: np.random.Generator, case: Planted) -> tuple[list[Any], str]:
    """Return the blocks, exact or wrong in one way, and which."""
    blocks = [block.copy() for block in case.blocks]
    kind = str(rng.choice(["exact", "orbit", "unbalanced", "turned", "raised"]))
    if kind == "unbalanced" and len(blocks) == 3:
        kind = "orbit"
    if kind == "orbit":
        # The first two blocks cost nothing: any factor between them.
        c = np.exp(rng.uniform(-2.0, 2.0))
        blocks[0], blocks[1] = blocks[0] * c, blocks[1] / c
    elif kind == "unbalanced":
        c = np.exp(rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(-3.0, 0.5))
        _, W2, b, v = blocks
        blocks[1:] = [W2 / c, b / c, v * c]
    elif kind == "turned":
        size = 10.0 ** rng.uniform(-6.0, -1.0)
        whole = np.sqrt(sum(float(np.sum(x**2)) for x in blocks))
        way = [rng.standard_normal(x.shape) for x in blocks]
        step = size * whole / np.sqrt(sum(float(np.sum(x**2)) for x in way))
        blocks = [x + step * d for x, d in zip(blocks, way, strict=True)]
    elif kind == "raised":
        # A larger score, at a cost that is not the least.
        c = np.exp(10.0 ** rng.uniform(-3.0, 0.0))
        blocks[2:] = [block * c for block in blocks[2:]]
    return blocks, kind


def _false(case: Planted, blocks: list[Any], margin: float) -> str:
    """Say why w, stretched to the margin 1, is not of the least cost; empty where it is."""
    if len(blocks) == 3:
        least, cost = case.least**2, float(blocks[2][0] / margin) ** 2
        return f"c² = {cost:.9g}, and {least:.9g} is enough" if cost > least * (1 + _NEAR) else ""
    _, _, b, v = blocks
    # λ of b and v is 1/2 each: both costs are divided by the margin.
    sizes = float(np.sum(b**2)) / margin, float(np.sum(v**2)) / margin
    if abs(sizes[0] - sizes[1]) > _NEAR * max(sizes):
        return f"‖b‖² = {sizes[0]:.6g} and ‖v‖² = {sizes[1]:.6g}"
    if sizes[0] + sizes[1] > 2.0 * case.least * (1.0 + _NEAR):
        return f"cost {sizes[0] + sizes[1]:.9g}, and {2 * case.least:.9g} is enough"
    return ""


def _judged(rng: np.random.Generator, rectified: bool, trained: bool, last: bool) -> Trial:
    case = _case(rng, rectified, last)
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
        exponents = [0.25, 0.25, 0.5, 0.5] if len(blocks) == 4 else [0.5, 0.5, 1.0]
        run = np.exp(rng.uniform(-3.0, 3.0) * np.array(exponents))
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


def _family(rectified: bool, trained: bool, last: bool) -> Family:
    return lambda rng: _judged(rng, rectified, trained, last)


FAMILIES: dict[str, Family] = {
    f"exponents: {way}{layers}, {bias}": _family(rectified, trained, last)
    for way, trained in (("", False), ("trained, ", True))
    for layers, rectified in (("linear", False), ("rectified", True))
    for bias, last in (("bias within", False), ("bias at the end", True))
}
