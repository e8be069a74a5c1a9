"""Weak duality over the sizes of the summands of a score, each of which has a bound of its own.

For `F = Σ_k F_k` and weights q ≥ 0 let `Σ q_n f_n^{(k)}(w_k) ≤ B_k ‖w_k‖^{α_k}`. With the cost
`C = Σ c_k ‖w_k‖²` every μ > 0 gives

    Σ q_n f_n(w) ≤ μ C + Σ_k h_k(μ),   h_k(μ) = max_s B_k s^{α_k} - μ c_k s²,

so that no point of a ball has a larger margin, and no point with all margins at the level costs
less. One summand makes μ drop out: `γ* ≤ B ρ^α/Σq`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.bounds.balanced import balanced, circulating
from lexmargin.judge.bounds.duality import usable
from lexmargin.judge.bounds.networks import linear_network_reach
from lexmargin.judge.local.birth import birth_value, leak
from lexmargin.judge.proved import BoundMethod, Proved
from lexmargin.linalg.nonnegative import nonnegative
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.rounding import EPS, ROUNDED
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.bias import Bias, BiasForm
from lexmargin.predictors.linear import Linear
from lexmargin.predictors.sums import Member, Sum

__all__ = ["Parts", "is_linear", "members_of"]

_SECTIONS: Final = 100
"""Golden sections of the range of μ: .618^100 of it is below rounding."""
_WIDER: Final = 8.0
"""Factor by which the range of μ reaches beyond what the weights and the summands suggest."""
_GOLDEN: Final = 0.5 * (math.sqrt(5.0) - 1.0)
"""The golden ratio: of two points inside, one serves the next range too."""


@final
@dataclass(frozen=True)
class _Summand:
    """`Σ q_n f_n^{(k)}(w_k) ≤ reach ‖w_k‖^degree`, and w_k costs ``cost ‖w_k‖²``."""

    method: BoundMethod
    degree: float
    cost: float
    reach: float

    def excess(self, price: float, most: float) -> float:
        """Return `max_s B s^α - μ c s²` over `c s² ≤ most`."""
        if self.reach == 0.0:
            return 0.0
        if self.cost == 0.0:
            return math.inf
        end = math.sqrt(most / self.cost)
        if self.degree == 1.0:
            end = min(end, 0.5 * self.reach / (price * self.cost))
        # Above degree 2 it is convex in s², so that its largest value is at an end.
        gained = self.reach * end**self.degree - price * self.cost * end * end
        return max(0.0, float(gained))


@final
@dataclass(frozen=True)
class _Place:
    """Where a member's parameters are, and what each of its blocks costs."""

    member: Member
    entries: slice
    costs: tuple[Array, ...]
    moves: bool

    @property
    def bias(self) -> Bias | None:
        """The member, where it is a bias of degree 2."""
        found = self.member.predictor
        return found if isinstance(found, Bias) and not is_linear(found) else None


@final
@dataclass(frozen=True)
class Parts:
    """Sums of linear scores, biases, linear networks and two-layer networks, in the norm ℓ2."""

    method = BoundMethod.PARTS

    def applies(self, kkt: Kkt) -> bool:
        if kkt.loss is not None or kkt.ordered is not None or kkt.norm != 2.0:
            return False
        # Of one predictor and all directions the other rows say the same, and more.
        alone = kkt.is_direction and not isinstance(kkt.functions.predictor, Sum)
        sparse = kkt.functions.data.is_sparse
        return not alone and all(_known(one.predictor, sparse) for one in members_of(kkt))

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        known = usable(weights)
        if known is None:
            return None
        with np.errstate(all="ignore"):
            return _proved(kkt, known)


def _proved(kkt: Kkt, known: Array) -> Proved | None:
    places = [one for one in _places(kkt) if one.moves]
    # What is held adds nothing where it is 0, as before the first level that costs anything.
    if np.any(kkt.point[kkt.held]) or any(np.any(kkt.held[one.entries]) for one in places):
        return None
    weights = _balanced_for(kkt, known, places)
    slack = EPS * (int(np.count_nonzero(weights)) + 16)
    total = float(np.sum(weights)) * (1.0 - slack)
    summands = _merged(_summand(kkt, one, weights, slack) for one in places)
    if summands is None or not (math.isfinite(total) and total > 0.0):
        return None
    moving = [one for one in summands if one.reach > 0.0]
    method = summands[0].method if len(places) == 1 else BoundMethod.PARTS
    size, price = float(np.sum(kkt.target * kkt.point)), _price(kkt, weights)
    reached, bound = None, None
    why = "weak duality: no point of the ball does better"
    if kkt.level is None or kkt.is_direction:
        radius = 1.0 if kkt.radius is None else kkt.radius
        value = bound = _largest(moving, radius, price) / total
    else:
        value, reached = _least_cost(moving, size, kkt.level * total, price), size
        if kkt.costs is None:
            value, reached = math.sqrt(value), math.sqrt(size)
        else:
            why = "weak duality: no feasible point costs less"
        if kkt.part is not None:
            why = f"weak duality: no feasible point has a smaller ‖w_{kkt.part + 1}‖²"
    if not (math.isfinite(value) and value > 0.0):
        return None
    return Proved(
        method=method, value=value, sentence=why, weights=weights, reached=reached, bound=bound
    )


# -- the summands ----------------------------------------------------------------------------------


def is_linear(predictor: Predictor) -> bool:
    """Say whether the score is linear in its parameters: a plain bias is one of a feature 1."""
    plain = isinstance(predictor, Bias) and predictor.form is BiasForm.PLAIN
    return plain or isinstance(predictor, Linear)


def members_of(kkt: Kkt) -> Sequence[Member]:
    """Return the members of the score; a predictor that is no sum is the only one."""
    predictor = kkt.functions.predictor
    return predictor.members if isinstance(predictor, Sum) else (Member(predictor),)


def _known(predictor: Predictor, sparse: bool) -> bool:
    if isinstance(predictor, (Linear, Bias)):
        return True
    if sparse or predictor.outputs != 1:
        return False
    empty = np.zeros((1, 1))
    linear = linear_network_reach(predictor, empty, np.zeros(1)) is not None
    return linear or leak(predictor) is not None


def _places(kkt: Kkt) -> Iterator[_Place]:
    sizes = [math.prod(shape) for shape in kkt.functions.shapes]
    ends = np.cumsum([0, *sizes])
    costs = np.ones(kkt.point.size) if kkt.is_direction else kkt.entry_costs
    block = 0
    for member in members_of(kkt):
        last = block + member.predictor.block_count
        each = tuple(costs[ends[b] : ends[b + 1]] for b in range(block, last))
        mine = slice(int(ends[block]), int(ends[last]))
        yield _Place(member, mine, each, not bool(np.all(kkt.held[mine])))
        block = last


def _summand(kkt: Kkt, place: _Place, weights: Array, slack: float) -> _Summand | None:
    """Return what a member adds at most; None where its entries cost too differently."""
    predictor = place.member.predictor
    scores = kkt.functions.score_weights(_over_required(kkt, weights))
    bias = place.bias
    if is_linear(predictor):
        every = np.concatenate(place.costs)
        if np.any(every == 0.0) and np.any(every > 0.0):
            return None
        # Entries of any costs: the ball is round in `√c w`.
        root = np.sqrt(every) if np.all(every > 0.0) else np.ones(every.size)
        rows = kkt.jacobian[:, place.entries] / root
        reach = vector_norm(weights @ rows, 2.0) + slack * vector_norm(weights @ np.abs(rows), 2.0)
        return _Summand(BoundMethod.LINEAR, 1.0, float(every[0] > 0.0), reach)
    if any(np.any(block != block[0]) for block in place.costs):
        return None
    # Layers multiply, so that `Σ c_l ‖W_l‖²` is no less than with the geometric mean of all c_l.
    each = [float(block[0]) for block in place.costs]
    cost = each[0]
    if len(set(each)) > 1:
        cost = math.exp(float(np.mean(np.log(each)))) * (1.0 - len(each) * EPS)
    if bias is not None:
        return _Summand(
            BoundMethod.PARTS, 2.0, cost, _bias_reach(BiasForm(bias.form), scores, slack)
        )
    X, columns = kkt.functions.data.X, place.member.columns
    X = X if columns is None else X[:, list(columns)]
    found = linear_network_reach(predictor, X, scores, slack)
    if found is not None:
        return _Summand(BoundMethod.LINEAR_NETWORK, float(found[0]), cost, found[1])
    slope = leak(predictor)
    if slope is None:
        return None
    birth = birth_value(X, scores, slope, nonnegative)
    lost = slack * float(np.abs(scores) @ np.sqrt(np.einsum("ij,ij->i", X, X)))
    return _Summand(BoundMethod.PATTERNS, 2.0, cost, 0.5 * (birth.upper + lost))


def _bias_reach(form: BiasForm, scores: Array, slack: float) -> float:
    """Return `max_k |Σ_n q_n s_{n,k}|`; weights within the slack may have less."""
    columns = scores if scores.ndim == 2 else scores[:, None]
    sums, lost = np.sum(columns, axis=0), slack * np.sum(np.abs(columns), axis=0)
    sums = sums if form is BiasForm.SQUARE else np.abs(sums)
    return max(0.0, float(np.max(sums - lost)))


def _merged(found: Iterator[_Summand | None]) -> list[_Summand] | None:
    """Return one summand for those of one degree and cost: their squares of sizes add up."""
    groups: dict[tuple[float, float], list[_Summand]] = {}
    for one in found:
        if one is None:
            return None
        groups.setdefault((one.degree, one.cost), []).append(one)
    merged = []
    for (degree, cost), group in groups.items():
        reaches = [one.reach for one in group]
        reach = vector_norm(np.array(reaches), 2.0) if degree == 1.0 else max(reaches)
        merged.append(_Summand(group[0].method, degree, cost, reach))
    return merged


# -- the weights -----------------------------------------------------------------------------------


def _over_required(kkt: Kkt, weights: Array) -> Array:
    return weights if kkt.required is None else weights / kkt.required


def _price(kkt: Kkt, weights: Array) -> float:
    """Return μ with `Σ λ_n ∇f_n = 2 μ c w`, as at a KKT point; 0 where there is none."""
    size = float(np.sum(kkt.target * kkt.point))
    pull = float((weights @ kkt.jacobian) @ np.where(kkt.entry_costs > 0.0, kkt.point, 0.0))
    found = 0.5 * pull / size if size > 0.0 else 0.0
    return found if math.isfinite(found) and found > 0.0 else 0.0


def _balanced_for(kkt: Kkt, weights: Array, places: Sequence[_Place]) -> Array:
    """Return weights for which no bias gains more than it costs."""
    held = [(one.bias.form, float(np.max(one.costs[0]))) for one in places if one.bias is not None]
    if not held:
        return weights
    if kkt.functions.multi_class:
        free = all(cost == 0.0 for _, cost in held)
        return circulating(kkt.functions, weights) if free else weights
    price = _price(kkt, weights)
    high = min(price * cost for _, cost in held)
    either = [price * cost for form, cost in held if form is not BiasForm.SQUARE]
    low = -min(either) if either else -math.inf
    over = np.ones(weights.size) if kkt.required is None else kkt.required
    signs = np.asarray(kkt.functions.data.signed, dtype=np.float64)
    return balanced(weights / over, signs, low, high) * over


# -- the dual --------------------------------------------------------------------------------------


def _largest(moving: Sequence[_Summand], radius: float, price: float) -> float:
    """Return a bound on `Σ q_n f_n` over the ball."""
    if len(moving) == 1:
        (one,) = moving
        return one.reach * float(radius**one.degree) * (1.0 + 2.0 * ROUNDED)
    most = radius * radius

    def above(mu: float) -> float:
        parts = mu * most + sum(one.excess(mu, most) for one in moving)
        return parts * (1.0 + 2.0 * ROUNDED * len(moving))

    return _least_over(above, moving, most, price)


def _least_cost(moving: Sequence[_Summand], size: float, needed: float, price: float) -> float:
    """Return a bound from below on the cost of every point with `Σ q_n f_n ≥ needed`.

    Costs above that of the point itself, ``size``, are none that the bound need forbid.
    """
    if len(moving) == 1 and moving[0].cost > 0.0:
        (one,) = moving
        return float(one.cost * (needed / one.reach) ** (2.0 / one.degree)) * (1.0 - 2.0 * ROUNDED)

    def below(mu: float) -> float:
        gained = sum(one.excess(mu, size) for one in moving)
        rounding = 2.0 * ROUNDED * len(moving) * (needed + gained)
        return -(needed - gained - rounding) / mu

    return min(size, -_least_over(below, moving, size, price))


def _least_over(
    value: Callable[[float], float], moving: Sequence[_Summand], most: float, price: float
) -> float:
    """Return the least value found over μ; any μ bounds, and the best one has one valley."""
    known = [price] if price > 0.0 else []
    for one in moving:
        if one.cost > 0.0:
            end = math.sqrt(most / one.cost)
            known.append(one.reach * end ** (one.degree - 2.0) / one.cost)
    known = [mu for mu in known if 0.0 < mu < math.inf]
    if not known:
        return math.inf
    best = min(value(mu) for mu in known)
    low, high = math.log(min(known) / _WIDER), math.log(max(known) * _WIDER)
    for _ in range(_SECTIONS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        at = value(math.exp(left)), value(math.exp(right))
        best = min(best, *at)
        low, high = (low, right) if at[0] <= at[1] else (left, high)
    return best
