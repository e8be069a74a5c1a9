"""What the rows of the paper compare with: every closed form against an oracle of its own."""

from __future__ import annotations

import math
from itertools import product

import mpmath as mp
import numpy as np
import pytest

from lexmargin.data.dataset import Dataset
from lexmargin.errors import ParameterError
from lexmargin.formulations import ScaledMargin
from lexmargin.formulations.levels import first_open_level
from lexmargin.paper.balls import BEST, SAMPLES
from lexmargin.paper.statements.section_3.example_3_regularization import minimiser
from lexmargin.paper.statements.section_4.unlikely_global import largest_margin
from lexmargin.predictors import Linear, Member, Polynomial, Sum
from lexmargin.solve import solve


@pytest.mark.parametrize(
    ("levels", "growth", "first"),
    [
        ((1.0,), 2.0, None),
        ((1.0, 5.0), 2.0, None),
        ((1.0, 2.0, 3.0), 2.0, None),
        ((1.0, 2.0, 3.0 + 1e-9), 2.0, 3),
        ((1.0, 1.0, 3.0), 2.0, 3),
        ((1.0, 1.0, 1.0), 2.0, None),
        ((1.0, 2.0, 2.5, 3.0), 2.0, None),
        # The trade between levels 2 and 3 opens the fourth, that of 1 and 2 does not.
        ((1.0, 3.0, 3.5, 4.5), 2.0, 4),
        ((1.0, 3.0, 6.0), 2.0, 3),
        ((1.0, 3.0, 6.0), 1.0, None),
        ((1.0, 2.0, 2.5), 4.0, 3),
    ],
)
def test_the_first_open_level(levels: tuple[float, ...], growth: float, first: int | None) -> None:
    assert first_open_level(levels, growth) == first


def test_levels_that_fall_and_growth_below_one_are_named() -> None:
    with pytest.raises(ParameterError, match="fall"):
        first_open_level((2.0, 1.0, 3.0))
    with pytest.raises(ParameterError, match="at least 1"):
        first_open_level((1.0, 2.0), 0.5)


@pytest.mark.parametrize("seed", range(12))
def test_the_path_leaves_only_where_the_test_opens(seed: int) -> None:
    """L on the two valleys of three quartics, in 200 digits, at r = 60."""
    rng = np.random.default_rng(seed)
    low, high = sorted(float(v) for v in rng.uniform(2.0, 4.5, size=2))
    r = mp.mpf(60)

    def loss(s: mp.mpf) -> mp.mpf:
        a, b = mp.sqrt(1 - s**2), s
        f = (a**4 + b**4, 2 * a**4 + a**3 * b + 2 * b**4, low * a**4 + high * b**4)
        return mp.fsum(mp.exp(-r * v) for v in f)

    with mp.workdps(200):
        beside = loss(mp.exp(-r) / 4)
        axis = loss(mp.mpf(1))
        leaves = beside < axis
    opens = first_open_level((1.0, 2.0, high))
    assert opens == 3 if leaves else opens in (3, None)
    assert leaves is (low > 3.0) or abs(low - 3.0) < math.log(60.0 / 8.0) / 60.0


@pytest.mark.backend("pyomo", "casadi", "cyipopt")
@pytest.mark.parametrize("gamma", [1e2, 1e6])
def test_the_growth_where_w_is_empty(gamma: float) -> None:
    """Eq. 14 with both constraints tight, as two equations in p and q, to 40 digits."""
    with mp.workdps(40):
        g = mp.mpf(gamma)
        start = (2 * g) ** mp.mpf("0.25")
        p, q = mp.findroot(
            lambda p, q: (
                -2 * q * (1 - p * q) + 4 * p * (1 + p**2) + 2 * p / g,
                -2 * p * (1 - p * q) + 2 * q / g,
            ),
            (1 / start, start),
        )
        size = float(mp.sqrt(p**2 + q**2))
    data = Dataset([(1, 0, 1, 0), (0, 1, 0, -1)], [1, 1], one_class=True)
    parts = Sum((Member(Linear(), (0, 1)), Member(Polynomial(((1, 1), (2, 0))), (2, 3))))
    answer = solve(ScaledMargin(parts, data, gamma=gamma))
    assert float(np.linalg.norm(answer.theta[1])) == pytest.approx(size, rel=1e-6)


@pytest.mark.backend("pyomo", "casadi", "cyipopt")
@pytest.mark.parametrize(("power", "strength"), [(2.0, 1e-10), (2.0, 1e-300), (3.0, 1e-100)])
def test_the_regularised_log_power_by_coordinates(power: float, strength: float) -> None:
    """The penalty and the loss are sums over coordinates: each has an equation of its own."""
    found = minimiser(power, strength).theta[0]
    with mp.workdps(40):
        for z, theta in zip((mp.mpf(1), mp.mpf(1) / 8), found, strict=True):

            def slope(v: mp.mpf, z: mp.mpf = z) -> mp.mpf:
                # In v = log(zθ): log of the loss's slope less that of the penalty.
                pull = mp.log(power) + (power - 1) * mp.log(v) - v**power + mp.log(z) - v
                return pull - mp.log(2 * mp.mpf(strength)) - v + mp.log(z)

            root = mp.findroot(slope, mp.log(z * mp.mpf(float(theta))))
            assert float(mp.exp(root) / z / mp.mpf(float(theta))) == pytest.approx(1.0, abs=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_no_direction_has_a_larger_margin_than_the_vertices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    Z = rng.integers(-3, 4, size=(3, 6)).astype(float)
    best = largest_margin(Z)
    beta = rng.normal(size=(200_000, 6)) * (rng.random((200_000, 6)) < 0.5)
    margins = (beta @ Z.T).min(axis=1)
    kept = margins > 0
    size = 3.0 * np.sum(np.abs(beta[kept]) ** (2.0 / 3.0), axis=1)
    seen = float((margins[kept] / size**1.5).max())
    assert 0.5 * best < seen <= best * (1.0 + 1e-9)


@pytest.mark.parametrize("norm", [1.0, 3.0, math.inf])
def test_no_network_is_smaller_than_the_closed_form_of_its_ball(norm: float) -> None:
    """All β of a fine grid with Zβ ≥ 1; |u| = |v| = √β is the smallest factorisation."""
    grid = np.linspace(0.0, 1.0, 401)
    beta = np.array(list(product(grid, grid)))
    feasible = beta[(beta @ np.array(SAMPLES).T).min(axis=1) >= 1.0 - 1e-12]

    def size(b: np.ndarray) -> np.ndarray:
        return np.linalg.norm(np.sqrt(np.hstack([b, b])), norm, axis=1)

    least = float(size(np.array([BEST[norm]]))[0])
    seen = float(size(feasible).min())
    assert least <= seen * (1.0 + 1e-9) and seen <= least * 1.01
    assert float((np.array(SAMPLES) @ np.array(BEST[norm])).min()) >= 1.0 - 1e-12
