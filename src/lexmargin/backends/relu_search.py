"""The hard margin of two-layer ReLU networks: convex-concave rounds, births, Newton steps."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.backends.relu_birth import Newborn, newborns
from lexmargin.backends.relu_newton import clarke_newton
from lexmargin.backends.relu_subproblem import Round, TwoLayer, solve_round
from lexmargin.ops.base import FloatArray

__all__ = ["ReluAnswer", "descend_rounds", "search"]

_ROUNDS = 40
_DEAD = 1e-7
_GAIN = 1e-7
_PRUNED = 3
_SEPARATED = 1e-6


@final
@dataclass(frozen=True, eq=False)
class ReluAnswer:
    """Where the search ended.

    Attributes:
        v: (h, p) with ``min f_n = 1`` where it separates.
        signs: s_j, (h,).
        multipliers: λ (N,).
        residual: of the Clarke-KKT system; inf where nothing separates.
        separates: whether every margin is positive.
        birth: the largest value of the birth test found; at most 1 up to rounding where no wider
            network is known to be better.
        rounds: cone programs solved.
        out_of_time: the deadline ended the search.
    """

    v: FloatArray
    signs: FloatArray
    multipliers: FloatArray
    residual: float
    separates: bool
    birth: float
    rounds: int
    out_of_time: bool


@final
class _Budget:
    """Counts cone programs and watches the clock."""

    def __init__(self, rounds: int, deadline: float) -> None:
        self.left, self.spent, self._deadline = rounds, 0, deadline

    def take(self) -> None:
        self.left -= 1
        self.spent += 1

    @property
    def late(self) -> bool:
        return time.perf_counter() > self._deadline

    @property
    def over(self) -> bool:
        return self.left <= 0 or self.late


def search(
    data: TwoLayer,
    v: FloatArray,
    signs: FloatArray,
    *,
    exchanges: int = 6,
    rounds: int = 60,
    attempts: int = 4,
    deadline: float = np.inf,
    seed: int = 0,
) -> ReluAnswer:
    """Minimise ``Σ ‖v_j‖ s.t. y_n Σ_j s_j σ(v_j·x_n) >= 1`` from one start, signs included.

    Rounds of the convex-concave procedure lower the objective until the pattern stands. Then the
    best newborn neuron takes the place of a dead unit, of one of two parallel units, or of a live
    one, and whatever is better after further rounds is kept.

    Args:
        data: samples with ``max ‖x_n‖`` near 1, labels, slope.
        v: (h, p) start; its pattern is what counts.
        signs: s_j = ±1, (h,).
        exchanges: tries without gain before the search ends.
        rounds: cone programs beyond those of the first descent.
        attempts: further starts with other signs where the given one leads to no separator.
        deadline: of ``time.perf_counter()``.
        seed: of those other starts.
    """
    budget = _Budget(rounds + _ROUNDS, deadline)
    found, signs = _first(data, v, signs, attempts, budget, np.random.default_rng(seed))
    if found is None:
        return _nothing(data, v, signs, budget)
    if found.violation > 0.0:
        return _nothing(data, found.v, signs, budget)
    budget.left = min(budget.left, rounds)
    birth, quiet = np.inf, 0
    while quiet < exchanges and not budget.over:
        candidates = newborns(data, found.multipliers, exchanges)
        birth = candidates[0].value if candidates else 0.0
        better = None
        for newborn in candidates:
            if quiet >= exchanges or budget.over or newborn.value <= 1.0 + _GAIN:
                quiet = exchanges
                break
            better = _exchanged(data, found, signs, newborn, budget)
            if better is not None:
                break
            quiet += 1
        if better is None:
            break
        (found, signs), quiet = better, 0
    # The search leaves a descent where it sees no gain ahead; the answer ends one.
    budget.left = _ROUNDS
    settled = descend_rounds(data, found.v, signs, budget, elastic=False)
    if settled is not None and settled.violation == 0.0:
        found = settled
    found = replace(found, v=_merged(data, found.v, signs))
    point = clarke_newton(data, signs, found.v, found.multipliers, found.shares)
    usable = point.residual <= 1e-6
    w, lam = (point.v, point.multipliers) if usable else (found.v, found.multipliers)
    if usable:
        final_births = newborns(data, lam, 1)
        birth = final_births[0].value if final_births else 0.0
    smallest = float(data.values(w, signs).min())
    separates = smallest > 0.0
    return ReluAnswer(
        v=w / smallest if separates else w,
        signs=signs,
        multipliers=lam,
        residual=point.residual,
        separates=separates,
        birth=birth,
        rounds=budget.spent,
        out_of_time=budget.late,
    )


def _first(
    data: TwoLayer,
    v: FloatArray,
    signs: FloatArray,
    attempts: int,
    budget: _Budget,
    rng: np.random.Generator,
) -> tuple[Round | None, FloatArray]:
    """Return a separating point of one of a few starts, or the least violating one."""
    best: Round | None = None
    best_signs = signs
    h = signs.size
    for attempt in range(attempts + 1):
        if attempt:
            signs = np.where(rng.permutation(h) < (h + attempt % 2) // 2, 1.0, -1.0)
            # Every unit starts at a sample of its own sign.
            v = np.array([data.X[rng.choice(_of_sign(data, s))] for s in signs])
        separates = bool(data.values(v, signs).min() > _SEPARATED * np.abs(v).max(initial=0.0))
        found = descend_rounds(data, v, signs, budget, elastic=not separates)
        if found is None:
            if budget.over:
                break
            continue
        if best is None or (found.violation, found.objective) < (best.violation, best.objective):
            best, best_signs = found, signs
        if best.violation == 0.0 or budget.over:
            break
    return best, best_signs


def _of_sign(data: TwoLayer, sign: float) -> NDArray[np.intp]:
    own = np.flatnonzero(data.y == sign)
    return own if own.size else np.arange(data.y.size)


def descend_rounds(
    data: TwoLayer,
    v: FloatArray,
    signs: FloatArray,
    budget: _Budget,
    *,
    elastic: bool,
    bound: float = np.inf,
    rounds: int = _ROUNDS,
) -> Round | None:
    """Repeat rounds from v until the pattern stands; None where no round could be solved.

    With ``elastic`` margins may fall short at a price until they need not; the price rises while
    they do. Ends early where ``bound`` will not be undercut.
    """
    smallest = float(data.values(v, signs).min())
    size = float(np.linalg.norm(v, axis=1).sum())
    objective = size / smallest if smallest > 0.0 else max(1.0, float(data.y.size))
    price = 10.0 * min(objective, bound) if np.isfinite(bound) else 10.0 * objective
    patterns = data.pre_activations(v) > 0.0
    last: Round | None = None
    for count in range(rounds):
        if budget.over:
            break
        budget.take()
        found = solve_round(data, signs, patterns, price if elastic else None)
        if not found.solved:
            if not elastic:
                elastic = True
                continue
            break
        short = found.violation > _SEPARATED
        if elastic and not short:
            elastic = False
            found = replace(found, violation=0.0)
        if short and np.isfinite(bound) and count >= 3:
            return None
        following = data.pre_activations(found.v) > 0.0
        settled = np.array_equal(following, patterns)
        gained = last is None or found.objective < last.objective * (1.0 - 1e-9)
        slow = last is not None and last.objective - found.objective < 0.02 * (
            found.objective - bound
        )
        patterns, last = following, found
        if short:
            if settled or (count >= 8 and count % 8 == 0):
                if price > 1e7 * objective:
                    break
                price *= 30.0
            continue
        if settled or not gained or (np.isfinite(bound) and slow):
            break
    return last


def _merged(data: TwoLayer, v: FloatArray, signs: FloatArray) -> FloatArray:
    """Add parallel units of one sign together; those that gave their weight away are 0."""
    v = v.copy()
    sizes = np.linalg.norm(v, axis=1)
    v[sizes <= _DEAD * sizes.max(initial=0.0)] = 0.0
    for j in range(v.shape[0]):
        for k in range(j):
            a, b = float(np.linalg.norm(v[j])), float(np.linalg.norm(v[k]))
            parallel = a > 0 and b > 0 and signs[j] == signs[k]
            if parallel and float(np.linalg.norm(v[j] / a - v[k] / b)) <= 1e-6:
                v[k] += v[j]
                v[j] = 0.0
                break
    return v


def _exchanged(
    data: TwoLayer, found: Round, signs: FloatArray, newborn: Newborn, budget: _Budget
) -> tuple[Round, FloatArray] | None:
    """Return a better point of the same width with the newborn in it, and its signs, or None.

    Where no unit is dead the network grows by one, settles, and gives up a small unit.
    """
    v = _merged(data, found.v, signs)
    goal = found.objective * (1.0 - _GAIN)
    small = newborn.u * max(1e-3 * float(np.linalg.norm(v)), 1e-12)
    dead = np.flatnonzero(np.linalg.norm(v, axis=1) == 0.0)
    if dead.size:
        v, signs = v.copy(), signs.copy()
        v[dead[0]], signs[dead[0]] = small, newborn.sign
        again = descend_rounds(data, v, signs, budget, elastic=False)
        return (again, signs) if again is not None and again.objective < goal else None
    wide_v, wide_signs = np.vstack([v, small]), np.append(signs, newborn.sign)
    wide = descend_rounds(data, wide_v, wide_signs, budget, elastic=False, rounds=3)
    if wide is None or wide.violation > 0.0:
        return None
    for unit in np.argsort(np.linalg.norm(wide.v, axis=1))[:_PRUNED]:
        kept = np.arange(wide_signs.size) != unit
        again = descend_rounds(
            data, wide.v[kept], wide_signs[kept], budget, elastic=True, bound=goal
        )
        if again is not None and again.violation == 0.0 and again.objective < goal:
            return again, wide_signs[kept]
    return None


def _nothing(data: TwoLayer, v: FloatArray, signs: FloatArray, budget: _Budget) -> ReluAnswer:
    return ReluAnswer(
        v, signs, np.zeros(data.y.size), np.inf, False, np.inf, budget.spent, budget.late
    )
