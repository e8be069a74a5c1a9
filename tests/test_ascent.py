"""What a rise must show: each of its conditions alone stands between a profile and the word."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lexmargin.judge import Tolerances
from lexmargin.judge.certificate import Ascent, Rise
from lexmargin.judge.second_order.ascent import rise
from lexmargin.judge.second_order.hessians import Curved
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.linalg.rounding import EPS

E1, E2 = np.eye(2)


class Margins(Curved):
    """Margins given by their values and gradients as functions of u, with or without a jump."""

    def __init__(self, values: Any, rows: Any, jump: bool = False) -> None:
        self._values, self._rows, self._jump = values, rows, jump
        self.size, self.count = 2, len(values(E1))

    def values(self, theta: Any) -> Any:
        return np.array(self._values(theta), float)

    def rows(self, theta: Any, indices: Any) -> Any:
        return np.array(self._rows(theta), float)[indices]

    def vjp(self, theta: Any, weights: Any) -> Any:
        return weights @ self.rows(theta, np.arange(self.count))

    def hessian_products(self, theta: Any, weights: Any, directions: Any) -> Any:
        raise NotImplementedError

    def jumps(self, theta: Any, weights: Any, tolerance: float) -> bool:
        return self._jump

    def tangents(self, theta: Any, support: Any) -> Any:
        return np.zeros((0, self.size))


HELD = Margins(lambda u: [u[0]], lambda u: [E1])


def risen(
    gain: Callable[[float], float],
    *,
    margins: Margins = HELD,
    multipliers: tuple[float, ...] = (1.0,),
    held: tuple[int, ...] = (0,),
    order: int = 2,
    error: float = 0.0,
    theta: Any = E1,
    nearest_kink: float | None = None,
) -> Rise | None:
    """The rise along e_2 from θ, e_1 by default, where the worth of (·, s) is ``gain`` of s."""
    vicinity = Vicinity(
        functions=margins,
        theta=theta,
        multipliers=np.array(multipliers),
        support=np.arange(margins.count),
        level=None,
        degree=1.0,
        worth=lambda u: gain(float(u[1])),
        limits=Tolerances(),
        nearest_kink=nearest_kink,
    )
    return rise(vicinity, Ascent(E2, np.array(held, dtype=np.intp), order), error)


def square(s: float) -> float:
    return s * s


def test_a_square_rises_from_the_first_length_that_shows_it() -> None:
    found = risen(square)
    assert found is not None and found.rate == pytest.approx(1.0)
    hidden = 16.0 * EPS * 8.0
    assert hidden <= found.shortest**2 <= 8.0 * hidden
    assert risen(lambda s: 1e-3 * s, order=1) is not None
    assert risen(square, nearest_kink=1e-5) is not None
    # Where a kink is left it is the beginning of the curve.
    assert risen(lambda s: 1e-3 * s, order=1, nearest_kink=1e-6) is not None
    assert risen(square, nearest_kink=0.0) is not None


@pytest.mark.parametrize("error", [1e-9, 1e-6, 1e-4])
def test_what_an_inexact_point_gains_shows_nothing(error: float) -> None:
    found = risen(square, error=error)
    assert found is not None and found.shortest >= 2.0 * error


@pytest.mark.parametrize("excess", [1e-10, 1e-8, 1e-6])
def test_what_weight_above_the_margin_gains_shows_nothing(excess: float) -> None:
    margins = Margins(lambda u: [u[0], 3.0 + excess - 2.0 * u[0]], lambda u: [E1, -2.0 * E1])
    # Σ λ (f - γ) = excess/2; the second is held too, so that nothing else may bar the way.
    found = risen(square, margins=margins, multipliers=(2.0, 0.5), held=(0,))
    assert found is None
    margins = Margins(lambda u: [u[0], excess + u[0] + 0.1 * u[1]], lambda u: [E1, E1 + 0.1 * E2])
    found = risen(square, margins=margins, multipliers=(0.5, 0.5), held=(0, 1))
    assert found is None or found.rate * found.shortest**2 >= 2.0 * 0.5 * excess


def piecewise(*pieces: tuple[float, Callable[[float], float]]) -> Callable[[float], float]:
    """The last piece whose beginning is at most s."""

    def gain(s: float) -> float:
        return [piece(s) for start, piece in pieces if s >= start][-1]

    return gain


def zero(s: float) -> float:
    return 0.0


@pytest.mark.parametrize(
    ("gain", "options"),
    [
        # Too long to speak of this place: ε hides everything below .02.
        (square, {"error": 1e-2}),
        # Rates that fall, and rates that grow.
        (lambda s: 1e-3 * s, {}),
        (lambda s: s**4, {}),
        (lambda s: 1e3 * s**3, {}),
        # At first what is needed, then half of it, while ε asks for more.
        (
            piecewise(
                (0.0, zero), (2.0**-20, lambda s: 2.2e-3 * s), (2.0**-19, lambda s: 1.3e-3 * s)
            ),
            {"order": 1, "error": 1e-3},
        ),
        # Nothing at lengths where the rate promises much; and a dip that can be seen.
        (piecewise((0.0, zero), (1e-3, square)), {}),
        (piecewise((0.0, zero), (1e-12, lambda s: -1e-13), (2.0**-22, square)), {}),
        # A jump of the Hessian among what cannot be seen.
        (square, {"margins": Margins(lambda u: [u[0]], lambda u: [E1], jump=True)}),
        # A kink as near as that; one that is farther than ten times the shortest length is none.
        (square, {"nearest_kink": 1e-6}),
        # No margin is held; a gradient is 0, or no number.
        (square, {"held": ()}),
        (square, {"margins": Margins(lambda u: [u[0]], lambda u: [0.0 * E1])}),
        (square, {"margins": Margins(lambda u: [u[0]], lambda u: [math.inf * np.ones(2)])}),
        # The correction leads farther than the curve.
        (square, {"margins": Margins(lambda u: [u[0] + 10.0 * abs(u[1])], lambda u: [E1])}),
        # Active, not held, and falling by more than rounding, or more than ε may be.
        (square, {"margins": Margins(lambda u: [u[0], u[0]], lambda u: [E1, E1 - 1e-14 * E2]),
                  "multipliers": (1.0, 0.0)}),
        (square, {"margins": Margins(lambda u: [u[0], u[0]], lambda u: [E1, E1]),
                  "multipliers": (1.0, 0.0), "error": 1e-14}),
        (square, {"margins": Margins(lambda u: [u[0], u[0] - 1e-14, u[0]], lambda u: [E1] * 3),
                  "multipliers": (0.5, 0.5, 0.0), "held": (0, 1)}),
        # Rising so slowly that it crosses the other behind θ, farther away than rounding.
        (square, {"margins": Margins(lambda u: [u[0], u[0]], lambda u: [E1, E1 + 1e-9 * E2]),
                  "multipliers": (1.0, 0.0)}),
        # Active, not held, and above the margin.
        (square, {"margins": Margins(lambda u: [u[0], u[0] + 1e-12], lambda u: [E1, E1 + E2]),
                  "multipliers": (1.0, 0.0)}),
        # Active, not held, and carrying a weight that d earns to first order.
        (square, {"margins": Margins(lambda u: [u[0], u[0]], lambda u: [E1 - 1e-8 * E2, E1 + E2]),
                  "multipliers": (1.0, 1e-8)}),
        (square, {"margins": Margins(lambda u: [u[0]] * 2, lambda u: [E1, E1 + E2]),
                  "multipliers": (1.0, 1e-8), "theta": E1 + 1e-8 * E2}),
        # Dependent gradients that are no tangents, more than parameters; some that turn too fast.
        (square, {"margins": Margins(lambda u: [u[0], u[0]], lambda u: [E1, E1 + 1e-14 * E2]),
                  "multipliers": (1.0, 0.0), "held": (0, 1)}),
        (square, {"margins": Margins(lambda u: [u[0]] * 3, lambda u: [E1, E1 + E2, E1 - E2]),
                  "multipliers": (1.0, 0.0, 0.0), "held": (0, 1, 2)}),
        (square, {"margins": Margins(lambda u: [u[0]] * 2,
                                     lambda u: [E1, E1 + (1e-3 + 1e3 * u[1]) * E2]),
                  "multipliers": (1.0, 0.0), "held": (0, 1)}),
    ],
)  # fmt: skip
def test_no_rise(gain: Callable[[float], float], options: dict[str, Any]) -> None:
    with np.errstate(all="ignore"):
        assert risen(gain, **options) is None


def test_independent_gradients_that_hardly_turn_may_be_held() -> None:
    margins = Margins(lambda u: [u[0]] * 2, lambda u: [E1, E1 + (1e-3 + u[1]) * E2])
    assert risen(square, margins=margins, multipliers=(1.0, 0.0), held=(0, 1)) is not None


@pytest.mark.parametrize("slope", [-1e-17, 0.0, 1e-2, 1.0])
def test_where_floats_are_all_there_is_first_order_need_hold_to_rounding_only(slope: float) -> None:
    margins = Margins(lambda u: [u[0], u[0]], lambda u: [E1, E1 + slope * E2])
    assert risen(square, margins=margins, multipliers=(1.0, 0.0)) is not None
    copies = Margins(lambda u: [u[0], u[0]], lambda u: [E1, E1])
    assert risen(square, margins=copies, multipliers=(0.5, 0.5), held=(0, 1)) is not None
