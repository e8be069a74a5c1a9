"""The hard margin of two-layer ReLU networks: convex-concave rounds, births, Newton steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.backends.kinked.gated import GatedNetwork
from lexmargin.backends.kinked.pattern_search import pattern_search
from lexmargin.backends.kinked.relu_birth import newborns
from lexmargin.backends.kinked.relu_descent import Budget, Descent, local_descent
from lexmargin.backends.kinked.relu_exchange import Exchange, merged
from lexmargin.backends.kinked.relu_subproblem import Round, TwoLayer, solve_round
from lexmargin.ops.base import FloatArray

__all__ = ["ReluAnswer", "descend_rounds", "search"]

_CONES = 200
"""Cone programs of all first starts: each is dear, so that this bounds the time (judgement)."""
_FIRST_ROUNDS = 40
"""Cone programs of one start: a pattern not settled by then is left to the descent (judgement)."""
_DEAD = 1e-7
"""Share of the largest unit below which one is dropped from a start: it has no pattern."""
_SEPARATED = 1e-6
"""Violation of the cone program that counts as none; its solver is asked for 1e-9."""
_ROUGH = 1e-4
"""Relative decrease that ends the descents before the exchanges; the last goes on to 1e-7."""
_LAST = 40
"""Programs kept for the descent at the end, however many the exchanges used."""
_POLISH_PROGRAMS = 60
"""Programs of the pattern search at the end: it starts next to its answer, more would not help."""
_FIRST_SHIFT = 1e-3
"""First shift of its Hessian: keeps its first steps as short as the distance that is left."""


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
        rounds: programs solved.
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


def search(
    data: TwoLayer,
    v: FloatArray,
    signs: FloatArray,
    *,
    exchanges: int = 20,
    rounds: int = 450,
    attempts: int = 4,
    deadline: float = np.inf,
    seed: int = 0,
) -> ReluAnswer:
    """Minimise ``Σ ‖v_j‖ s.t. y_n Σ_j s_j σ(v_j·x_n) >= 1`` from one start, signs included.

    Local descent first. Then the best newborn neurons take the places of dead units, or the network
    grows by one to three of them, settles, and gives up as many small units; whatever is better is
    kept. Steps of :func:`~lexmargin.backends.kinked.pattern_search.pattern_search` end it.

    Args:
        data: samples with ``max ‖x_n‖`` near 1, labels, slope.
        v: (h, p) start; its pattern is what counts.
        signs: s_j = ±1, (h,).
        exchanges: tries without gain before a kick, and kicks without gain before the search ends.
        rounds: least-distance programs of the search.
        attempts: further starts with other signs where the given one leads to no separator.
        deadline: of ``time.perf_counter()``.
        seed: of those other starts, and of what is exchanged together.
    """
    budget = Budget(_CONES, deadline)
    programs = Budget(rounds, deadline)
    width = signs.size
    found = _descended(data, v, signs, programs)
    if found is None:
        first, signs = _first(data, v, signs, attempts, budget, np.random.default_rng(seed))
        if first is None or first.violation > 0.0:
            v = v if first is None else first.v
            return _nothing(data, v, signs, budget)
        found = _descended(data, first.v, signs, programs) or _live(first, signs)
    found = Exchange(data, width, programs, seed).improved(found, exchanges)
    programs.left = max(programs.left, _LAST)
    found = local_descent(data, found.v, found.signs, programs, accuracy=1e-7) or found
    return _polished(data, found, width, budget.spent + programs.spent, budget.late)


def _descended(
    data: TwoLayer, v: FloatArray, signs: FloatArray, programs: Budget
) -> Descent | None:
    sizes = np.linalg.norm(v, axis=1)
    alive = sizes > _DEAD * sizes.max(initial=0.0)
    if not np.any(alive) or not np.all(np.isfinite(v)):
        return None
    return local_descent(data, v[alive], signs[alive], programs, accuracy=_ROUGH)


def _live(first: Round, signs: FloatArray) -> Descent:
    """Return the answer of cone programs as a descent's."""
    sizes = np.linalg.norm(first.v, axis=1)
    alive = sizes > _DEAD * sizes.max(initial=0.0)
    return Descent(first.v[alive], signs[alive], first.multipliers, first.objective)


def _polished(data: TwoLayer, found: Descent, width: int, spent: int, late: bool) -> ReluAnswer:
    """Return the point after steps of Newton's method, with the residual of its Clarke system."""
    v, live = merged(data, found.v, found.signs)
    p = data.X.shape[1]
    idle = width - live.size
    signs = np.append(live, np.ones(idle))
    root = np.sqrt(np.linalg.norm(v, axis=1))
    weights = np.vstack([v / root[:, None], np.zeros((idle, p))])
    everyone = np.arange(data.y.size)
    net = GatedNetwork(data.X, (width,), data.slope, everyone, data.y[:, None])
    theta = np.concatenate([weights.reshape(-1), live * root, np.zeros(idle)])
    point = pattern_search(net, theta, rounds=_POLISH_PROGRAMS, shift=_FIRST_SHIFT)
    W, a = net.blocks(point.theta)
    a = a.reshape(-1)
    w, signs = np.abs(a)[:, None] * W, np.where(a == 0.0, signs, np.sign(a))
    births = newborns(data, point.multipliers, 1)
    smallest = float(data.values(w, signs).min())
    separates = smallest > 0.0
    return ReluAnswer(
        v=w / smallest if separates else w,
        signs=signs,
        multipliers=point.multipliers,
        residual=point.residual,
        separates=separates,
        birth=births[0].value if births else 0.0,
        rounds=spent + point.rounds,
        out_of_time=late,
    )


def _first(
    data: TwoLayer,
    v: FloatArray,
    signs: FloatArray,
    attempts: int,
    budget: Budget,
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
    budget: Budget,
    *,
    elastic: bool,
    bound: float = np.inf,
    rounds: int = _FIRST_ROUNDS,
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


def _nothing(data: TwoLayer, v: FloatArray, signs: FloatArray, budget: Budget) -> ReluAnswer:
    return ReluAnswer(
        v, signs, np.zeros(data.y.size), np.inf, False, np.inf, budget.spent, budget.late
    )
