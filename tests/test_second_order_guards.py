"""Every guard of second order by itself: what each of them alone keeps out.

The functions are `f_n(u) = c_n + g_n·u + ½ uᵀH_n u + t_n (q·u)³/6`, given by their numbers, so that
every derivative and every bound is known in closed form.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import UnsupportedError
from lexmargin.judge import Tolerances, Verdict
from lexmargin.judge.given import Evidence
from lexmargin.judge.second_order import contraction, curvature, hessian_changes
from lexmargin.judge.second_order.contraction import strict_near
from lexmargin.judge.second_order.curvature import measured_curvature, second_order
from lexmargin.judge.second_order.exact_critical import critical_as_computed
from lexmargin.judge.second_order.hessian_changes import Asked, Changes, changes_within
from lexmargin.judge.second_order.hessians import Curved, PredictorCurved
from lexmargin.judge.second_order.reduced import (
    Reduced,
    null_space,
    reduce,
    strong_margins,
    tangent_ascents,
)
from lexmargin.judge.second_order.surroundings import around_direction
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.linalg.rounding import EPS

E3 = np.eye(3)


class Cubics(Curved):
    """Functions known as floats only; ``side`` leaves the cubic part on one side of q·u = 0."""

    def __init__(
        self,
        offsets: Any,
        slopes: Any,
        hessians: Any = None,
        thirds: Any = None,
        q: Any = None,
        *,
        side: float = 0.0,
        noise: float = 0.0,
        jump_within: float = 0.0,
    ) -> None:
        self._c, self._g = np.array(offsets, float), np.array(slopes, float)
        self.count, self.size = self._g.shape
        shape = (self.count, self.size, self.size)
        self._h = np.zeros(shape) if hessians is None else np.array(hessians, float)
        self._t = np.zeros(self.count) if thirds is None else np.array(thirds, float)
        self._q = np.zeros(self.size) if q is None else np.array(q, float)
        self._side, self._noise, self._jump = side, noise, jump_within

    def _along(self, theta: Any) -> float:
        s = float(self._q @ theta)
        return s if self._side == 0.0 or self._side * s > 0.0 else 0.0

    def values(self, theta: Any) -> Any:
        bent = 0.5 * np.einsum("nij,i,j->n", self._h, theta, theta)
        return self._c + self._g @ theta + bent + self._t * self._along(theta) ** 3 / 6.0

    def rows(self, theta: Any, indices: Any) -> Any:
        third = np.outer(self._t * self._along(theta) ** 2 / 2.0, self._q)
        return (self._g + self._h @ theta + third)[indices]

    def vjp(self, theta: Any, weights: Any) -> Any:
        exact = weights @ self.rows(theta, np.arange(self.count))
        # Newton's method does not get rid of it.
        sign = -1.0 if theta[-1] > 0.0 else 1.0
        return exact + sign * self._noise * np.eye(self.size)[-1]

    def hessian(self, theta: Any, weights: Any) -> Any:
        third = float(weights @ self._t) * self._along(theta)
        return np.einsum("n,nij->ij", weights, self._h) + third * np.outer(self._q, self._q)

    def hessian_products(self, theta: Any, weights: Any, directions: Any) -> Any:
        return directions @ self.hessian(theta, weights)

    def jumps(self, theta: Any, weights: Any, tolerance: float) -> bool:
        return tolerance >= self._jump > 0.0

    def tangents(self, theta: Any, support: Any) -> Any:
        return np.zeros((0, self.size))


class Unbounded(Cubics):
    """Gradients are finite and second derivatives are not."""

    def hessian_products(self, theta: Any, weights: Any, directions: Any) -> Any:
        return np.full(directions.shape, math.inf)


def around(functions: Curved, multipliers: Any, **options: Any) -> Vicinity:
    """What lies around e_1; the level is 1 unless it is said to be the margin."""
    rest: dict[str, Any] = {"level": 1.0, "degree": None, "nearest_kink": None} | options
    return Vicinity(
        functions=functions,
        theta=np.eye(functions.size)[0],
        multipliers=np.array(multipliers, float),
        support=np.arange(functions.count),
        worth=lambda u: 0.0,
        limits=Tolerances(),
        **rest,
    )


def reduced_of(vicinity: Vicinity) -> Reduced:
    found = reduce(vicinity)
    assert isinstance(found, Reduced), found
    return found


def asked_of(functions: Cubics, theta: Any, multipliers: Any, **options: Any) -> Asked:
    members = np.flatnonzero(multipliers)
    lengths = np.linalg.norm(functions.rows(theta, members), axis=1)
    rest: dict[str, Any] = {
        "lagrangian": np.eye(functions.size) - functions.hessian(theta, np.array(multipliers)),
        "groups": np.arange(members.size),
        "weights": np.array(multipliers)[members] * lengths,
    }
    return Asked(
        point=theta,
        multipliers=np.array(multipliers, float),
        members=members,
        lengths=lengths,
        **(rest | options),
    )


# -- margins that hold a point ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "offsets", "noise", "held"),
    [
        ([1.0, 0.1], [0.0, 0.0], 0.0, [0, 1]),
        # A share of a multiplier below STRONG; one below a hundred times the error of the point.
        ([1.0, 1e-9], [0.0, 0.0], 0.0, [0]),
        ([1.0, 1e-3], [0.0, 0.0], 0.0, [0, 1]),
        ([1.0, 1e-3], [0.0, 0.0], 1e-4, [0]),
        # Above the smallest margin by more than the tolerance.
        ([1.0, 0.1], [0.0, 1e-3], 0.0, [0]),
        ([1.0, 0.1], [0.0, 1e-9], 0.0, [0, 1]),
    ],
)
def test_what_holds_a_point_has_weight_and_no_room(
    weights: list[float], offsets: list[float], noise: float, held: list[int]
) -> None:
    # Σ λ g = e_1 whatever the shares are.
    functions = Cubics(offsets, E3[[0, 0]], noise=noise)
    functions._g /= sum(weights)
    functions._c = np.array(offsets) + 1.0 - 1.0 / sum(weights)
    assert strong_margins(around(functions, weights)).tolist() == held


@pytest.mark.parametrize(
    ("functions", "why"),
    [
        (Cubics([1.0], 1e-200 * E3[:1]), "beyond double precision"),
        (Cubics([1.0], 1e200 * E3[:1]), "beyond double precision"),
        (Cubics([0.0], E3[:1], jump_within=1e-9), "jumps"),
        (Unbounded([0.0], E3[:1]), "not finite"),
        (Cubics([0.0], E3[:1], noise=0.1), "no margin holds"),
    ],
)
def test_where_no_hessian_is_to_be_had_it_is_said(functions: Cubics, why: str) -> None:
    with np.errstate(all="ignore"):
        assert why in str(reduce(around(functions, [1.0])))


def test_a_predictor_without_second_derivatives_is_said_to_have_none() -> None:
    class Without(Cubics):
        def hessian_products(self, theta: Any, weights: Any, directions: Any) -> Any:
            raise UnsupportedError("this operation has none", "Use another.")

    assert "no exact second derivatives" in str(reduce(around(Without([0.0], E3[:1]), [1.0])))


def test_nearly_dependent_gradients_free_a_direction_and_lengths_do_not() -> None:
    turned = np.array([[1.0, 0.0, 0.0], [1.0, 1e-9, 0.0]])
    assert null_space(turned, np.zeros((0, 3))).shape[1] == 2
    assert null_space(np.array([[1.0, 0.0, 0.0], [1.0, 1e-6, 0.0]]), E3[2:]).shape[1] == 0
    # Lengths say nothing of dependence.
    assert null_space(np.array([[1.0, 0.0, 0.0], [0.0, 1e-12, 0.0]]), E3[:0]).shape[1] == 1
    assert null_space(E3[:1], E3[1:2]).shape[1] == 1


# -- directions of negative curvature --------------------------------------------------------------


def bent(*diagonals: Any) -> list[Any]:
    return [np.diag(np.array(d, float)) for d in diagonals]


@pytest.mark.parametrize(
    ("slopes", "hessians", "best"),
    [
        # No weak margin: either way along the eigenvector.
        ([[1.0, 0, 0]], bent([0, 3, 0]), [(0.0, 1.0, 0.0), (0.0, -1.0, 0.0)]),
        # A weak one that falls along -e_2 leaves e_2; one that is level with it bars neither way.
        ([[1.0, 0, 0], [1.0, 0.5, 0]], bent([0, 3, 0], [0, 0, 0]), [(0.0, 1.0, 0.0)]),
        (
            [[1.0, 0, 0], [1.0, 0, 0.5]],
            bent([0, 3, 0], [0, 0, 0]),
            [(0.0, 1.0, 0.0), (0.0, -1.0, 0.0)],
        ),
        ([[1.0, 0, 0], [1.0, -0.5, 0]], bent([0, 3, 0], [0, 0, 0]), [(0.0, -1.0, 0.0)]),
        # Entries of the size of rounding are none.
        ([[1.0, 0, 0]], [np.diag([0.0, 3.0, 0.0]) + 1e-15], [(0.0, 1.0, 0.0), (0.0, -1.0, 0.0)]),
        # On both sides of e_2: what is left is e_3, where it bends less.
        (
            [[1.0, 0, 0], [1.0, 0.5, 0], [1.0, -0.5, 0]],
            bent([0, 9, 3], [0, 0, 0], [0, 0, 0]),
            [(0.0, 0.0, 1.0), (0.0, 0.0, -1.0)],
        ),
    ],
)
def test_directions_bend_down_and_let_no_margin_fall(
    slopes: Any, hessians: Any, best: list[tuple[float, ...]]
) -> None:
    functions = Cubics(np.zeros(len(slopes)), slopes, hessians)
    vicinity = around(functions, [1.0, *[0.0] * (len(slopes) - 1)])
    reduced = reduced_of(vicinity)
    assert reduced.held.tolist() == [0]
    found = list(tangent_ascents(vicinity, reduced, 1e-9))
    for ascent in found:
        assert ascent.direction @ reduced.lagrangian @ ascent.direction < -1e-9
        assert np.min(functions._g @ ascent.direction) >= -1e-12
        assert np.linalg.norm(ascent.direction) == pytest.approx(1.0)
        # Exact zeros, not rounding: fractions decide by them.
        assert not np.any((ascent.direction != 0.0) & (np.abs(ascent.direction) < 1e-12))
    kinds = {tuple(np.round(ascent.direction, 9) + 0.0) for ascent in found}
    assert set(best) <= kinds


def test_what_is_left_of_a_direction_may_bend_up() -> None:
    """Bent down along q, the cone of two weak margins is a wedge far from q, where it bends up."""
    q, wedge = (np.array([0.0, math.cos(a), math.sin(a)]) for a in (0.3, 0.3 + 1.1))
    across = np.cross(E3[0], wedge)
    slopes = [E3[0], E3[0] + 0.1 * wedge + across, E3[0] + 0.1 * wedge - across]
    hessian = 2.0 * np.outer(q, q) - 5.0 * np.outer(np.cross(E3[0], q), np.cross(E3[0], q))
    functions = Cubics(np.zeros(3), slopes, [hessian, 0 * hessian, 0 * hessian])
    vicinity = around(functions, [1.0, 0.0, 0.0])
    reduced = reduced_of(vicinity)
    assert reduced.eigenvalues[0] == pytest.approx(-1.0)
    assert not list(tangent_ascents(vicinity, reduced, 1e-9))
    # Where a rotated wall on either side leaves nothing, rounding is no direction.
    walls = [E3[0], E3[0] + q, E3[0] - q]
    vicinity = around(Cubics(np.zeros(3), walls, [hessian, 0 * hessian, 0 * hessian]), [1.0, 0, 0])
    assert not list(tangent_ascents(vicinity, reduced_of(vicinity), 1e-9))


def test_the_tangents_of_all_active_margins_come_first() -> None:
    # Three that bend most are barred on both sides; the fourth is open.
    whole = np.eye(6)
    walls = [whole[0] + sign * whole[k] for k in (1, 2, 3) for sign in (1.0, -1.0)]
    hessians = [np.diag([0.0, 9.0, 9.0, 9.0, 3.0, 0.0]), *[np.zeros((6, 6))] * 6]
    vicinity = around(Cubics(np.zeros(7), [whole[0], *walls], hessians), [1.0, *[0.0] * 6])
    found = [a.direction for a in tangent_ascents(vicinity, reduced_of(vicinity), 1e-9)]
    assert any(abs(direction[4]) == pytest.approx(1.0) for direction in found)


@pytest.mark.parametrize(
    ("bends", "kind"),
    [
        ([0.0, 0.5, -3.0], "positive"),
        # A millionth of the largest eigenvalue, or of 1, counts as zero.
        ([0.0, 1.0 - 1e-8, 0.0], "undecided"),
        ([0.0, 1.0 - 1e-5, 0.0], "positive"),
        ([0.0, 1.0 - 1e-5, -1e3], "undecided"),
        ([0.0, 1.0 + 1e-8, 0.0], "undecided"),
    ],
)
def test_what_counts_as_flat(bends: list[float], kind: str) -> None:
    found = measured_curvature(around(Cubics([0.0], E3[:1], bent(bends)), [1.0])).curvature
    assert found.kind.value == kind
    assert ("flat direction" in found.reason) is (kind == "undecided")


def test_what_a_point_may_be_off_by_its_curvature_may_be_too() -> None:
    # An error of 1e-9 leaves the eigenvalues to √1e-8 only.
    for noise, kind in ((0.0, "positive"), (1e-9, "undecided")):
        functions = Cubics([0.0], E3[:1], bent([0.0, 1.0 - 5e-5, 0.0]), noise=noise)
        # Differences of such gradients say nothing.
        functions.exact = False
        assert measured_curvature(around(functions, [1.0])).curvature.kind.value == kind


def test_gradients_that_are_not_finite_have_no_curvature() -> None:
    functions = Cubics([0.0], E3[:1], noise=math.nan)
    found = measured_curvature(around(functions, [1.0]))
    assert found.curvature.reason == "the gradients are not finite"


def test_second_order_is_asked_for_where_it_can_say_something() -> None:
    data = lm.Dataset([[1.0, 2.0]], [1], one_class=True)
    problem = lm.HardMargin(lm.DiagonalNetwork(2), data)
    theta = np.array([0.0, 1.0, 0.0, 1.0]) / math.sqrt(2.0)
    best = replace(lm.certify(problem, theta), second_order=None)
    assert best.verdict is Verdict.GLOBAL
    place = functools.partial(around_direction, PredictorCurved(problem.functions), theta, 2.0)
    # GLOBAL gains the numbers, unless everything is given.
    measured = second_order(place, best)
    assert measured.verdict is Verdict.GLOBAL and measured.curvature is not None
    assert measured.curvature.smallest == pytest.approx(0.5)
    given = Evidence(support=best.support, multipliers=best.multipliers, tau=best.tau)
    assert second_order(place, best, given) is best
    # Where 0 is a combination of gradients, no λ belongs to the objective.
    singular = replace(best, verdict=Verdict.KKT, stationarity=0.3)
    assert second_order(place, singular) is singular
    for word in (Verdict.CLARKE_KKT, Verdict.UNDECIDED, Verdict.NOT_STATIONARY):
        assert second_order(place, replace(best, verdict=word)).curvature is None


def test_hessians_are_compared_with_gradients_by_euler_and_by_differences() -> None:
    class Wrong(Cubics):
        def hessian_products(self, theta: Any, weights: Any, directions: Any) -> Any:
            return super().hessian_products(theta, weights, directions) + self.off * directions

    for off, degree, doubted in ((0.0, 1.0, False), (1e-6, None, False), (1e-2, None, True),
                                 (1e-6, 1.0, True)):  # fmt: skip
        functions = Wrong([0.0], E3[:1])
        functions.off = off
        reason = measured_curvature(around(functions, [1.0], degree=degree)).curvature.reason
        assert ("two routes" in reason) is doubted, (off, degree)


def test_a_second_derivative_by_differences_stays_before_a_kink() -> None:
    """The gradient jumps 1e-7 away from e_1, and Hessians agree with differences this side."""

    class Jumping(Cubics):
        def vjp(self, theta: Any, weights: Any) -> Any:
            extra = 1e-3 * float(np.linalg.norm(theta - E3[0]) > 1e-7)
            return super().vjp(theta, weights) + extra * theta[1] * E3[1] * 1e6

    functions = Jumping([0.0], E3[:1])
    reasons = [
        measured_curvature(around(functions, [1.0], nearest_kink=kink)).curvature.reason
        for kink in (None, 1e-7)
    ]
    assert "two routes" in reasons[0] and "two routes" not in reasons[1]


@pytest.mark.parametrize("limit", ["CURVATURE_ENTRIES", "DENSE_HESSIAN_PARAMETERS"])
def test_sizes_beyond_a_limit_are_said_to_be(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(curvature, limit, 2)
    functions = Cubics([0.0], E3[:1])
    functions.exact = False
    assert "3 parameters" in measured_curvature(around(functions, [1.0])).curvature.reason


@pytest.mark.parametrize("limit", ["BALL_HESSIAN_ENTRIES", "BALL_HESSIAN_PARAMETERS"])
def test_few_hessians_are_enclosed(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    data = lm.Dataset([[1.0]], [1], one_class=True)
    functions = PredictorCurved(lm.HardMargin(lm.Polynomial(((2,),)), data).functions)
    asked = Asked(
        point=np.ones(1), multipliers=np.ones(1), lagrangian=-np.ones((1, 1)),
        members=np.array([0]), lengths=np.ones(1), groups=np.array([0]), weights=np.ones(1),
    )  # fmt: skip
    vicinity: Any = type("Surroundings", (), {"functions": functions, "nearest_kink": None})()
    assert changes_within(vicinity, asked, 1e-3).enclosed
    monkeypatch.setattr(hessian_changes, limit, 0)
    assert not changes_within(vicinity, asked, 1e-3).enclosed


def test_margins_that_stay_level_are_held_as_well() -> None:
    functions = Cubics([0.0, 0.0, 0.0], [E3[0], [1.0, 0.5, 0], E3[0]], bent([0, 3, 0], 0 * E3[0],
                                                                           [0, 4, 0]))  # fmt: skip
    vicinity = around(functions, [1.0, 0.0, 0.0])
    held = [a.held.tolist() for a in tangent_ascents(vicinity, reduced_of(vicinity), 1e-9)]
    assert [0] in held and [0, 2] in held


# -- changes of Hessians ---------------------------------------------------------------------------


def moves(rng: np.random.Generator, size: int, radius: float) -> Any:
    found = rng.standard_normal((60, size))
    return radius * found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("size", [2, 5, 8, 12, 30])
@pytest.mark.parametrize("side", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("off", [0.0, 0.3])
def test_no_hessian_of_a_ball_differs_by_more_than_was_measured(
    size: int, side: float, off: float
) -> None:
    """The change `t (q·x) q qᵀ`, on one side only or on both, and an error of the one in hand."""
    rng = np.random.default_rng(size)
    for _ in range(10):
        q, radius = rng.standard_normal(size), 10.0 ** rng.uniform(-6, -1)
        q /= np.linalg.norm(q)
        theta = rng.standard_normal(size)
        theta -= (theta @ q) * q
        functions = Cubics([0.0], theta[None, :], thirds=[rng.uniform(1, 100)], q=q, side=side)
        error = off * np.outer(q, q)
        hand = np.eye(size) - functions.hessian(theta, np.ones(1)) + error
        asked = asked_of(functions, theta, [1.0], lagrangian=hand)
        found = changes_within(around(functions, [1.0]), asked, radius)
        assert not found.enclosed
        apart = np.max([
            np.linalg.norm(np.eye(size) - hand - functions.hessian(theta + move, np.ones(1)), 2)
            for move in (*moves(rng, size, radius), radius * q, -radius * q)
        ])  # fmt: skip
        if size <= hessian_changes.BALL_HESSIAN_PARAMETERS:
            assert apart <= found.lagrangian * (1.0 + 1e-9)
        else:
            # Sixteen random directions measure a Frobenius norm, to a factor of three.
            assert apart <= 4.0 * found.lagrangian and off <= 2.0 * found.lagrangian
        assert found.lagrangian <= off + 60.0 * size * apart


@pytest.mark.parametrize("size", [3, 8, 20])
@pytest.mark.parametrize("nearest", [None, 1e-6])
def test_bends_are_those_of_the_most_bent_member(size: int, nearest: float | None) -> None:
    rng = np.random.default_rng(size)
    for _ in range(10):
        hessians = rng.standard_normal((3, size, size)) * 10.0 ** rng.uniform(-2, 2, (3, 1, 1))
        hessians = hessians + np.swapaxes(hessians, 1, 2)
        hessians[2] = hessians[1] * rng.uniform(1.0, 3.0)
        theta = rng.standard_normal(size)
        functions = Cubics(np.zeros(3), rng.standard_normal((3, size)), hessians)
        asked = asked_of(
            functions, theta, [1.0, 0.4, 0.7], groups=np.array([0, 1, 1]),
            weights=np.array([2.0, 5.0]),
        )  # fmt: skip
        vicinity = around(functions, [1.0, 0.4, 0.7], nearest_kink=nearest)
        found = changes_within(vicinity, asked, 1e-12)
        each = [np.linalg.norm(h, 2) / n for h, n in zip(hessians, asked.lengths, strict=True)]
        assert max(each) <= found.bent <= 20.0 * size * max(each)
        apart = hessians[2] / asked.lengths[2] - hessians[1] / asked.lengths[1]
        unequal = 5.0 * float(np.linalg.norm(apart, 2))
        assert unequal <= found.unequal <= 20.0 * size * unequal


def test_differences_stay_on_this_side_of_a_kink() -> None:
    """(u_2 - 1e-6)₊³ bends beyond 1e-6 only, where no difference may look."""

    class Beyond(Cubics):
        def rows(self, theta: Any, indices: Any) -> Any:
            extra = 1e6 * max(float(theta[1]) - 1e-6, 0.0)
            return super().rows(theta, indices) + extra * E3[1]

    functions = Beyond([0.0], E3[:1])
    asked = asked_of(functions, E3[0], [1.0])
    far, near = (around(functions, [1.0], nearest_kink=kink) for kink in (None, 1e-6))
    assert changes_within(far, asked, 1e-12).bent > 1e5
    assert changes_within(near, asked, 1e-12).bent < 1e-6
    # What counts is how far a step leads in the units of that distance.
    scaled = around(functions, [1.0], nearest_kink=1e-4, reach=100.0)
    assert changes_within(scaled, asked, 1e-12).bent < 1e-6


def test_norms_of_enclosures_bound_those_of_every_matrix() -> None:
    """u vᵀ has the norm |u||v|, which Pythagoras makes whole."""
    from flint import arb

    sides = [((3, 4), 5), ((5, 12), 13), ((8, 15), 17), ((7, 24), 25), ((20, 21), 29)]
    for (u, a), (v, b) in itertools.product(sides, sides):
        found = hessian_changes._norm([[arb(x * y) for y in v] for x in u])
        assert a * b <= found <= a * b * (1.0 + 1e-9)
    assert (
        hessian_changes._norm([[arb("nan")]]) == hessian_changes._norm([[arb("inf")]]) == math.inf
    )


def test_norms_of_enclosures_are_rounded_up() -> None:
    """u uᵀ of doubles has the norm u·u in fractions, which a norm in doubles may fall short of."""
    from flint import arb

    rng = np.random.default_rng(0)
    for _ in range(200):
        u = np.rint(1e4 * rng.standard_normal(5))
        exact = sum(int(x) ** 2 for x in u)
        assert hessian_changes._norm([[arb(float(x * y)) for y in u] for x in u]) >= exact


@pytest.mark.parametrize(("units", "open_"), [(12.0, True), (20.0, False)])
@pytest.mark.parametrize("of", ["excess", "held", "free", "error", "radial"])
def test_of_floats_a_few_units_of_the_last_place_bar_no_way(
    of: str, units: float, open_: bool
) -> None:
    """f_0 = x holds the point e_1 along e_2, where f_1 = x is level too: up to what rounding is."""
    off = dict.fromkeys(("excess", "held", "free", "error", "radial"), 0.0) | {of: units * EPS}
    # Of θ itself and of the λ∇f beside it there is twice as much; both margins stay level then.
    lean = 2.0 * off["radial"]
    slopes = [[1.0, off["held"] - lean], [1.0, -off["free"] - lean]]
    vicinity = around(Cubics([0.0, off["excess"]], slopes), [1.0, 0.0])
    direction, error = np.array([lean, 1.0]), 2.0 * off["error"]
    held, free = np.array([0]), np.array([1])
    assert critical_as_computed(vicinity, direction, held, free, error) is open_


def test_what_is_not_finite_in_balls_is_measured() -> None:
    # Hessians of 1e20 over gradients of 1e-300 leave the doubles.
    data = lm.Dataset([[1e20]], [1], one_class=True)
    functions = PredictorCurved(lm.HardMargin(lm.Polynomial(((2,),)), data).functions)
    asked = Asked(
        point=np.zeros(1), multipliers=np.ones(1), lagrangian=np.zeros((1, 1)),
        members=np.array([0]), lengths=np.ones(1), groups=np.array([0]), weights=np.ones(1),
    )  # fmt: skip
    vicinity: Any = type("Surroundings", (), {"functions": functions, "nearest_kink": None})()
    assert changes_within(vicinity, asked, 1e-3).enclosed
    with np.errstate(all="ignore"):
        lost = changes_within(vicinity, replace(asked, lengths=np.full(1, 1e-300)), 1e-3)
    assert not lost.enclosed


# -- a strict maximiser is near --------------------------------------------------------------------


def vertex(**options: Any) -> Vicinity:
    """A strict maximum at e_1, where one margin holds and its Hessian is that of -½|u|²."""
    return around(Cubics([0.0], E3[:1]), [1.0], **options)


def test_a_plane_has_a_strict_minimum_of_the_cost() -> None:
    assert isinstance(strict_near(vertex(), reduced_of(vertex())), float)


@pytest.mark.parametrize(
    ("options", "jump", "clear"),
    [
        ({}, 0.0, True),
        ({"nearest_kink": 1e-3}, 0.0, True),
        ({"nearest_kink": 1e-13}, 0.0, False),
        # Ten times the radius, and as far as a step leads.
        ({"nearest_kink": 1e-3, "reach": 1e12}, 0.0, False),
        ({}, 1e-5, True),
        # A jump of the second derivative within ten times a radius that is beyond the tolerance.
        ({"reach": 1e8}, 1e-5, False),
    ],
)
def test_a_kink_as_near_as_the_error_leaves_no_strict_maximiser(
    options: dict[str, Any], jump: float, clear: bool
) -> None:
    functions = Cubics([0.0], E3[:1], jump_within=jump)
    vicinity = around(functions, [1.0], **options)
    found = strict_near(vicinity, reduced_of(vicinity))
    assert isinstance(found, float) if clear else "kink" in str(found)


@pytest.mark.parametrize(
    ("length", "clear"), [(0.9e-5, True), (1.1e-5, False), (1e-4, False), (2e-4, False)]
)
def test_a_kink_is_looked_for_ten_times_as_far(length: float, clear: bool) -> None:
    functions = Cubics([0.0], E3[:1])
    assert around(functions, [1.0], nearest_kink=1e-4).clear_of_kinks(length) is clear
    jumping = Cubics([0.0], E3[:1], jump_within=1e-4)
    assert around(jumping, [1.0]).clear_of_kinks(length) is clear


def near_of(vicinity: Vicinity, radius: float) -> tuple[list[int], float]:
    reduced = reduced_of(vicinity)
    improved = contraction._improved(vicinity, reduced)
    assert improved is not None
    held = contraction._grouped(vicinity, reduced, improved, np.array([], dtype=np.intp))
    assert not isinstance(held, str)
    near, spare = contraction._near(vicinity, reduced, improved, held, radius)
    return near.tolist(), spare


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize(
    ("excess", "steep", "radius", "asked"),
    [
        (1e-6, 1.0, 1e-6, True),
        (5e-6, 1.0, 1e-6, False),
        # What rounding may hide is no excess.
        (2.0 * EPS, 1e-12, 1e-6, True),
        (1e-13, 1e-12, 1e-6, False),
        # Steep ones from far above, and far ones within a wide radius.
        (9e-4, 1e4, 1e-7, True),
        (3e-3, 1.0, 1e-3, True),
    ],
)
def test_margins_that_may_be_active_are_asked(
    monkeypatch: pytest.MonkeyPatch,
    filtered: bool,
    excess: float,
    steep: float,
    radius: float,
    asked: bool,
) -> None:
    if filtered:
        monkeypatch.setattr(contraction, "CONTRACTION_ENTRIES", 0)
    functions = Cubics([0.0, 1.0 + excess], [E3[0], steep * E3[1]])
    near, spare = near_of(around(functions, [1.0, 0.0]), radius)
    assert near == ([1] if asked else [])
    assert asked or spare == pytest.approx(excess - 4.0 * steep * radius, abs=1e-14)


@pytest.mark.parametrize(("excess", "sphere", "strict"), [
    (1e-14, True, False), (1e-12, True, True), (1e-14, False, True)
])  # fmt: skip
def test_on_the_sphere_the_margin_may_rise_to_one_that_is_level(
    excess: float, sphere: bool, strict: bool
) -> None:
    """The point is off by 1e-7, and on the way the margin may rise by 2e-14 above a constant."""
    functions = Cubics([0.0, 1.0 + excess], [E3[0], 0.0 * E3[0]], noise=1e-7)
    vicinity = around(functions, [1.0, 0.0], level=None if sphere else 1.0)
    found = strict_near(vicinity, reduced_of(vicinity))
    assert isinstance(found, float) is strict, found


@pytest.mark.parametrize(("change", "strict"), [(0.0, True), (0.9, True), (0.975, False)])
def test_newton_must_end_within_the_radius(
    monkeypatch: pytest.MonkeyPatch, change: float, strict: bool
) -> None:
    """A change c of a Hessian I asks for `x = r_0/2 + c r ≤ r`, and r is at most 16 r_0."""
    told = Changes(lagrangian=change, bent=0.0, unequal=0.0, enclosed=True)
    monkeypatch.setattr(contraction, "changes_within", lambda *_: told)
    assert isinstance(strict_near(vertex(), reduced_of(vertex())), float) is strict


def test_a_maximiser_beyond_a_thousandth_is_another_point() -> None:
    for noise, near in ((1e-4, True), (1e-3, False)):
        vicinity = around(Cubics([0.0], E3[:1], noise=noise), [1.0])
        found = strict_near(vicinity, reduced_of(vicinity))
        # Newton's method ends where it no longer helps: the radius is twice the error there.
        assert found == pytest.approx(2e-4, rel=0.1) if near else "within 0.001" in str(found)


def test_weight_may_lie_on_either_of_two_margins_that_are_nearly_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With λ = (1, 0) or (0, 1) for (½, ½) the combination is another by 2.5e-10."""
    functions = Cubics([0.0, 0.0], [E3[0], E3[0] + 5e-10 * E3[1]])
    vicinity = around(functions, [0.5, 0.5])
    found = strict_near(vicinity, reduced_of(vicinity))
    assert isinstance(found, float) and found >= 2.5e-10
    # Where the Hessian may change by .9, ten times as far: `x = 2.5e-10 + .9 r ≤ r`.
    told = Changes(lagrangian=0.9, bent=0.0, unequal=0.0, enclosed=True)
    monkeypatch.setattr(contraction, "changes_within", lambda *_: told)
    found = strict_near(vicinity, reduced_of(vicinity))
    assert isinstance(found, float) and found >= 2.5e-9


def test_gradients_that_are_nearly_equal_are_two_where_they_can_be_told_apart() -> None:
    # By 1e-7: the place where both are 1 is known to rounding over that, and λ to no less.
    functions = Cubics([0.0, 0.0], [E3[0], E3[0] + 1e-7 * E3[1]])
    vicinity = around(functions, [1.0 - 1e-3, 1e-3])
    improved = contraction._improved(vicinity, reduced_of(vicinity))
    assert improved is not None
    held = contraction._grouped(vicinity, reduced_of(vicinity), improved, np.zeros(0, np.intp))
    assert not isinstance(held, str) and held.strong == 2 and held.turned == 0.0


def test_the_radius_counts_the_way_to_where_newton_leads() -> None:
    vicinity = around(Cubics([-0.0], [[1.0, 1e-9, 0.0]]), [1.0])
    found = strict_near(vicinity, reduced_of(vicinity))
    assert isinstance(found, float) and 1e-9 <= found <= 1.1e-9


def test_a_margin_that_holds_is_as_wrong_above_the_level_as_below() -> None:
    """f_2 is 1e-9 above the level wherever Newton's method looks, or 3e-9."""

    class Above(Cubics):
        def values(self, theta: Any) -> Any:
            return super().values(theta) + np.array([0.0, 1e-9 if theta[1] <= 0.0 else 3e-9])

    functions = Above([0.0, 0.0], [E3[0] + E3[1], E3[0] - E3[1]])
    vicinity = around(functions, [0.5, 0.5])
    found = strict_near(vicinity, reduced_of(vicinity))
    assert isinstance(found, float) and found >= 1e-9 / math.sqrt(2.0)


@pytest.mark.parametrize(("bend", "strict"), [(1e2, True), (1e11, False)])
def test_a_multiplier_is_sure_to_be_positive_or_there_is_no_word(bend: float, strict: bool) -> None:
    """f_1 bends down by K, so that a rounding of the place is one of λ_2 = 1e-4 by K."""
    part = 1e-4
    slopes = [[1.0, -part, 0.0], [1.0, 1.0, 0.0]]
    functions = Cubics([0.0, 0.0], slopes, bent([0, -bend, -bend], [0, 0, 0]))
    vicinity = around(functions, np.array([1.0, part]) / (1.0 + part))
    found = strict_near(vicinity, reduced_of(vicinity))
    assert isinstance(found, float) if strict else "a multiplier is no larger" in str(found)


def test_tangents_that_turn_too_far_leave_no_curvature(monkeypatch: pytest.MonkeyPatch) -> None:
    """An angle t leaves `1 - 2t - 2t²` of an eigenvalue 1: nothing from t = 0.37 on.

    Before that the gradients bend by t: in units of the radius, of which a sixth is the rounding of
    the gaps and another that of the gradient, `1/6 + t/2 + (1/3 + 17t/6)/(1 - 2t - 2t²) ≤ 1`.
    """
    radius = strict_near(vertex(), reduced_of(vertex()))
    assert isinstance(radius, float)
    for angle, strict in ((0.01, True), (0.08, True), (0.1, False), (0.5, False)):
        told = Changes(lagrangian=0.0, bent=angle / radius, unequal=0.0, enclosed=True)
        monkeypatch.setattr(contraction, "changes_within", lambda *_, t=told: t)
        assert isinstance(strict_near(vertex(), reduced_of(vertex())), float) is strict


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        ([0.5, 0.25, 0.25], "the gradients are dependent"),
        ([1.0, 0.0, 0.0], "may be active too, with no multiplier to speak of"),
    ],
)
def test_dependent_gradients_leave_multipliers_open(weights: list[float], why: str) -> None:
    slopes = [E3[0], E3[0] + E3[1], E3[0] - E3[1]]
    vicinity = around(Cubics([0.0] * 3, slopes), weights)
    assert why in str(strict_near(vicinity, reduced_of(vicinity)))
    # To a part in 1e12, which no rounding tells from 0.
    nearly = [slopes[0], slopes[1], slopes[2] + 1e-12 * E3[2]]
    vicinity = around(Cubics([0.0] * 3, nearly), weights)
    assert why in str(strict_near(vicinity, reduced_of(vicinity)))
    # More than there are parameters.
    slopes = [E3[0], *(E3[0] + v for v in (E3[1], -E3[1], E3[2], -E3[2]))]
    vicinity = around(Cubics([0.0] * 5, slopes), [weights[0], *[weights[1] / 2.0] * 4])
    assert why in str(strict_near(vicinity, reduced_of(vicinity)))
